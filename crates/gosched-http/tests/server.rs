//! The server's behaviour where nobody does anything wrong. Rows H11, H17 to H21, H23 and H24 of the features.
#![allow(non_snake_case)]

mod common;

use common::{
    LONG, bounded, eventually, everywhere, get, get_last, ms, read_all, read_head, read_response, serve,
    serve_with,
};
use gosched::chan::{self, bounded as channel};
use gosched::context::{ContextError, background};
use gosched::net::TcpListener;
use gosched::{go, time};
use gosched_http::{
    Body, ClientGone, ConnState, Handler, HeaderMap, IntoResponse, Request, Response, Router, Server,
    StatusCode, abort,
};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn hello(_: Request) -> &'static str {
    "hello"
}

#[test]
fn a_connection_is_kept_and_serves_many_requests() {
    everywhere(|| {
        let served = serve(|request: Request| format!("you asked for {}", request.path()));
        let mut stream = served.connect();
        for n in 0..20 {
            stream.write_all(get(&format!("/{n}")).as_bytes()).unwrap();
            let (head, body) = read_response(&mut stream);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert_eq!(body, format!("you asked for /{n}"));
        }
        assert_eq!(served.server.connections(), 1);
        served.end();
    });
}

#[test]
fn a_connection_that_has_rested_goes_on() {
    everywhere(|| {
        let served = serve(|mut request: Request| {
            let length = request.body_mut().text(10_000).unwrap().len();
            format!("{} {length}", request.path())
        });
        let mut stream = served.connect();
        for n in 0..3 {
            // Longer than it keeps its buffers.
            time::sleep(ms(300));
            let text = get(&format!("/{n}"));
            let (first, second) = text.split_at(n * 5);
            stream.write_all(first.as_bytes()).unwrap();
            time::sleep(ms(10));
            stream.write_all(second.as_bytes()).unwrap();
            assert_eq!(read_response(&mut stream).1, format!("/{n} 0"));
            time::sleep(ms(300));
            let body = "x".repeat(5000);
            let post = format!("POST /{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{body}");
            stream.write_all(post.as_bytes()).unwrap();
            assert_eq!(read_response(&mut stream).1, format!("/{n} 5000"));
        }
        time::sleep(ms(300));
        assert_eq!(served.server.connections(), 1);
        served.end();
        common::assert_closed(&mut stream);
    });
}

#[test]
fn a_body_may_be_read_after_the_answer() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            let (tx, mut body) = (tx.clone(), request.into_body());
            go(move || tx.send(body.text(100).map_err(|error| error.kind())).unwrap());
            "at once"
        });
        let mut stream = served.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc").unwrap();
        assert_eq!(read_response(&mut stream).1, "at once");
        time::sleep(ms(150));
        stream.write_all(b"def").unwrap();
        assert_eq!(rx.recv().unwrap(), Ok("abcdef".to_owned()));
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nghi").unwrap();
        assert_eq!(read_response(&mut stream).1, "at once");
        assert_eq!(rx.recv().unwrap(), Ok("ghi".to_owned()));
        served.end();
    });
}

#[test]
fn requests_sent_at_once_are_answered_in_their_order() {
    everywhere(|| {
        let served = serve(|request: Request| {
            // The first ones take longest.
            let n: u64 = request.path()[1..].parse().unwrap();
            time::sleep(ms(10 - n));
            n.to_string()
        });
        let all: String = (0..9).map(|n| get(&format!("/{n}"))).chain([get_last("/9")]).collect();
        let answers = served.exchange(all);
        let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).map(|part| &part[..1]).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "{answers}");
        served.end();
    });
}

#[test]
fn handlers_block_without_stopping_other_connections() {
    everywhere(|| {
        let (release, wait) = channel::<()>(0);
        let inside = Arc::new(AtomicUsize::new(0));
        let served = serve({
            let inside = inside.clone();
            move |request: Request| {
                if request.path() == "/wait" {
                    inside.fetch_add(1, Ordering::Relaxed);
                    let _ = wait.recv();
                }
                "done"
            }
        });
        let addr = served.addr;
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                go(move || {
                    let mut stream = gosched::net::TcpStream::connect(addr).unwrap();
                    stream.write_all(get_last("/wait").as_bytes()).unwrap();
                    read_all(&mut stream)
                })
            })
            .collect();
        eventually("all wait", || inside.load(Ordering::Relaxed) == 50);
        assert!(served.get("/").ends_with("done"));
        drop(release);
        for answer in waiting {
            assert!(answer.join().unwrap().ends_with("done"));
        }
        served.end();
    });
}

