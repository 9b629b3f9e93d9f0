//! rayon's thread pool.

#[path = "../../../../rows/digest_small/rayon.rs"]
pub mod digest_small;

pub const ROWS: crate::Rows = &[("digest_small", digest_small::run)];
