//! axum on tokio.

#[path = "../../../../rows/http/axum.rs"]
pub mod http;

pub const ROWS: crate::Rows = &[("http", http::run)];
