//! Sockets: std's methods, waiting as goroutines do.
//!
//! Reading, writing, accepting and connecting block the goroutine only (I01); a plain thread blocks itself. Each has a
//! form that is a future, for executors of any kind and for `ctx.wait`. A socket belongs to no runtime: it may be made in
//! one, used in another, and shared by both.
//!
//! ```
//! use gosched::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! gosched::run(|| -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     gosched::go(move || {
//!         while let Ok((stream, _)) = listener.accept() {
//!             // A goroutine for each connection.
//!             gosched::go(move || std::io::copy(&mut &stream, &mut &stream));
//!         }
//!     });
//!     let mut stream = TcpStream::connect(addr)?;
//!     stream.write_all(b"ping")?;
//!     let mut answer = [0; 4];
//!     stream.read_exact(&mut answer)?;
//!     assert_eq!(&answer, b"ping");
//!     Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! In Go: package `net`.

mod addr;
mod calls;
mod error;
mod pipe;
mod port;
mod stream;
mod tcp;
mod udp;
mod unix;

#[cfg(any(feature = "hyper", feature = "futures-io", feature = "tokio-io"))]
mod traits;

pub use addr::{ToSocketAddrs, lookup_host, lookup_host_async};
pub use error::{Closed, DeadlineExceeded};
pub use pipe::{PipeStream, pipe};
pub use port::IoFuture;
pub use tcp::{Accept, Connect, Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{ConnectUnix, IncomingUnix, UnixListener, UnixStream};