#[test]
fn a_body_is_read_while_it_comes_and_written_while_it_is_sent() {
    everywhere(|| {
        // Each piece is answered before the next one is sent.
        let served = serve(|mut request: Request| {
            Body::stream(move |writer| {
                let mut buf = [0; 100];
                loop {
                    let n = request.body_mut().read(&mut buf)?;
                    if n == 0 {
                        return Ok(());
                    }
                    writer.write_all(&buf[..n].to_ascii_uppercase())?;
                    writer.flush()?;
                }
            })
        });
        let mut stream = served.connect();
        let head = "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        for word in ["one", "two", "six"] {
            stream.write_all(format!("3\r\n{word}\r\n").as_bytes()).unwrap();
            let mut piece = [0; 8];
            stream.read_exact(&mut piece).unwrap();
            assert_eq!(piece, format!("3\r\n{}\r\n", word.to_uppercase()).as_bytes());
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        assert_eq!(read_all(&mut stream), "0\r\n\r\n");
        served.end();
    });
}

#[test]
fn a_request_with_a_body_is_echoed_whatever_its_size() {
    everywhere(|| {
        let served = serve(|request: Request| request.into_body());
        for size in [0, 1, 1000, 100_000, 3_000_000] {
            let body: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
            let mut stream = served.connect();
            let head = format!(
                "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            );
            let writing = go({
                let (mut stream, body) = (stream.clone(), body.clone());
                move || {
                    stream.write_all(head.as_bytes()).unwrap();
                    stream.write_all(&body).unwrap();
                }
            });
            let head = read_head(&mut stream);
            assert!(head.contains(&format!("content-length: {size}\r\n")), "{head}");
            let mut echo = Vec::new();
            stream.read_to_end(&mut echo).unwrap();
            assert!(echo == body, "{} of {size} bytes", echo.len());
            writing.join().unwrap();
        }
        served.end();
    });
}

#[test]
fn a_client_that_waits_is_told_to_continue_when_the_body_is_read() {
    everywhere(|| {
        let served = serve(|mut request: Request| match request.path() {
            "/read" => request.body_mut().text(100).unwrap().into_response(),
            _ => StatusCode::FORBIDDEN.into_response(),
        });
        let ask = |path: &str| {
            let mut stream = served.connect();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        };
        let mut stream = ask("/read");
        assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hello").unwrap();
        assert!(read_all(&mut stream).ends_with("hello"));
        // One that does not read answers at once.
        assert!(read_all(&mut ask("/no")).starts_with("HTTP/1.1 403"));
        served.end();
    });
}

#[test]
fn a_client_that_waits_is_told_to_continue_where_the_answer_is_made_of_its_body() {
    everywhere(|| {
        let served = serve(|mut request: Request| match request.path() {
            "/body" => request.into_body(),
            "/stream" => Body::stream(move |writer| {
                std::io::copy(request.body_mut(), writer)?;
                writer.write_all(b"!")
            }),
            // It can be answered without.
            _ => Body::stream(move |writer| {
                writer.send("first ")?;
                let _ = request.body_mut().bytes(100);
                writer.send("last")
            }),
        });
        for (path, end) in [("/body", "hello"), ("/stream", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")] {
            for length in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
                let mut stream = served.connect();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n{length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n", "{path}");
                let chunked = length.contains("chunked");
                let body = if chunked { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
                stream.write_all(body.as_bytes()).unwrap();
                let head = read_head(&mut stream);
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                // A length that is known is told, although the body has begun to be taken.
                let known = path == "/body" && !chunked;
                assert_eq!(head.contains("\r\ncontent-length: 5\r\n"), known, "{path}: {head}");
                let answer = read_all(&mut stream);
                let end = if path == "/body" && chunked { "5\r\nhello\r\n0\r\n\r\n" } else { end };
                assert!(
                    answer == end || answer == end.replace("5\r\nhello\r\n1\r\n!", "6\r\nhello!"),
                    "{path}: {answer}"
                );
            }
        }
        let mut stream = served.connect();
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
            .unwrap();
        // Whichever comes first, the body being read or the answer begun.
        let mut head = read_head(&mut stream);
        if head == "HTTP/1.1 100 Continue\r\n\r\n" {
            head = read_head(&mut stream);
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        stream.write_all(b"hello").unwrap();
        assert!(read_all(&mut stream).ends_with("4\r\nlast\r\n0\r\n\r\n"));
        served.end();
    });
}

#[test]
fn trailers_go_both_ways() {
    everywhere(|| {
        let served = serve(|mut request: Request| {
            let text = request.body_mut().text(100).unwrap();
            let sum = request.body_mut().trailers().unwrap()["x-sum"].clone();
            let (mut writer, body) = Body::channel();
            go(move || {
                write!(writer, "{text} {}", sum.to_str().unwrap()).unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", sum);
                writer.finish_with(trailers).unwrap();
            });
            Response::builder().header("trailer", "x-sum").body(body).unwrap()
        });
        let answer = served.exchange(
            "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n",
        );
        assert!(answer.contains("hi 7"), "{answer}");
        assert!(answer.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{answer}");
        served.end();
    });
}

#[test]
fn a_response_that_fails_half_way_is_not_taken_for_whole() {
    everywhere(|| {
        let (fail, failing) = chan::unbounded::<()>();
        let served = serve(move |request: Request| {
            let failing = failing.clone();
            Body::stream(move |writer| {
                writer.send("part")?;
                failing.recv().unwrap();
                match request.path() {
                    "/error" => return Err(std::io::Error::other("no more")),
                    "/panic" => std::panic::resume_unwind(Box::new("no more")),
                    _ => writer.abort("no more"),
                }
                Ok(())
            })
        });
        for path in ["/error", "/panic", "/abort"] {
            let mut stream = served.connect();
            stream.write_all(get(path).as_bytes()).unwrap();
            assert!(read_head(&mut stream).contains("transfer-encoding: chunked"));
            let mut part = [0; 9];
            stream.read_exact(&mut part).unwrap();
            assert_eq!(&part, b"4\r\npart\r\n");
            fail.send(()).unwrap();
            assert_eq!(read_all(&mut stream), "", "{path}");
        }
        served.end();
    });
}

#[test]
fn H11_a_panic_is_answered_with_500_and_logged() {
    everywhere(|| {
        let log = Arc::new(Mutex::new(String::new()));
        let builder = Server::builder().error_log({
            let log = log.clone();
            move |line| log.lock().unwrap().push_str(&format!("{line}\n"))
        });
        let served = serve_with(builder, |mut request: Request| -> String {
            let text = request.body_mut().text(100).unwrap();
            panic!("no idea {text}");
        });
        // The panic hook has its say, too; these are not shown.
        let answer = served.exchange(get("/inside"));
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        let answer = served.exchange("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwhat");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let log = log.lock().unwrap().clone();
        assert!(
            log.contains("no idea  (GET /inside)") && log.contains("no idea what (POST /other)"),
            "{log}"
        );
        assert!(log.lines().all(|line| line.starts_with("http: panic serving 127.0.0.1:")), "{log}");
        served.end();
    });
}

#[test]
fn H11_abort_closes_the_connection_without_a_word() {
    everywhere(|| {
        let served = serve_with(
            Server::builder().error_log(|line| panic!("logged: {line}")),
            |request: Request| -> &'static str {
                match request.path() {
                    "/abort" => abort(),
                    "/exit" => gosched::goexit(),
                    _ => "hello",
                }
            },
        );
        assert_eq!(served.exchange(get("/abort")), "");
        assert_eq!(served.exchange(get("/exit")), "");
        assert_eq!(served.exchange("POST /abort HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwhat"), "");
        assert!(served.get("/").ends_with("hello"));
        served.end();
    });
}

#[test]
fn H17_the_context_ends_when_the_client_goes_away() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |mut request: Request| {
            let _ = request.body_mut().bytes(100);
            let ctx = request.context();
            tx.send(None).unwrap();
            let _ = ctx.done().recv();
            tx.send(Some((ctx.err(), ctx.cause().is_some_and(|cause| cause.is::<ClientGone>())))).unwrap();
        });
        let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwhat".to_owned();
        for request in [get("/"), post] {
            let mut stream = served.connect();
            stream.write_all(request.as_bytes()).unwrap();
            assert_eq!(rx.recv().unwrap(), None);
            stream.close().unwrap();
            assert_eq!(rx.recv().unwrap(), Some((Some(ContextError::Canceled), true)));
        }
        served.end();
    });
}

