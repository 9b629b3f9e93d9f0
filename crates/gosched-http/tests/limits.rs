//! Limits on time and size, and clients that mean no good. Rows H12 to H16 of the features.
#![allow(non_snake_case)]

mod common;

use common::{
    LONG, Served, assert_closed, eventually, everywhere, get, get_last, ms, read_all, read_head,
    read_response, serve, serve_with,
};
use gosched::chan;
use gosched::context::background;
use gosched::go;
use gosched::net::TcpStream;
use gosched_http::{Body, IntoResponse, Request, Server};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

fn hello(_: Request) -> &'static str {
    "hello"
}

fn reads(mut request: Request) -> Result<String, io::Error> {
    request.body_mut().text(1 << 20)
}

/// Others are served whatever this test has done.
fn still_serves(served: &Served) {
    assert!(served.get("/").ends_with("hello"));
}

fn no_limits() -> gosched_http::Builder {
    Server::builder().read_header_timeout(None).idle_timeout(None).stall_timeout(None)
}

#[test]
fn H12_a_body_that_comes_too_slowly_fails_to_be_read() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve_with(no_limits().read_timeout(ms(50)), move |mut request: Request| {
            tx.send(request.body_mut().text(100).map_err(|error| error.kind())).unwrap();
            "it was too slow"
        });
        let mut stream = served.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        assert_eq!(rx.recv().unwrap(), Err(io::ErrorKind::TimedOut));
        // The handler may still answer; then the connection is of no use.
        assert!(read_all(&mut stream).ends_with("it was too slow"));
        // In time it is read.
        let answer = served
            .exchange("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(rx.recv().unwrap(), Ok("abc".to_owned()));
        served.end();
    });
}

#[test]
fn H13_slow_heads_are_not_waited_for() {
    everywhere(|| {
        let served = serve_with(no_limits().read_header_timeout(ms(50)), hello);
        // Nothing at all; a part; a part after a request; a byte now and then.
        let mut silent = served.connect();
        let mut part = served.connect();
        part.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        let mut second = served.connect();
        second.write_all(get("/").as_bytes()).unwrap();
        read_response(&mut second);
        second.write_all(b"GET / HT").unwrap();
        let mut drip = served.connect();
        let dripping = go({
            let mut drip = drip.clone();
            move || {
                let start = Instant::now();
                // It ends by the server's closing.
                while drip.write_all(b"x").is_ok() && start.elapsed() < LONG {
                    gosched::time::sleep(ms(5));
                }
                start.elapsed()
            }
        });
        for stream in [&mut silent, &mut part, &mut second, &mut drip] {
            assert_closed(stream);
        }
        assert!(dripping.join().unwrap() < LONG);
        still_serves(&served);
        served.end();
    });
}

#[test]
fn H13_without_it_the_limit_on_the_whole_request_counts() {
    everywhere(|| {
        let served = serve_with(no_limits().read_timeout(ms(50)), hello);
        let mut part = served.connect();
        part.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        assert_closed(&mut part);
        served.end();
    });
}

#[test]
fn H14_a_response_that_takes_too_long_is_broken_off() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve_with(no_limits().write_timeout(ms(100)), move |_: Request| {
            let tx = tx.clone();
            Body::stream(move |writer| {
                let start = Instant::now();
                loop {
                    // The client reads all of it, so nothing stalls.
                    if let Err(error) = writer.send("more ") {
                        tx.send(error.kind()).unwrap();
                        return Err(error);
                    }
                    assert!(start.elapsed() < LONG);
                    gosched::time::sleep(ms(5));
                }
            })
        });
        let answer = served.get("/");
        assert!(answer.contains("more ") && !answer.ends_with("0\r\n\r\n"), "{answer}");
        assert_eq!(rx.recv().unwrap(), io::ErrorKind::BrokenPipe);
        served.end();
    });
}

