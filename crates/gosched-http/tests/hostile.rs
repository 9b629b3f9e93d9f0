//! A server under attack, one way of attacking after the other: it keeps serving others, takes no more memory than a bound,
//! shuts down while the attackers are still there, and leaves nothing behind. What each of them gets for an answer is in
//! limits.rs; running out of descriptors is in descriptors.rs.
#![cfg(target_os = "linux")]

mod common;

use common::{Served, eventually, everywhere, get, ms, serve_with};
use gosched::net::TcpStream;
use gosched::{JoinHandle, go, time};
use gosched_http::{Body, IntoResponse, Request, Response, Server};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What all attackers together may cost; they send, or ask for, a multiple of it.
const BOUND: usize = 64 << 20;
/// After that a server gives up whom it waits for.
const LIMIT: Duration = ms(300);

/// One at a time: the memory is the process's.
static SIEGE: Mutex<()> = Mutex::new(());

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn handler(mut request: Request) -> Response {
    match request.path() {
        "/read" => match request.body_mut().bytes(1 << 20) {
            Ok(bytes) => bytes.into_response(),
            Err(_) => "it did not come".into_response(),
        },
        "/echo" => request.into_body().into_response(),
        "/endless" => Body::stream(|writer| {
            loop {
                writer.send(vec![b'x'; 1 << 16])?;
            }
        })
        .into_response(),
        "/large" => vec![b'x'; 1 << 16].into_response(),
        _ => "hello".into_response(),
    }
}

/// One who asks again and again while the server is attacked, and looks at the memory.
struct Witness {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    asking: JoinHandle<usize>,
}

impl Witness {
    fn new(served: &Served) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let asking = go({
            let (stop, answered, addr) = (stop.clone(), answered.clone(), served.addr);
            move || {
                let mut most = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    stream.set_read_timeout(Some(common::LONG)).unwrap();
                    stream.write_all(common::get_last("/").as_bytes()).unwrap();
                    assert!(common::read_all(&mut stream).ends_with("hello"), "it serves others");
                    answered.fetch_add(1, Ordering::Relaxed);
                    most = most.max(resident());
                    time::sleep(ms(1));
                }
                most
            }
        });
        Self { stop, answered, asking }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// The most memory that there was.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.join().unwrap()
    }
}

/// Lets `count` attackers come at once. Each returns when it can do no more, and stays.
fn under_attack(count: usize, attack: fn(&mut TcpStream, usize) -> io::Result<()>) {
    let _one = SIEGE.lock().unwrap_or_else(PoisonError::into_inner);
    everywhere(move || {
        let builder = Server::builder()
            .read_header_timeout(LIMIT)
            .read_timeout(LIMIT)
            .idle_timeout(LIMIT)
            .stall_timeout(LIMIT);
        let served = serve_with(builder.error_log(|_| {}), handler);
        assert!(served.get("/").ends_with("hello"));
        let before = resident();
        let witness = Witness::new(&served);
        let come = || -> Vec<_> {
            let streams = (0..count).map(|_| served.connect()).enumerate();
            let attacker = |n, mut stream| {
                move || {
                    // However it fails: it is what the server has made of it.
                    let _ = attack(&mut stream, n);
                    stream
                }
            };
            streams.map(|(n, stream)| go(attacker(n, stream))).collect()
        };
        let leave = |attackers: Vec<JoinHandle<_>>| -> Vec<TcpStream> {
            attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect()
        };
        let answered = witness.answered();
        let attackers = come();
        eventually("others are served", || witness.answered() > answered + 3);
        let still_there = leave(attackers);
        eventually("the attackers were given up", || served.server.connections() <= 1);
        drop(still_there);
        // And once more: this time it is told to end while they are at it.
        let attackers = come();
        let most = witness.end();
        served.end();
        drop(leave(attackers));
        assert!(most < before + BOUND, "from {before} to {most} bytes");
        gosched::debug::leak::check().unwrap();
    });
}

