//! The one way out: every request that leaves for an address a client or an operator named goes through here
//! (webhooks, `downloadfrom`, `sanitizedurl`, rule sources).
//!
//! What always holds:
//! - a connection is opened only to an address that [`Policy`] permits, whatever spelling or name led to it; the
//!   address that was checked is the address that is connected to, there is no second resolution;
//! - a name with one refused address among its addresses is refused as a whole;
//! - redirects are not followed, proxies of the environment are not used, nothing is kept between requests but
//!   idle connections;
//! - every request has a time limit, every body a size limit;
//! - no error text tells to which address a name led.

mod client;
mod error;
mod guard;
mod policy;
mod resolve;
mod special;
#[cfg(test)]
mod tls_tests;

pub use client::{Body, Client, Head, Limits};
pub use error::{Error, Refused};
pub use guard::Guard;
pub use policy::Policy;
pub use resolve::{Resolve, Resolving, System};
