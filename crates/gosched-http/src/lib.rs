//! HTTP for [gosched]: a server whose handlers are plain functions that may block, and a client.
//!
//! ```no_run
//! use gosched_http::{Request, Router, listen_and_serve};
//!
//! fn hello(request: Request) -> String {
//!     // Anything that blocks a goroutine may be done here.
//!     gosched::time::sleep(std::time::Duration::from_millis(5));
//!     format!("hello, {}\n", request.param("name").unwrap())
//! }
//!
//! #[gosched::main]
//! fn main() -> std::io::Result<()> {
//!     listen_and_serve("127.0.0.1:8080", Router::new().get("/hello/{name}", hello))
//! }
//! ```
//!
//! HTTP itself is [hyper](https://hyper.rs)'s; what is here is what stands around it: connections as goroutines, limits on
//! time, contexts of requests, ending without breaking anything off.
//!
//! Features, of which only `http2` is on by default:
//!
//! - `http2`: HTTP/2 for the server;
//! - `tls`: TLS by rustls, for the server and the client;
//! - `compression`: the client reads what comes compressed by gzip or brotli;
//! - `json`: `Json`, `Body::json`, `Client::post_json`, `RequestBuilder::json`.
//!
//! In Go: package `net/http`.

#![forbid(unsafe_code)]

mod body;
mod client;
#[cfg(feature = "compression")]
mod decode;
mod handler;
#[cfg(feature = "json")]
mod json;
mod request;
mod response;
mod router;
mod server;
mod slot;
#[cfg(feature = "tls")]
mod tls;
mod writer;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use body::{Body, NextChunk};
pub use client::{Client, ClientBuilder, Error, Proxy, RequestBuilder, get};
pub use handler::{Handler, With, WithTimeout, abort};
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
#[cfg(feature = "json")]
pub use json::Json;
pub use request::Request;
pub use response::{IntoResponse, Response};
pub use router::Router;
pub use server::{Builder, ConnState, Server, listen_and_serve};
pub use slot::{ClientGone, ConnInfo};
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
pub use writer::BodyWriter;

/// Locks. A panic under one of our locks leaves what it guards as it should be.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
