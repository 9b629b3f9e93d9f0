//! TCP.

mod connect;
mod listener;
mod stream;

pub use connect::Connect;
pub use listener::{Accept, Incoming, TcpListener};
pub use stream::TcpStream;