#[test]
fn H14_each_request_has_its_own_time() {
    everywhere(|| {
        let served = serve_with(no_limits().write_timeout(ms(400)), hello);
        let mut stream = served.connect();
        for _ in 0..5 {
            stream.write_all(get("/").as_bytes()).unwrap();
            read_response(&mut stream);
            gosched::time::sleep(ms(150));
        }
        served.end();
    });
}

#[test]
fn H15_an_idle_connection_is_closed() {
    everywhere(|| {
        let served = serve_with(no_limits().idle_timeout(ms(50)), hello);
        let mut stream = served.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        read_response(&mut stream);
        assert_closed(&mut stream);
        served.end();
    });
}

#[test]
fn H15_a_handler_that_takes_its_time_is_not_idle() {
    everywhere(|| {
        let limits = Server::builder().idle_timeout(ms(20)).read_header_timeout(ms(20)).stall_timeout(ms(20));
        let served = serve_with(limits, |mut request: Request| {
            let _ = request.body_mut().bytes(100);
            gosched::time::sleep(ms(100));
            "done"
        });
        assert!(served.get("/").ends_with("done"));
        let post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert!(served.exchange(post).ends_with("done"));
        served.end();
    });
}

#[test]
fn H16_large_heads_are_refused() {
    everywhere(|| {
        let served = serve_with(Server::builder().max_header_bytes(10_000), hello);
        let with = |bytes: usize| {
            let padding = "x".repeat(bytes);
            served.exchange(format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: x\r\nA: {padding}\r\n\r\n"))
        };
        assert!(with(9_000).ends_with("hello"));
        assert!(with(11_000).starts_with("HTTP/1.1 431 "));
        // An address counts, too; so does one that never ends.
        let mut stream = served.connect();
        let endless = go({
            let mut stream = stream.clone();
            move || {
                let chunk = [b'x'; 4096];
                let mut sent = stream.write_all(b"GET /").map(|()| 0_usize).unwrap();
                while sent < 1 << 26 && stream.write_all(&chunk).is_ok() {
                    sent += chunk.len();
                }
                sent
            }
        });
        let answer = read_all(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        drop(stream);
        assert!(endless.join().unwrap() < 1 << 26);
        still_serves(&served);
        served.end();
    });
}

#[test]
fn H16_many_headers_are_refused() {
    everywhere(|| {
        let count = |count: usize| {
            let headers: String = (0..count).map(|n| format!("h{n}: x\r\n")).collect();
            format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: x\r\n{headers}\r\n")
        };
        let served = serve(hello);
        assert!(served.exchange(count(50)).ends_with("hello"));
        assert!(served.exchange(count(150)).starts_with("HTTP/1.1 431 "));
        served.end();
        let served = serve_with(Server::builder().max_headers(500), hello);
        assert!(served.exchange(count(450)).ends_with("hello"));
        assert!(served.exchange(count(550)).starts_with("HTTP/1.1 431 "));
        served.end();
    });
}

#[test]
fn a_body_that_stalls_fails_to_be_read() {
    everywhere(|| {
        let served = serve_with(no_limits().stall_timeout(ms(50)), |request: Request| match reads(request) {
            Ok(text) => text,
            Err(error) => format!("{:?}", error.kind()),
        });
        let mut stream = served.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        assert!(read_all(&mut stream).ends_with("TimedOut"));
        // Slow is not stalled.
        let mut stream = served.connect();
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
            .unwrap();
        for _ in 0..10 {
            gosched::time::sleep(ms(10));
            // On a machine that stands still for longer it may have been given up.
            if stream.write_all(b"x").is_err() {
                break;
            }
        }
        let answer = read_all(&mut stream);
        assert!(answer.ends_with("xxxxxxxxxx") || answer.ends_with("TimedOut"), "{answer}");
        served.end();
    });
}

#[test]
fn H12_a_body_that_never_ends_fails_to_be_read_however_fast_it_comes() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve_with(no_limits().read_timeout(ms(50)), move |mut request: Request| {
            if request.path() == "/echo" {
                return request.into_body();
            }
            let read = io::copy(request.body_mut(), &mut io::sink());
            tx.send(read.map_err(|error| error.kind())).unwrap();
            Body::empty()
        });
        for path in ["/read", "/echo"] {
            let mut stream = served.connect();
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000000\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let reading = go({
                let mut stream = stream.clone();
                move || io::copy(&mut stream, &mut io::sink()).unwrap_or_default()
            });
            let start = Instant::now();
            while stream.write_all(&[b'x'; 1 << 16]).is_ok() {
                assert!(start.elapsed() < LONG, "it takes all there is");
            }
            reading.join().unwrap();
        }
        assert_eq!(rx.recv().unwrap(), Err(io::ErrorKind::TimedOut));
        served.end();
    });
}

