//! tokio's tasks with parking_lot's locks.

#[path = "../../../../rows/lock/parking.rs"]
pub mod lock;
#[path = "../../../../rows/mutex/parking.rs"]
pub mod mutex;
#[path = "../../../../rows/rlock/parking.rs"]
pub mod rlock;
#[path = "../../../../rows/rwlock/parking.rs"]
pub mod rwlock;

pub const ROWS: crate::Rows =
    &[("lock", lock::run), ("mutex", mutex::run), ("rlock", rlock::run), ("rwlock", rwlock::run)];
