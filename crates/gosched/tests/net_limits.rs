//! What sockets cost a process, and what becomes of one that runs out of descriptors: rows I02, I03 and I11 of the
//! features. In processes of their own.
#![allow(non_snake_case)]
#![cfg(target_os = "linux")]

mod common;

use common::{Child, bounded, cpu_time, eventually, is_child, ms};
use gosched::net::{TcpListener, TcpStream};
use gosched::{Runtime, debug, go, time};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many descriptors of this process are the reactor's poll.
fn polls() -> usize {
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().path().read_link().ok());
    links.filter(|link| link.to_string_lossy().contains("eventpoll")).count()
}

#[test]
#[cfg_attr(feature = "tokio", ignore = "tokio's reactor has one")]
fn I02_a_program_without_sockets_has_no_poll() {
    if !is_child() {
        Child::new("I02_a_program_without_sockets_has_no_poll").passes();
        return;
    }
    gosched::run(|| {
        time::sleep(ms(3));
        go(|| time::sleep(ms(1))).join().unwrap();
        assert_eq!(polls(), 0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(polls() > 0, "the check finds it where there is one");
        drop(listener);
    });
}

#[test]
fn I02_waiting_for_sockets_takes_no_processor_time() {
    if !is_child() {
        Child::new("I02_waiting_for_sockets_takes_no_processor_time").passes();
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run({
        let listener = listener.clone();
        move || {
            let (stream, _) = listener.accept().unwrap();
            go(move || listener.accept());
            go(move || (&stream).read(&mut [0]));
        }
    });
    // And a plain thread, which has no runtime to look for it.
    thread::spawn(move || (&client).read(&mut [0]));
    // The monitor has to see first that nothing happens.
    thread::sleep(ms(300));
    let before = cpu_time();
    thread::sleep(ms(500));
    let used = cpu_time() - before;
    assert!(used < ms(15), "{used:?} for nothing");
}

/// Of the process that runs out of descriptors.
const LIMIT: u64 = 1024;
const PORT_FILE: &str = "GOSCHED_TEST_PORT_FILE";
const HELD: usize = 1300;
const CONNECTS: usize = 20_000;
const QUIT: u8 = b'q';

fn set_limit(descriptors: u64) -> bool {
    // SAFETY: all zero is a valid record, which the call fills in.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the record is valid while the call writes it.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    if limit.rlim_max < descriptors {
        return false;
    }
    limit.rlim_cur = descriptors;
    // SAFETY: the record is valid while the call reads it.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0 }
}

/// A server that is given more connections than it has descriptors for: it does not spin, and serves all when there is
/// room again.
#[test]
fn I11_20000_connects_with_a_limit_of_1024_descriptors() {
    if is_child() {
        return serve_with_few_descriptors();
    }
    if !set_limit(HELD as u64 + 200) {
        eprintln!("skipped: the limit on descriptors is too low to hold so many connections");
        return;
    }
    let file = std::env::temp_dir().join(format!("gosched-port-{}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let child = Child::new("I11_20000_connects_with_a_limit_of_1024_descriptors")
        .env(PORT_FILE, file.to_str().unwrap());
    let server = thread::spawn(move || child.passes());
    bounded(move || storm(file));
    server.join().unwrap();
}

fn serve_with_few_descriptors() {
    assert!(set_limit(LIMIT));
    let served = Arc::new(AtomicUsize::new(0));
    let failed = gosched::run({
        let served = served.clone();
        move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let file = PathBuf::from(std::env::var_os(PORT_FILE).unwrap());
            std::fs::write(&file, listener.local_addr().unwrap().to_string()).unwrap();
            let mut failed = 0;
            let start = (Instant::now(), cpu_time());
            let mut scarce = None;
            loop {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (served, listener) = (served.clone(), listener.clone());
                        go(move || serve_one(&stream, &served, &listener));
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                        failed += 1;
                        scarce.get_or_insert((Instant::now(), cpu_time()));
                    }
                    // Closed, by one who was told to quit.
                    Err(_) => break,
                }
            }
            assert!(scarce.is_some(), "it never ran out of descriptors");
            eprintln!("{failed} failures, {:?} of {:?}", cpu_time() - start.1, start.0.elapsed());
            failed
        }
    });
    assert!((1..200).contains(&failed), "{failed} failures: it does not rest between them");
    assert!(served.load(Ordering::SeqCst) >= CONNECTS);
}

fn serve_one(mut stream: &TcpStream, served: &AtomicUsize, listener: &TcpListener) {
    let mut buf = [0];
    while let Ok(1) = stream.read(&mut buf) {
        if buf[0] == QUIT {
            let _ = listener.close();
        }
        if stream.write_all(&buf).is_ok() {
            served.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn storm(file: PathBuf) {
    let address = || std::fs::read_to_string(&file).ok()?.parse::<SocketAddr>().ok();
    eventually("the server listens", || address().is_some());
    let addr = address().unwrap();
    std::fs::remove_file(&file).unwrap();
    // More than the server can take. Those beyond are in the system's queue; they get no answer while the others stay.
    let mut held: Vec<_> = (0..HELD).map(|_| connect(addr)).collect();
    let mut last = held.pop().unwrap();
    last.write_all(b"x").unwrap();
    last.set_read_timeout(Some(ms(300))).unwrap();
    let waits = last.read(&mut [0]).unwrap_err();
    assert!(matches!(waits.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{waits}");
    // Those it has taken are served meanwhile.
    ask(&mut held[0], b'a');
    drop(held);
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 1, "it recovers");
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for i in 0..CONNECTS / 8 {
                    ask(&mut connect(addr), (i % 100) as u8);
                }
            });
        }
    });
    ask(&mut connect(addr), QUIT);
}

/// One that is reset when it is dropped: so many in a row would use up the ports otherwise.
fn connect(addr: SocketAddr) -> std::net::TcpStream {
    let stream = std::net::TcpStream::connect(addr).unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    stream
}

fn ask(stream: &mut std::net::TcpStream, byte: u8) {
    stream.write_all(&[byte]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [byte]);
}

#[test]
fn a_server_that_is_closed_leaves_no_goroutine_behind() {
    if !is_child() {
        Child::new("a_server_that_is_closed_leaves_no_goroutine_behind").passes();
        return;
    }
    gosched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = go({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    go(move || io::copy(&mut &stream, &mut &stream));
                }
            }
        });
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let left = debug::leak::check().expect_err("the server and its connection are there");
        assert_eq!(left.goroutines().len(), 2);
        drop(stream);
        listener.close().unwrap();
        server.join().unwrap();
        debug::leak::check().unwrap();
    });
}