/// A body that is handed on as the body of the response is read by nobody but the server itself.
#[test]
fn H12_a_body_that_is_handed_on_has_the_same_limits() {
    everywhere(|| {
        for limits in [no_limits().read_timeout(ms(50)), no_limits().stall_timeout(ms(50))] {
            let served = serve_with(limits, |request: Request| request.into_body());
            for body in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
                let mut stream = served.connect();
                stream.write_all(format!("POST / HTTP/1.1\r\nHost: x\r\n{body}").as_bytes()).unwrap();
                // What has come was sent back; that it is not all can be seen.
                let answer = read_all(&mut stream);
                assert!(answer.contains("abc") && !answer.ends_with("0\r\n\r\n"), "{answer}");
            }
            let post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
            assert!(served.exchange(post).ends_with("hi"));
            served.end();
        }
        // Each byte is in time, but not the whole.
        let served = serve_with(no_limits().read_timeout(ms(50)), |request: Request| request.into_body());
        let mut stream = served.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        let start = Instant::now();
        while stream.write_all(b"x").is_ok() {
            assert!(start.elapsed() < LONG);
            gosched::time::sleep(ms(5));
        }
        served.end();
    });
}

/// Does not read what it asks for, until `done`.
fn greedy(served: &Served, path: &str) -> TcpStream {
    let mut stream = served.connect();
    stream.write_all(get(path).as_bytes()).unwrap();
    stream
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve_with(no_limits().stall_timeout(ms(100)), move |request: Request| {
            if request.path() == "/" {
                return "hello".into_response();
            }
            if request.path() == "/whole" {
                return vec![b'x'; 64 << 20].into_response();
            }
            let tx = tx.clone();
            Body::stream(move |writer| {
                let mut sent = 0_usize;
                loop {
                    if let Err(error) = writer.send(vec![b'x'; 1 << 16]) {
                        tx.send((sent, error.kind())).unwrap();
                        return Err(error);
                    }
                    sent += 1 << 16;
                }
            })
            .into_response()
        });
        let stream = greedy(&served, "/endless");
        let whole = greedy(&served, "/whole");
        let (sent, error) = rx.recv().unwrap();
        assert_eq!(error, io::ErrorKind::BrokenPipe);
        assert!(sent < 64 << 20, "{sent} bytes were taken from the handler");
        eventually("both are closed", || served.server.connections() == 0);
        drop((stream, whole));
        still_serves(&served);
        served.end();
    });
}

#[test]
fn a_reset_in_the_middle_of_a_response_ends_it() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            if request.path() == "/" {
                return "hello".into_response();
            }
            let (tx, ctx) = (tx.clone(), request.context());
            Body::stream(move |writer| {
                let error = loop {
                    if let Err(error) = writer.send(vec![b'x'; 1 << 16]) {
                        break error;
                    }
                };
                let _ = ctx.done().recv();
                tx.send(error.kind()).unwrap();
                Err(error)
            })
            .into_response()
        });
        for _ in 0..5 {
            let mut stream = greedy(&served, "/endless");
            read_head(&mut stream);
            // Closing with something unread and no time to linger is a reset.
            stream.set_linger(Some(Duration::ZERO)).unwrap();
            stream.close().unwrap();
            assert_eq!(rx.recv().unwrap(), io::ErrorKind::BrokenPipe);
        }
        still_serves(&served);
        served.end();
    });
}

