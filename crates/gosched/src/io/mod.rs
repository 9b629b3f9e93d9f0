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
//! In Go: package `io`, and `os.Stdin` and its kin.

pub(crate) mod lane;
mod pipe;
mod standard;

pub use lane::{ClosedPipe, PipeFuture};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use standard::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