#[test]
fn H17_the_context_ends_when_the_response_was_sent() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            let ctx = request.context();
            assert_eq!(ctx.err(), None);
            tx.send((ctx, request)).unwrap();
            "hello"
        });
        let mut stream = served.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        let (ctx, request) = rx.recv().unwrap();
        let _ = ctx.done().recv();
        assert!(!ctx.cause().unwrap().is::<ClientGone>());
        // Whoever asks later is told the same.
        assert_eq!(request.context().err(), Some(ContextError::Canceled));
        // The connection goes on, and the next request has another context.
        read_response(&mut stream);
        stream.write_all(get("/").as_bytes()).unwrap();
        assert_eq!(read_response(&mut stream).1, "hello");
        served.end();
    });
}

#[test]
fn H17_a_request_that_was_kept_has_nothing_to_do_with_the_next_one() {
    everywhere(|| {
        let kept = Arc::new(Mutex::new(Vec::<Request>::new()));
        let (tx, rx) = chan::unbounded();
        let served = serve({
            let kept = kept.clone();
            move |request: Request| {
                let mut kept = kept.lock().unwrap();
                // The first was never asked for its context, the others were while they were served.
                let asked = kept.len() != 1;
                let before: Vec<_> = kept.iter().map(|request| request.context().err()).collect();
                assert_eq!(before, vec![Some(ContextError::Canceled); kept.len()]);
                if asked {
                    let ctx = request.context();
                    assert_eq!(ctx.err(), None);
                    tx.send(ctx).unwrap();
                }
                kept.push(request);
                "hello"
            }
        });
        let mut stream = served.connect();
        for n in 0..4 {
            stream.write_all(get("/").as_bytes()).unwrap();
            assert_eq!(read_response(&mut stream).1, "hello");
            if n != 1 {
                let ctx = rx.recv().unwrap();
                let _ = ctx.done().recv();
                assert!(!ctx.cause().unwrap().is::<ClientGone>());
            }
        }
        kept.lock().unwrap().clear();
        served.end();
    });
}

