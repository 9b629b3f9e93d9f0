//! The systems, each with the table of its rows.

pub mod go_lib;
pub mod may;
