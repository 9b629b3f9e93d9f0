//! A server that runs out of descriptors: row H22 of the features. In processes of their own, since the limit is one of the
//! process.
#![allow(non_snake_case)]
#![cfg(target_os = "linux")]

mod common;

use common::{LONG, bounded};
use gosched::context::background;
use gosched::net::TcpListener;
use gosched_http::{Request, Server};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TEST: &str = "H22_20000_connects_with_a_limit_of_1024_descriptors";
/// What a process of this test is to do.
const ROLE: &str = "GOSCHED_TEST_ROLE";
const LIMIT: usize = 1024;
/// More than the server can take.
const HELD: usize = 1300;
const CONNECTS: usize = 20_000;

/// This test again, with a role and a limit of its own.
fn start(role: &str, descriptors: usize) -> Child {
    let limited = format!("ulimit -S -n {descriptors} && exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The first line that begins with `start`, without that.
fn line(lines: &mut impl BufRead, start: &str) -> Option<String> {
    lines.lines().map_while(Result::ok).find_map(|line| Some(line.split_once(start)?.1.to_owned()))
}

#[test]
fn H22_20000_connects_with_a_limit_of_1024_descriptors() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => return bounded(serve),
        Ok(addr) => {
            let addr = addr.parse().unwrap();
            return bounded(move || storm(addr));
        }
        Err(_) => {}
    }
    let enough = Command::new("sh").args(["-c", &format!("ulimit -S -n {}", HELD + 200)]).status().unwrap();
    if !enough.success() {
        eprintln!("skipped: the limit on descriptors is too low to hold so many connections");
        return;
    }
    let mut server = start("server", LIMIT);
    let mut said = BufReader::new(server.stdout.take().unwrap());
    let addr = line(&mut said, "listening at ").unwrap();
    let mut client = start(&addr, HELD + 200);
    let client_said = io::read_to_string(client.stdout.take().unwrap()).unwrap();
    assert!(client.wait().unwrap().success() && client_said.contains("1 passed"), "{client_said}");
    drop(server.stdin.take());
    let failures = line(&mut said, "failures: ");
    let rest = io::read_to_string(said).unwrap();
    assert!(server.wait().unwrap().success() && rest.contains("1 passed"), "{rest}");
    // It rests between them, and does not spin.
    let failures: usize = failures.unwrap().parse().unwrap();
    assert!((1..500).contains(&failures), "{failures} failures");
}

/// Until its standard input ends.
fn serve() {
    let failures = Arc::new(AtomicUsize::new(0));
    gosched::run({
        let failures = failures.clone();
        move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = Server::builder()
                .read_header_timeout(None)
                .idle_timeout(None)
                .error_log(move |_| {
                    failures.fetch_add(1, Ordering::Relaxed);
                })
                .handler(|_: Request| "hello");
            let serving = gosched::go({
                let server = server.clone();
                move || server.serve(listener)
            });
            println!("listening at {addr}");
            gosched::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            server.shutdown(&background().with_timeout(LONG)).unwrap();
            serving.join().unwrap().unwrap();
            gosched::debug::leak::check().unwrap();
        }
    });
    println!("failures: {}", failures.load(Ordering::Relaxed));
}

fn storm(addr: SocketAddr) {
    let mut held: Vec<_> = (0..HELD).map(|_| connect(addr)).collect();
    let mut last = held.pop().unwrap();
    last.write_all(common::get("/").as_bytes()).unwrap();
    last.set_read_timeout(Some(common::ms(300))).unwrap();
    let waits = last.read(&mut [0]).unwrap_err();
    assert!(matches!(waits.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{waits}");
    // Those it has taken are served meanwhile.
    let start = Instant::now();
    ask(&mut held[0]);
    ask(&mut held[LIMIT / 2]);
    assert!(start.elapsed() < LONG);
    drop(held);
    last.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 1, "it recovers");
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| (0..CONNECTS / 8).for_each(|_| ask(&mut connect(addr))));
        }
    });
}

/// One that is reset when it is dropped: so many in a row would use up the ports otherwise.
fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(common::get("/").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut buf = [0; 512];
        let n = stream.read(&mut buf).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buf[..n]);
    }
}