#[test]
fn H18_shutdown_waits_for_requests_and_closes_idle_connections() {
    everywhere(|| {
        let (started, is_started) = chan::unbounded();
        let (release, wait) = channel::<()>(0);
        let served = serve(move |request: Request| {
            if request.path() == "/slow" {
                started.send(()).unwrap();
                let _ = wait.recv();
            }
            "done"
        });
        let mut idle = served.connect();
        idle.write_all(get("/").as_bytes()).unwrap();
        read_response(&mut idle);
        let mut busy = served.connect();
        busy.write_all(get("/slow").as_bytes()).unwrap();
        is_started.recv().unwrap();

        let (hook, hooked) = channel::<()>(0);
        served.server.on_shutdown(move || drop(hook));
        let short = background().with_timeout(ms(20));
        assert_eq!(served.server.shutdown(&short), Err(ContextError::DeadlineExceeded));
        assert!(hooked.recv().is_err(), "it was run");
        common::assert_closed(&mut idle);
        assert!(gosched::net::TcpStream::connect(served.addr).is_err());

        drop(release);
        let (head, body) = read_response(&mut busy);
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(body, "done");
        common::assert_closed(&mut busy);
        served.end();
    });
}

#[test]
fn H18_a_request_that_has_begun_to_come_is_answered() {
    everywhere(|| {
        let served = serve(hello);
        let mut stream = served.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        read_response(&mut stream);
        let (first, second) = ("GET /half HTTP/1.1\r\nHo", "st: x\r\n\r\n");
        stream.write_all(first.as_bytes()).unwrap();
        // It must have been read before: what it does with bytes that it has not read is its own business.
        time::sleep(ms(50));
        let shutdown = go({
            let server = served.server.clone();
            move || server.shutdown(&background().with_timeout(LONG))
        });
        eventually("it ends", || gosched::net::TcpStream::connect(served.addr).is_err());
        stream.write_all(second.as_bytes()).unwrap();
        assert!(read_all(&mut stream).ends_with("hello"));
        shutdown.join().unwrap().unwrap();
        served.end();
    });
}

