//! OS threads with parking_lot's locks.

#[path = "../../../../rows/mutex/parking_threads.rs"]
pub mod mutex;
#[path = "../../../../rows/rwlock/parking_threads.rs"]
pub mod rwlock;

pub const ROWS: crate::Rows = &[("mutex", mutex::run), ("rwlock", rwlock::run)];
