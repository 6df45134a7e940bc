//! The shapes clients see (contract §2). Plain structs; conversions from the domain in one place each.

pub mod batch;
pub mod certificate;
pub mod engines;
pub mod outdated;
pub mod result;