#[test]
fn H19_a_server_that_was_ended_does_not_serve() {
    everywhere(|| {
        let server = Server::new(hello);
        server.shutdown(&background()).unwrap();
        server.shutdown(&background()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        server.serve(listener.clone()).unwrap();
        assert!(listener.accept().is_err(), "it is closed");
    });
}

#[test]
fn H20_close_breaks_everything_off() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            let ctx = request.context();
            tx.send(()).unwrap();
            let _ = ctx.done().recv();
        });
        let mut idle = served.connect();
        let mut busy = served.connect();
        busy.write_all(get("/").as_bytes()).unwrap();
        rx.recv().unwrap();
        eventually("both are there", || served.server.connections() == 2);
        served.server.close();
        common::assert_closed(&mut idle);
        common::assert_closed(&mut busy);
        served.end();
    });
}

#[test]
fn H21_connections_tell_of_their_states() {
    everywhere(|| {
        use ConnState::{Active, Closed, Idle, New};
        let (tx, rx) = chan::unbounded();
        let builder = Server::builder().on_state(move |_, state| tx.send(state).unwrap());
        let served = serve_with(builder, hello);
        let mut stream = served.connect();
        for _ in 0..2 {
            stream.write_all(get("/").as_bytes()).unwrap();
            read_response(&mut stream);
        }
        stream.close().unwrap();
        let states: Vec<ConnState> = rx.iter().take(6).collect();
        assert_eq!(states, [New, Active, Idle, Active, Idle, Closed]);
        served.end();
        assert!(rx.try_recv().is_err(), "nothing comes after that");
    });
}

#[test]
fn H23_a_handler_with_a_limit_is_answered_for_with_503() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let slow = move |request: Request| {
            let ctx = request.context();
            if request.path() == "/slow" {
                let _ = ctx.done().recv();
                tx.send(ctx.err()).unwrap();
            }
            "done"
        };
        let served = serve(slow.with_timeout(ms(30)));
        assert!(served.get("/slow").starts_with("HTTP/1.1 503 "));
        assert_eq!(rx.recv().unwrap(), Some(ContextError::DeadlineExceeded));
        let served_quickly = serve(hello.with_timeout(LONG));
        assert!(served_quickly.get("/").ends_with("hello"));
        served_quickly.end();
        served.end();
    });
}

#[test]
fn H23_a_panic_behind_a_limit_is_one_of_the_handler() {
    everywhere(|| {
        let builder = Server::builder().error_log(|_| {});
        let panics = |_: Request| -> &'static str { panic!("behind a limit") };
        let served = serve_with(builder, panics.with_timeout(LONG));
        assert!(served.get("/").starts_with("HTTP/1.1 500 "));
        served.end();
    });
}

#[test]
fn H24_contexts_of_the_listener_and_of_the_connection() {
    everywhere(|| {
        struct Base(u16);
        struct Peer(u16);
        let builder = Server::builder()
            .base_context(|addr| background().with_value(Base(addr.port())))
            .conn_context(|ctx, info| ctx.with_value(Peer(info.peer_addr().port())));
        let served = serve_with(builder, |request: Request| {
            let ctx = request.context();
            assert_eq!(request.peer_addr().unwrap().port(), ctx.value::<Peer>().unwrap().0);
            format!("{} {}", ctx.value::<Base>().unwrap().0, ctx.value::<Peer>().unwrap().0)
        });
        let mut stream = served.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        let ports = format!("{} {}", served.addr.port(), stream.local_addr().unwrap().port());
        assert_eq!(read_response(&mut stream).1, ports);
        served.end();
    });
}

