//! Pages fetched with reqwest, an async crate, in straight-line code: a goroutine each, at most so many at once.
//!
//! ```text
//! cargo run -p gosched-ecosystem-test --features reqwest --example reqwest             # from a server of its own
//! cargo run -p gosched-ecosystem-test --features reqwest --example reqwest -- URL...   # without TLS
//! ```

use gosched::net::{TcpListener, TcpStream};
use gosched::sync::Semaphore;
use gosched::{go, scope, wait};
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

const AT_ONCE: usize = 4;

#[gosched::main]
fn main() -> ExitCode {
    let mut urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        urls = (1..=8).map(|n| format!("http://{address}/page/{n}")).collect();
        go(move || listener.incoming().flatten().for_each(|stream| drop(go(move || serve(stream)))));
    }
    // What its connections do in the background, they do on tokio's thread.
    let client = reqwest::Client::new();
    let places = Semaphore::new(AT_ONCE);
    let all_well = scope(|s| {
        let fetches: Vec<_> = urls
            .iter()
            .map(|url| {
                let (client, places) = (&client, &places);
                s.go(move || {
                    let _place = places.acquire_guard(1);
                    let fetched = fetch(client, url);
                    match &fetched {
                        Ok((status, length)) => println!("{status} {length:>8} {url}"),
                        Err(error) => eprintln!("{url}: {error}"),
                    }
                    fetched.is_ok()
                })
            })
            .collect();
        fetches.into_iter().all(|one| one.join().unwrap_or(false))
    });
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What reqwest calls `async` suspends a goroutine here.
fn fetch(client: &reqwest::Client, url: &str) -> reqwest::Result<(u16, usize)> {
    let response = wait(client.get(url).send())?;
    let status = response.status().as_u16();
    Ok((status, wait(response.bytes())?.len()))
}

/// Answers each request of a connection.
fn serve(stream: TcpStream) {
    let mut lines = BufReader::new(&stream).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let body = format!("You asked for {first:?}.\n");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if (&stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
