//! Reading and writing beside sockets: pipes between goroutines, and the standard streams.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! gosched::run(|| {
//!     let (mut reader, mut writer) = gosched::io::pipe();
//!     gosched::go(move || writer.write_all(b"through a pipe"));
//!     let mut text = String::new();
//!     reader.read_to_string(&mut text).unwrap();
//!     assert_eq!(text, "through a pipe");
//! });
//! ```
//!
//! # Files
//!
//! The system cannot tell of a regular file when it has something to read: whoever reads holds a thread until the disk has
//! answered. So there are no files here. They are std's, used within [`blocking`](crate::blocking), which takes a thread
//! that may wait and suspends nobody but the goroutine. Deadlines they have none, as in Go, where setting one fails
//! (`os.ErrNoDeadline`); a context ends the wait for one with `ctx.wait(blocking_async(..))`, but not the call itself.
//!
//! ```
//! gosched::run(|| {
//!     let text = gosched::blocking(|| std::fs::read_to_string("Cargo.toml")).unwrap();
//!     assert!(text.contains("[package]"));
//! });
//! ```
//!
//! In Go: package `io`, and `os.Stdin` and its kin.

pub(crate) mod lane;
mod pipe;
mod standard;

pub use lane::{ClosedPipe, PipeFuture};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use standard::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