#[test]
fn garbage_is_answered_with_400_and_nothing_after_it_is_served() {
    everywhere(|| {
        let served = serve(hello);
        let bad = [
            "\0\0\0\0\0\0\0\0\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost x\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
            "GET /\u{1} HTTP/1.1\r\nHost: x\r\n\r\n",
        ];
        for garbage in bad {
            let answer = served.exchange(format!("{garbage}{}", get_last("/smuggled")));
            assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
            assert!(!answer.contains("hello"), "{garbage:?}: {answer}");
        }
        // After a good request it is no better.
        let answer = served.exchange(format!("{}\x7f\x03\r\n\r\n{}", get("/"), get_last("/")));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("hello").count(), 1, "{answer}");
        still_serves(&served);
        served.end();
    });
}

#[test]
fn requests_whose_end_is_unclear_are_refused() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |mut request: Request| {
            tx.send(request.path().to_owned()).unwrap();
            let _ = request.body_mut().bytes(1000);
            "hello"
        });
        let smuggled = get_last("/smuggled");
        let post = |headers: &str, body: &str| {
            format!("POST /first HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}{smuggled}")
        };
        let chunked = "Transfer-Encoding: chunked\r\n";
        let unclear = [
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
            post("Content-Length: 5, 6\r\n", "hello"),
            post("Content-Length: +5\r\n", "hello"),
            post("Content-Length: -1\r\n", ""),
            post("Content-Length: 99999999999999999999999\r\n", ""),
            post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            post(chunked, "zz\r\n\r\n"),
            post(chunked, "5\r\nhelloXX0\r\n\r\n"),
            post(chunked, "FFFFFFFFFFFFFFFFF\r\n"),
            post(chunked, "-1\r\n"),
        ];
        for request in &unclear {
            let answer = served.exchange(request);
            let paths: Vec<String> = rx.try_iter().collect();
            assert!(!paths.contains(&"/smuggled".to_owned()), "{request:?}: {answer}");
        }
        // With both, the length does not count (RFC 9112, 6.3), and nothing may follow.
        let both = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
        let answer = served.exchange(&both);
        let paths: Vec<String> = rx.try_iter().collect();
        let refused = answer.starts_with("HTTP/1.1 400");
        assert!(refused || paths == ["/first", "/smuggled"] || paths == ["/first"], "{answer}");
        served.end();
    });
}

/// As one header or two, as part of the head or of the body: whoever stands before the server may see it the other way.
#[test]
fn heads_and_chunks_that_may_be_read_in_two_ways_are_refused() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |mut request: Request| {
            let read = request.body_mut().bytes(1000).is_ok();
            tx.send((request.path().to_owned(), read)).unwrap();
            "hello"
        });
        let smuggled = get_last("/smuggled");
        for line in [
            // Lines that go on.
            "A: b\r\n c: d",
            "A: b\r\n\tc",
            "Content-Length:\r\n 5",
            "Transfer-Encoding:\r\n chunked",
            // Carriage returns by themselves.
            "A: b\rc: d",
            "A: b\r\rTransfer-Encoding: chunked",
            "A\r: b",
            // What is no name, or no value.
            "A : b",
            "A b: c",
            " A: b",
            ": b",
            "A",
            "A: b\0c",
            "A\0: b",
            "Content-Length: 5 5",
            "Content-Length: 0x5",
            "Content-Length: 5\r\nContent-Length: 05, 6",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: \x0bchunked",
        ] {
            let answer =
                served.exchange(format!("POST /first HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\nhello{smuggled}"));
            assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("hello"), "{line:?}: {answer}");
            assert_eq!(rx.try_iter().count(), 0, "{line:?}");
        }
        // The old version has no chunks.
        let old = format!("POST /first HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
        assert!(served.exchange(old).starts_with("HTTP/1.1 400 ") && rx.try_iter().count() == 0);
        for chunk in [
            "5\rhello\r\n",
            "5 5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            "5\r\nhello0\r\n",
            "5\r\nhello\n",
            "5\r\nhello\r0\r\n",
            "10000000000000005\r\nhello\r\n",
        ] {
            let head = "POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
            let answer = served.exchange(format!("{head}{chunk}0\r\n\r\n{smuggled}"));
            let seen: Vec<_> = rx.try_iter().collect();
            assert!(
                !seen.iter().any(|(path, read)| path == "/smuggled" || *read),
                "{chunk:?}: {seen:?} {answer}"
            );
        }
        still_serves(&served);
        served.end();
    });
}

