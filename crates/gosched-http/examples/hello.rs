//! A server with three pages: `cargo run -p gosched-http --example hello -- 127.0.0.1:8080`, then
//! `curl http://127.0.0.1:8080/hello/world`. Ctrl-C ends it when all requests are answered.

use gosched::context::{background, signal_context};
use gosched::net::TcpListener;
use gosched_http::{Body, Handler, Request, Response, Router, Server};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Prints a line for each request.
fn log(request: Request, next: &dyn Handler) -> Response {
    let what = format!("{} {}", request.method(), request.path());
    let start = Instant::now();
    let response = next.handle(request);
    println!("{what}: {} after {:?}", response.status(), start.elapsed());
    response
}

fn hello(request: Request) -> String {
    format!("hello, {}\n", request.param("name").unwrap_or("whoever you are"))
}

/// A line every 100 ms, as it is counted.
fn count(_: Request) -> Body {
    Body::stream(|writer| {
        for n in 1..=10 {
            writeln!(writer, "{n}")?;
            writer.flush()?;
            gosched::time::sleep(Duration::from_millis(100));
        }
        Ok(())
    })
}

#[gosched::main]
fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let router = Router::new().get("/", hello).get("/hello/{name}", hello).get("/count", count);
    let server = Server::new(router.with(log));
    let listener = TcpListener::bind(&*addr)?;
    println!("listening at http://{}/", listener.local_addr()?);

    let interrupted = signal_context(&background())?;
    let ending = gosched::go({
        let server = server.clone();
        move || {
            let _ = interrupted.done().recv();
            server.shutdown(&background().with_timeout(Duration::from_secs(10)))
        }
    });
    server.serve(listener)?;
    // It accepts nothing more; what has begun is answered first.
    if !matches!(ending.join(), Ok(Ok(()))) {
        eprintln!("some requests were broken off");
    }
    Ok(())
}