/// Sends a byte now and then, for as long as anybody takes it; for longer than the server should.
fn drip(stream: &mut TcpStream) {
    for _ in 0..2000 {
        if stream.write_all(b"x").is_err() {
            return;
        }
        time::sleep(ms(10));
    }
    panic!("it was never given up");
}

/// Sends the same bytes for ever, or so; how many were taken.
fn pour(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(4 * LIMIT)).unwrap();
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(bytes).is_ok() {
        sent += bytes.len();
    }
    sent
}

#[test]
fn slow_heads() {
    under_attack(200, |stream, n| {
        stream.write_all(["GET / HT", "GET / HTTP/1.1\r\nA: "][n % 2].as_bytes())?;
        drip(stream);
        Ok(())
    });
}

#[test]
fn slow_bodies() {
    under_attack(200, |stream, n| {
        let length = ["Content-Length: 1000000", "Transfer-Encoding: chunked"][n % 2];
        let chunk = ["", "f4240\r\n"][n % 2];
        let path = ["/read", "/echo"][n / 2 % 2];
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n{chunk}");
        stream.write_all(head.as_bytes())?;
        drip(stream);
        Ok(())
    });
}

#[test]
fn large_bodies_that_nobody_wants() {
    under_attack(50, |stream, n| {
        let path = ["/", "/read", "/echo"][n % 3];
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        pour(stream, &[b'x'; 1 << 16]);
        Ok(())
    });
}

#[test]
fn endless_heads() {
    under_attack(100, |stream, n| {
        stream.write_all(["GET /", "GET / HTTP/1.1\r\nA: "][n % 2].as_bytes())?;
        let sent = pour(stream, &[b'x'; 1 << 14]);
        assert!(sent < 1 << 26, "{sent} bytes of a head were taken");
        Ok(())
    });
}

#[test]
fn endless_headers() {
    under_attack(100, |stream, _| {
        stream.write_all(b"GET / HTTP/1.1\r\n")?;
        let sent = pour(stream, "a: b\r\n".repeat(1000).as_bytes());
        assert!(sent < 1 << 26, "{sent} bytes of headers were taken");
        Ok(())
    });
}

#[test]
fn pipelined_garbage() {
    under_attack(100, |stream, n| {
        let requests = get("/").repeat(n);
        if stream.write_all(requests.as_bytes()).is_ok() {
            pour(stream, &[0x80; 1 << 14]);
        }
        Ok(())
    });
}

#[test]
fn pipelined_requests_whose_answers_nobody_reads() {
    under_attack(50, |stream, _| {
        pour(stream, get("/large").repeat(1000).as_bytes());
        Ok(())
    });
}

#[test]
fn half_closed_connections() {
    under_attack(200, |stream, n| {
        let opening = ["", "GET / HT", &get("/"), &get("/endless")][n % 4].to_owned();
        stream.write_all(opening.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        Ok(())
    });
}

#[test]
fn resets_in_the_middle_of_a_response() {
    under_attack(100, |stream, n| {
        stream.write_all(get("/endless").as_bytes())?;
        let mut part = vec![0; n * 1000];
        // Where the server is faster to end, nothing more comes.
        let _ = stream.read_exact(&mut part);
        stream.set_linger(Some(Duration::ZERO))?;
        stream.close()?;
        Ok(())
    });
}

#[test]
fn clients_that_never_read() {
    under_attack(50, |stream, _| {
        stream.write_all(get("/endless").as_bytes())?;
        Ok(())
    });
}

#[test]
fn requests_with_two_ends_or_none() {
    under_attack(100, |stream, n| {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let (headers, body) = [
            ("Content-Length: 5\r\nContent-Length: 6\r\n", get("/endless")),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", format!("0\r\n\r\n{}", get("/"))),
            (chunked, format!("ffffffffffffffffff\r\n{}", get("/endless"))),
            (chunked, format!("5;{}", "x".repeat(1 << 20))),
            (chunked, format!("0\r\n{}", "a: b\r\n".repeat(1 << 17))),
        ][n % 5]
            .clone();
        stream.write_all(format!("POST /read HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}").as_bytes())
    });
}