#[test]
fn a_client_that_shuts_down_its_side_after_a_request_is_gone() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            let _ = request.context().done().recv();
            tx.send(()).unwrap();
        });
        let mut stream = served.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rx.recv().unwrap();
        let _ = stream.read(&mut [0]);
        // Before the end of its head it is, too.
        let mut part = served.connect();
        part.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        part.shutdown(Shutdown::Write).unwrap();
        let answer = read_all(&mut part);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        served.end();
    });
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            tx.send(reads(request).map_err(|error| error.kind())).unwrap();
        });
        for request in [
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let mut stream = served.connect();
            stream.write_all(request.as_bytes()).unwrap();
            stream.close().unwrap();
            assert_eq!(rx.recv().unwrap(), Err(io::ErrorKind::UnexpectedEof), "{request}");
        }
        served.end();
    });
}

#[test]
fn a_body_larger_than_the_reader_wants_is_not_kept() {
    everywhere(|| {
        let served = serve(|mut request: Request| match request.body_mut().bytes(1000) {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(error) => format!("{:?}", error.kind()),
        });
        let length = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
        assert!(served.exchange(length).ends_with("FileTooLarge"));
        let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
        let chunked = |chunks: usize, end: &str| {
            let head =
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!("{head}{}{end}", chunk.repeat(chunks))
        };
        assert!(served.exchange(chunked(1, "0\r\n\r\n")).ends_with("1000 bytes"));
        assert!(served.exchange(chunked(2, "")).ends_with("FileTooLarge"));
        served.end();
    });
}

#[test]
fn a_crowd_of_bad_clients_leaves_nothing_behind() {
    everywhere(|| {
        let limits = Server::builder()
            .read_header_timeout(ms(200))
            .idle_timeout(ms(200))
            .read_timeout(ms(200))
            .stall_timeout(ms(200));
        let served = serve_with(limits, |mut request: Request| {
            let ctx = request.context();
            let text = request.body_mut().text(100).unwrap_or_default();
            let _ = ctx.err();
            Body::stream(move |writer| {
                for _ in 0..100 {
                    writer.send(vec![b'x'; 1 << 14])?;
                }
                writer.send(text)
            })
        });
        let openings = [
            "",
            "GET",
            "GET / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nwhat is this",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
        ];
        let mut kept = Vec::new();
        for round in 0..10 {
            for opening in openings {
                let mut stream = served.connect();
                stream.write_all(opening.as_bytes()).unwrap();
                match round % 3 {
                    0 => drop(stream),
                    1 => {
                        let _ = stream.shutdown(Shutdown::Write);
                        kept.push(stream);
                    }
                    _ => kept.push(stream),
                }
            }
        }
        let ctx = background().with_timeout(LONG);
        eventually("all were given up", || served.server.connections() == 0 || ctx.err().is_some());
        drop(kept);
        served.end();
        gosched::debug::leak::check().unwrap();
    });
}
