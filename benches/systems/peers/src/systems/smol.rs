//! smol's tasks and timers.

#[path = "../../../../rows/sleepers/smol.rs"]
pub mod sleepers;

pub const ROWS: crate::Rows = &[("sleepers", sleepers::run)];