/// Where many small ones were sent, hyper copies bodies behind their heads; a large one changes that.
#[test]
fn large_bodies_among_many_small_ones_arrive_whole() {
    everywhere(|| {
        let large = |n: usize| (0..n).map(|at| char::from(b'a' + (at % 23) as u8)).collect::<String>();
        let served = serve(move |request: Request| match request.path() {
            "/small" => Body::from("small"),
            "/stream" => Body::stream(move |writer| {
                for _ in 0..3 {
                    writer.write_all(large(100_000).as_bytes())?;
                    writer.flush()?;
                    writer.write_all(b"-")?;
                }
                Ok(())
            }),
            path => Body::from(large(path[1..].parse().unwrap())),
        });
        let mut stream = served.connect();
        let mut ask = |path: &str, times: usize| {
            // Also many at once.
            let once = get(path);
            stream.write_all(once.repeat(times).as_bytes()).unwrap();
            (0..times).map(|_| read_response(&mut stream).1).collect::<Vec<_>>()
        };
        for round in 0..3 {
            for _ in 0..50 {
                assert_eq!(ask("/small", 1), ["small"]);
            }
            assert_eq!(ask("/small", 50), vec!["small"; 50]);
            match round {
                0 => assert_eq!(ask("/400000", 1), [large(400_000)]),
                1 => assert_eq!(ask("/70000", 3), vec![large(70_000); 3]),
                _ => assert_eq!(ask("/20000", 1), [large(20_000)]),
            }
            assert_eq!(ask("/4096", 2), vec![large(4096); 2]);
        }
        for _ in 0..100 {
            assert_eq!(ask("/small", 1), ["small"]);
        }
        stream.write_all(get_last("/stream").as_bytes()).unwrap();
        assert!(read_head(&mut stream).contains("transfer-encoding: chunked"));
        let body = read_all(&mut stream);
        // Without the chunks' lengths, and what is about them.
        let body: String = body.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(body.matches('-').count(), 3);
        assert_eq!(body.replace('-', ""), large(100_000).repeat(3));
        served.end();
    });
}

#[test]
fn a_body_that_nobody_reads_is_never_taken_for_a_request() {
    everywhere(|| {
        let served = serve(|request: Request| {
            let text = request.path().to_owned();
            let body = request.into_body();
            // At whatever moment.
            go(move || drop(body));
            text
        });
        let evil = get("/evil");
        let head = format!("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", evil.len());
        for _ in 0..20 {
            let mut stream = served.connect();
            // By now hyper's connection may be made anew between two requests.
            stream.write_all(get("/get").repeat(63).as_bytes()).unwrap();
            for _ in 0..63 {
                assert_eq!(read_response(&mut stream).1, "/get");
            }
            stream.write_all(head.as_bytes()).unwrap();
            assert_eq!(read_response(&mut stream).1, "/post");
            // It may be closed by now.
            let _ = stream.write_all(evil.as_bytes());
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        }
        served.end();
    });
}

#[test]
fn head_has_no_body_and_nobody_writes_one_in_vain() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let router = Router::new().get("/", hello).get("/stream", move |_: Request| {
            let tx = tx.clone();
            Body::stream(move |writer| {
                loop {
                    if let Err(error) = writer.send("more") {
                        tx.send(error.kind()).unwrap();
                        return Err(error);
                    }
                }
            })
        });
        let served = serve(router);
        let head = |path| format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = served.exchange(head("/"));
        assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(served.exchange(head("/stream")).ends_with("\r\n\r\n"));
        assert_eq!(rx.recv().unwrap(), std::io::ErrorKind::BrokenPipe);
        served.end();
    });
}

