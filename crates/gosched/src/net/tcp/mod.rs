//! TCP.

mod connect;
mod listener;
mod stream;

pub use connect::Connect;
pub(super) use connect::connect as connect_socket;
pub use listener::{Accept, Incoming, TcpListener};
pub(super) use listener::{Rest, accept_nonblocking};
pub use stream::TcpStream;
