//! rayon's thread pool.

#[path = "../../../../rows/digest_small/rayon.rs"]
pub mod digest_small;
#[path = "../../../../rows/fib/rayon.rs"]
pub mod fib;
#[path = "../../../../rows/startup/rayon.rs"]
pub mod startup;

pub const ROWS: crate::Rows =
    &[("digest_small", digest_small::run), ("fib", fib::run), ("startup", startup::run)];