#[test]
fn the_router_finds_what_there_is() {
    bounded(|| {
        fn rest(request: Request) -> String {
            format!("rest {}", request.param("rest").unwrap())
        }
        let router = Router::new()
            .get("/", |_: Request| "root")
            .get("/a/{id}", |r: Request| format!("a {}", r.param("id").unwrap()))
            .post("/a/{id}", |r: Request| format!("post {}", r.param("id").unwrap()))
            .get("/a/{id}/b/{n}", |r: Request| {
                format!("b {} {}", r.param("id").unwrap(), r.param("n").unwrap())
            })
            .get("/a/me/c", |_: Request| "me")
            .any("/files/{*rest}", rest);
        let ask = |method: &str, path: &str| {
            let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let mut response = router.handle(request.into());
            let allow = response.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), response.body_mut().text(100).unwrap(), allow)
        };
        let found = |method, path| {
            let (status, body, _) = ask(method, path);
            assert_eq!(status, 200, "{path}");
            body
        };
        assert_eq!(found("GET", "/"), "root");
        assert_eq!(found("GET", "/a/7"), "a 7");
        assert_eq!(found("HEAD", "/a/7"), "a 7");
        assert_eq!(found("POST", "/a/x%2Fy"), "post x/y");
        // What begins as a literal may go on as a name.
        assert_eq!(found("GET", "/a/me/b/2"), "b me 2");
        assert_eq!(found("GET", "/a/me/c"), "me");
        assert_eq!(found("DELETE", "/files/x/y/z"), "rest x/y/z");
        assert_eq!(found("GET", "/files/"), "rest ");
        assert_eq!(ask("PUT", "/a/7").0, 405);
        assert_eq!(ask("PUT", "/a/7").2.as_deref(), Some("GET, HEAD, POST"));
        for path in ["/a", "/a/", "/b", "/a/7/b", "/a/7/", "/files"] {
            assert_eq!(ask("GET", path).0, 404, "{path}");
        }
    });
}

#[test]
fn a_router_within_a_router_knows_its_own_parameters_only() {
    let show = |r: Request| format!("{:?} {:?}", r.param("id"), r.param("name"));
    let inner = Router::new().get("/a/{name}", show).get("/a/me", show);
    let router = Router::new().any("/a/{id}", inner).get("/b/{id}", show);
    let ask = |path: &str| {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        router.handle(request.into()).body_mut().text(100).unwrap()
    };
    assert_eq!(ask("/a/7"), r#"None Some("7")"#);
    assert_eq!(ask("/a/me"), "None None");
    assert_eq!(ask("/b/7"), r#"Some("7") None"#);
}

#[test]
fn routes_that_contradict_each_other_are_refused() {
    let panics = |patterns: &[&str]| {
        let made = std::panic::catch_unwind(|| {
            patterns.iter().fold(Router::new(), |router, pattern| router.get(pattern, hello))
        });
        assert!(made.is_err(), "{patterns:?}");
    };
    panics(&["a"]);
    panics(&["/{}"]);
    panics(&["/{a}/{a}"]);
    panics(&["/{*a}/b"]);
    panics(&["/a", "/a"]);
    panics(&["/{a}", "/{b}"]);
}

#[test]
fn connections_are_limited_and_the_others_wait() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let (release, wait) = channel::<()>(0);
        let served = serve_with(Server::builder().limit_connections(2), move |_: Request| {
            tx.send(()).unwrap();
            let _ = wait.recv();
            "done"
        });
        let mut streams: Vec<_> = (0..6).map(|_| served.connect()).collect();
        for stream in &mut streams {
            stream.write_all(get_last("/").as_bytes()).unwrap();
        }
        rx.recv().unwrap();
        rx.recv().unwrap();
        assert!(rx.recv_timeout(ms(50)).is_err(), "a third one is served");
        assert_eq!(served.server.connections(), 2);
        drop(release);
        for stream in &mut streams {
            assert!(read_all(stream).ends_with("done"));
        }
        // Also while it waits for a place it can be ended.
        let idle: Vec<_> = (0..3).map(|_| served.connect()).collect();
        eventually("full", || served.server.connections() == 2);
        drop(idle);
        served.end();
    });
}

#[test]
fn nothing_is_left_when_a_server_has_ended() {
    bounded(|| {
        gosched::Runtime::builder().workers(2).build().unwrap().run(|| {
            let served = serve(|request: Request| {
                let _ctx = request.context();
                Body::stream(|writer| writer.send("hello"))
            });
            for _ in 0..20 {
                assert!(served.get("/").contains("hello"));
            }
            let idle = served.connect();
            eventually("it is there", || served.server.connections() == 1);
            idle.close().unwrap();
            served.end();
            gosched::debug::leak::check().unwrap();
        });
    });
}
