//! Users, roles and directories as they are sent in, by whatever way: each is read field by field, judged by the whole of them
//! at one moment ([`world::World`]), and then written under its guard.

pub mod directory;
pub mod role;
pub mod user;
pub mod world;

pub use directory::SentDirectory;
pub use role::SentRole;
pub use user::SentUser;
pub use world::{ATTEMPTS, World, has_all};
