//! `echo`: a TCP server that sends back what it gets, and clients that see whether it does.
//!
//! ```text
//! cargo run --release --example echo                                      # both, in this process
//! cargo run --release --example echo -- serve [ADDRESS]                   # 127.0.0.1:7777
//! cargo run --release --example echo -- load [ADDRESS [CLIENTS [ROUNDS]]]
//! ```
//!
//! A goroutine for each connection, on both sides, in straight-line code: reading and writing suspend it, and nobody else.

use gosched::net::{TcpListener, TcpStream, ToSocketAddrs};
use gosched::{chan, go};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ADDRESS: &str = "127.0.0.1:7777";
const CLIENTS: usize = 100;
const ROUNDS: usize = 50;
/// Nobody answers so late.
const PATIENCE: Duration = Duration::from_secs(10);

#[gosched::main]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        [] => both(),
        ["serve"] => TcpListener::bind(ADDRESS).and_then(|listener| serve(&listener)),
        ["serve", address] => TcpListener::bind(address).and_then(|listener| serve(&listener)),
        ["load"] => load(ADDRESS, CLIENTS, ROUNDS),
        ["load", address] => load(address, CLIENTS, ROUNDS),
        ["load", address, clients] => match clients.parse() {
            Ok(clients) => load(address, clients, ROUNDS),
            Err(_) => return usage(),
        },
        ["load", address, clients, rounds] => match (clients.parse(), rounds.parse()) {
            (Ok(clients), Ok(rounds)) => load(address, clients, rounds),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: echo [serve [ADDRESS] | load [ADDRESS [CLIENTS [ROUNDS]]]]");
    ExitCode::from(2)
}

fn both() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = go({
        let listener = listener.clone();
        move || serve(&listener)
    });
    load(address, CLIENTS, ROUNDS)?;
    // Ends the server's `accept`, and with it the server.
    listener.close()?;
    server.join().expect("the server does not panic")
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(go(move || echo(&stream))),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<gosched::net::Closed>()) => {
                return Ok(());
            }
            // Out of descriptors, say. The next `accept` waits a little before it tries.
            Err(error) => eprintln!("echo: {error}"),
        }
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            n => stream.write_all(&buf[..n])?,
        }
    }
}

/// What a client has seen.
struct Seen {
    bytes: usize,
    slowest: Duration,
}

fn load(address: impl ToSocketAddrs, clients: usize, rounds: usize) -> io::Result<()> {
    let addresses = gosched::net::lookup_host(address)?;
    let start = Instant::now();
    let (results, all) = chan::unbounded();
    for client in 0..clients {
        let (addresses, results) = (addresses.clone(), results.clone());
        go(move || results.send(talk(addresses, client, rounds)));
    }
    drop(results);
    let mut total = Seen { bytes: 0, slowest: Duration::ZERO };
    for seen in all {
        let seen = seen?;
        total.bytes += seen.bytes;
        total.slowest = total.slowest.max(seen.slowest);
    }
    let (trips, took) = (clients * rounds, start.elapsed());
    println!("{clients} clients, {trips} round trips, {} bytes each way: all came back", total.bytes);
    println!(
        "{:.0} round trips per second, the slowest took {:.1?}",
        trips as f64 / took.as_secs_f64(),
        total.slowest
    );
    Ok(())
}

fn talk(addresses: Vec<std::net::SocketAddr>, client: usize, rounds: usize) -> io::Result<Seen> {
    let mut stream = TcpStream::connect(addresses)?;
    stream.set_nodelay(true)?;
    let mut seen = Seen { bytes: 0, slowest: Duration::ZERO };
    for round in 0..rounds {
        let message = format!("message {round} of client {client}\n");
        let start = Instant::now();
        stream.set_deadline(Some(start + PATIENCE))?;
        stream.write_all(message.as_bytes())?;
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer)?;
        if answer != message.as_bytes() {
            return Err(io::Error::other(format!("client {client} got something else back")));
        }
        seen.bytes += message.len();
        seen.slowest = seen.slowest.max(start.elapsed());
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(seen)
}
