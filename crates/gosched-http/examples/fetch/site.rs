//! A site on loopback, of which some pages are slow and some fail.

use crate::urls::Target;
use gosched::JoinHandle;
use gosched::context::background;
use gosched::net::TcpListener;
use gosched::time::sleep;
use gosched_http::{IntoResponse, Request, Response, Router, Server, StatusCode, abort};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

pub(crate) struct Site {
    server: Server,
    serving: JoinHandle<io::Result<()>>,
    addr: SocketAddr,
    pages: usize,
}

impl Site {
    pub(crate) fn start(pages: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        // Which pages were asked for already.
        let seen: Vec<AtomicBool> = (0..pages).map(|_| AtomicBool::new(false)).collect();
        let router = Router::new().get("/page/{number}", move |request: Request| {
            let number = request.param("number").and_then(|number| number.parse().ok());
            match number.and_then(|number: usize| Some((number, seen.get(number)?))) {
                Some((number, seen)) => page(&request, number, seen.swap(true, Relaxed)),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        });
        let server = Server::new(router);
        let serving = gosched::go({
            let server = server.clone();
            move || server.serve(listener)
        });
        Ok(Self { server, serving, addr, pages })
    }

    pub(crate) fn urls(&self) -> impl Iterator<Item = Target> + Send + 'static {
        let addr = self.addr;
        (0..self.pages).map(move |number| Ok(format!("http://{addr}/page/{number}")))
    }

    pub(crate) fn stop(self) -> io::Result<()> {
        // Nobody asks for anything any more; a page that hangs is not worth waiting for.
        if self.server.shutdown(&background().with_timeout(Duration::from_secs(1))).is_err() {
            self.server.close();
        }
        self.serving.join().expect("the server does not panic")
    }
}

/// Of a thousand pages 850 are as they should be, 100 are slow, 20 fail the first time, 20 are not there, 9 break the
/// connection off, and one hangs the first time.
fn page(request: &Request, number: usize, again: bool) -> Response {
    let content = || vec![b'x'; 1000 + number * 7919 % 20_000].into_response();
    match number % 1000 {
        999 if !again => {
            let _ = request.context().done().recv();
            content()
        }
        999 => content(),
        n if n % 10 == 7 => {
            sleep(Duration::from_millis(20 + (number * 31 % 200) as u64));
            content()
        }
        n if n % 50 == 3 && !again => (StatusCode::SERVICE_UNAVAILABLE, "not yet\n").into_response(),
        n if n % 50 == 13 => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
        n if n % 100 == 99 => abort(),
        _ => content(),
    }
}
