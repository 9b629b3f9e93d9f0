//! The client, against our server and against ones that misbehave. Rows H02 to H10 of the features.
#![allow(non_snake_case)]

mod common;

use common::{LONG, Served, bounded, eventually, everywhere, ms, serve, serve_with};
use gosched::chan;
use gosched::context::background;
use gosched::go;
use gosched::net::TcpListener;
use gosched_http::{Body, Client, Handler, IntoResponse, Request, Response, Router, Server, StatusCode};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn url(served: &Served, path: &str) -> String {
    format!("http://{}{path}", served.addr)
}

/// A server that counts its connections.
fn counted(handler: impl Handler) -> (Served, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    let builder = Server::builder().on_state(move |_, state| {
        if state == gosched_http::ConnState::New {
            counting.fetch_add(1, Ordering::Relaxed);
        }
    });
    (serve_with(builder, handler), count)
}

fn echo(mut request: Request) -> String {
    let text = request.body_mut().text(1 << 20).unwrap();
    format!("{} {} {text}", request.method(), request.path())
}

fn text(response: Result<Response, gosched_http::Error>) -> String {
    response.unwrap().body_mut().text(1 << 24).unwrap()
}

#[test]
fn requests_are_answered_on_one_connection() {
    everywhere(|| {
        let (served, count) = counted(echo);
        let client = Client::new();
        for n in 0..10 {
            assert_eq!(
                text(client.get(&background(), &url(&served, &format!("/{n}")))),
                format!("GET /{n} ")
            );
            assert_eq!(text(client.post(&background(), &url(&served, "/p"), "body")), "POST /p body");
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        served.end();
    });
}

#[test]
fn bodies_are_sent_and_read_in_pieces() {
    everywhere(|| {
        let served = serve(|request: Request| request.into_body());
        let client = Client::new();
        let (mut writer, body) = Body::channel();
        let mut response = client.post(&background(), &url(&served, "/"), body).unwrap();
        for word in ["one", "two", "six"] {
            writer.write_all(word.as_bytes()).unwrap();
            writer.flush().unwrap();
            let mut piece = [0; 3];
            response.body_mut().read_exact(&mut piece).unwrap();
            assert_eq!(piece, word.as_bytes());
        }
        writer.finish().unwrap();
        assert_eq!(response.body_mut().text(100).unwrap(), "");
        let big = "x".repeat(3_000_000);
        assert!(text(client.post(&background(), &url(&served, "/"), big.clone())) == big);
        served.end();
    });
}

#[test]
fn H03_so_many_are_kept_of_one_host() {
    everywhere(|| {
        let (all, here) = (chan::unbounded(), chan::bounded::<()>(0));
        let served = serve({
            let (started, release) = (all.0.clone(), here.1.clone());
            move |_: Request| {
                started.send(()).unwrap();
                let _ = release.recv();
            }
        });
        let client = Client::new();
        let asking: Vec<_> = (0..5)
            .map(|_| {
                let (client, url) = (client.clone(), url(&served, "/"));
                go(move || text(client.get(&background(), &url)))
            })
            .collect();
        all.1.iter().take(5).for_each(drop);
        assert_eq!(client.connections(), 5);
        drop(here.0);
        asking.into_iter().for_each(|asking| drop(asking.join().unwrap()));
        eventually("two are kept", || (client.connections(), client.idle_connections()) == (2, 2));
        client.close_idle_connections();
        assert_eq!((client.connections(), client.idle_connections()), (0, 0));
        served.end();
    });
}

#[test]
fn H02_over_all_hosts_the_oldest_is_closed() {
    everywhere(|| {
        let servers: Vec<_> = (0..3).map(|_| counted(echo)).collect();
        let client = Client::builder().max_idle(2).build();
        let ask = |n: usize| {
            text(client.get(&background(), &url(&servers[n].0, "/")));
            eventually("it is idle", || client.connections() == client.idle_connections());
        };
        // The last one takes the place of the first.
        [0, 1, 2, 1, 2].into_iter().for_each(ask);
        assert_eq!(client.idle_connections(), 2);
        ask(0);
        let counts: Vec<usize> = servers.iter().map(|(_, count)| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 1, 1]);
        client.close_idle_connections();
        servers.into_iter().for_each(|(served, _)| served.end());
    });
}

#[test]
fn H04_requests_beyond_the_limit_wait_in_their_order() {
    everywhere(|| {
        let (order, ordered) = chan::unbounded();
        let (release, wait) = chan::bounded::<()>(0);
        let (served, count) = counted(move |request: Request| {
            order.send(request.path().to_owned()).unwrap();
            let _ = wait.recv();
        });
        let client = Client::builder().max_per_host(1).build();
        let mut asking = Vec::new();
        let mut cancels = Vec::new();
        for n in 0..6 {
            let ctx = background().with_cancel();
            let (client, url, plain) = (client.clone(), url(&served, &format!("/{n}")), (*ctx).clone());
            cancels.push(ctx);
            asking.push(go(move || client.get(&plain, &url).map(drop)));
            if n == 0 {
                assert_eq!(ordered.recv().unwrap(), "/0");
            } else {
                // So that they come in this order.
                gosched::time::sleep(ms(5));
            }
        }
        // Those who have given up are passed over.
        cancels[2].cancel();
        cancels[4].cancel();
        let results = asking;
        for next in ["/1", "/3", "/5"] {
            release.send(()).unwrap();
            assert_eq!(ordered.recv().unwrap(), next);
        }
        release.send(()).unwrap();
        let results: Vec<bool> = results
            .into_iter()
            .map(|asked| match asked.join().unwrap() {
                Ok(()) => true,
                Err(error) => {
                    assert!(error.is_canceled(), "{error}");
                    false
                }
            })
            .collect();
        assert_eq!(results, [true, true, false, true, false, true]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        client.close_idle_connections();
        served.end();
    });
}

#[test]
fn H04_a_dial_that_is_cancelled_or_fails_frees_its_place() {
    everywhere(|| {
        // Nobody listens there.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::builder().max_per_host(1).build();
        for _ in 0..3 {
            let error = client.get(&background(), &format!("http://{addr}/")).unwrap_err();
            assert!(error.is_connect() && !error.is_timeout(), "{error}");
        }
        let ctx = background().with_cancel();
        ctx.cancel();
        assert!(client.get(&ctx, &format!("http://{addr}/")).unwrap_err().is_canceled());
        eventually("no place is taken", || client.connections() == 0);
        let listener = TcpListener::bind(addr).unwrap();
        let server = Server::new(echo);
        let serving = go({
            let server = server.clone();
            move || server.serve(listener)
        });
        assert_eq!(text(client.get(&background(), &format!("http://{addr}/x"))), "GET /x ");
        server.shutdown(&background()).unwrap();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn H06_a_body_that_is_not_read_costs_the_connection() {
    everywhere(|| {
        let (served, count) = counted(|_: Request| vec![b'x'; 4 << 20]);
        let client = Client::new();
        let mut response = client.get(&background(), &url(&served, "/")).unwrap();
        response.body_mut().next_chunk().unwrap();
        drop(response);
        eventually("it is closed", || client.connections() == 0);
        assert_eq!(text(client.get(&background(), &url(&served, "/"))).len(), 4 << 20);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        served.end();
    });
}

#[test]
fn H07_a_head_that_does_not_come_and_a_connection_that_idles() {
    everywhere(|| {
        let served = serve(|request: Request| {
            if request.path() == "/slow" {
                let _ = request.context().done().recv();
            }
        });
        let client = Client::builder().response_header_timeout(ms(50)).idle_timeout(ms(50)).build();
        let error = client.get(&background(), &url(&served, "/slow")).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let client = Client::builder().idle_timeout(ms(50)).build();
        drop(client.get(&background(), &url(&served, "/")).unwrap());
        eventually("it is closed", || client.connections() == 0);
        served.end();
    });
}

#[test]
fn H08_the_limit_on_the_whole_counts_reading_the_body() {
    everywhere(|| {
        let served = serve(|request: Request| {
            let ctx = request.context();
            Body::stream(move |writer| {
                writer.send("part")?;
                let _ = ctx.done().recv();
                Ok(())
            })
        });
        let client = Client::builder().timeout(ms(100)).build();
        let mut response = client.get(&background(), &url(&served, "/")).unwrap();
        let mut part = [0; 4];
        response.body_mut().read_exact(&mut part).unwrap();
        let error = response.body_mut().text(100).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        eventually("it is closed", || client.connections() == 0);
        served.end();
    });
}

#[test]
fn H09_a_context_that_ends_closes_the_connection() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            tx.send(()).unwrap();
            let _ = request.context().done().recv();
            tx.send(()).unwrap();
        });
        let client = Client::new();
        let ctx = background().with_cancel();
        let asking = go({
            let (client, url, ctx) = (client.clone(), url(&served, "/"), (*ctx).clone());
            move || client.get(&ctx, &url).unwrap_err()
        });
        rx.recv().unwrap();
        ctx.cancel();
        assert!(asking.join().unwrap().is_canceled());
        // The server sees the client go.
        rx.recv().unwrap();
        eventually("it is closed", || client.connections() == 0);
        served.end();
    });
}

#[test]
fn H10_a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again() {
    everywhere(|| {
        // Answers one request on each connection as if it would go on, and closes when the next one comes.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (tx, rx) = chan::unbounded();
        let serving = go({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { return };
                    tx.send(()).unwrap();
                    go(move || {
                        let mut buf = [0; 4096];
                        let _ = stream.read(&mut buf);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                        let _ = stream.read(&mut buf);
                    });
                }
            }
        });
        let client = Client::new();
        let url = format!("http://{addr}/");
        for n in 1..=5 {
            assert_eq!(text(client.get(&background(), &url)), "ok");
            eventually("it is idle", || client.idle_connections() == 1);
            assert_eq!(rx.try_iter().count(), 1, "request {n}");
        }
        // What cannot be sent twice without harm is not.
        let error = client.post(&background(), &url, "pay").unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{error}");
        listener.close().unwrap();
        serving.join().unwrap();
    });
}

#[test]
fn redirects_are_followed() {
    everywhere(|| {
        let to = |status: u16, location: &'static str| {
            move |_: Request| {
                let mut response = StatusCode::from_u16(status).unwrap().into_response();
                response.headers_mut().insert("location", location.parse().unwrap());
                response
            }
        };
        let router = Router::new()
            .any("/found", to(302, "/echo/found"))
            .any("/keep", to(307, "echo/keep"))
            .any("/loop", to(301, "/loop"))
            .any("/echo/{what}", echo);
        let served = serve(router);
        let client = Client::new();
        let ctx = background();
        assert_eq!(text(client.get(&ctx, &url(&served, "/found"))), "GET /echo/found ");
        assert_eq!(text(client.post(&ctx, &url(&served, "/found"), "x")), "GET /echo/found ");
        assert_eq!(text(client.post(&ctx, &url(&served, "/keep"), "x")), "POST /echo/keep x");
        assert!(client.get(&ctx, &url(&served, "/loop")).unwrap_err().to_string().contains("redirects"));
        // What cannot be sent twice is not followed.
        let stream = Body::stream(|writer| writer.send("x"));
        assert_eq!(client.post(&ctx, &url(&served, "/keep"), stream).unwrap().status(), 307);
        let plain = Client::builder().redirects(0).build();
        assert_eq!(plain.get(&ctx, &url(&served, "/found")).unwrap().status(), 302);
        served.end();
    });
}

#[test]
fn addresses_that_are_none_are_refused() {
    bounded(|| {
        let client = Client::new();
        for url in ["", "nothing", "/path", "http://", "ftp://x/"] {
            assert!(client.get(&background(), url).unwrap_err().is_request(), "{url}");
        }
    });
}

#[test]
fn connections_that_close_leave_nobody_waiting() {
    everywhere(|| {
        let asked = AtomicUsize::new(0);
        let served = serve(move |_: Request| {
            let mut response = "hello".into_response();
            // Each third connection ends, in the middle of whatever others do.
            if asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
                response.headers_mut().insert("connection", "close".parse().unwrap());
            }
            response
        });
        for max_per_host in [0, 1, 3] {
            let client = Client::builder().max_per_host(max_per_host).build();
            let asking: Vec<_> = (0..12)
                .map(|n| {
                    let (client, url) = (client.clone(), url(&served, "/"));
                    go(move || {
                        for round in 0..20 {
                            let ctx = background().with_timeout(LONG);
                            if (n + round) % 7 == 0 {
                                // Some give up at once, or nearly so.
                                let short = ctx.with_timeout(std::time::Duration::from_micros(300));
                                let _ = client.get(&short, &url);
                                continue;
                            }
                            assert_eq!(text(client.get(&ctx, &url)), "hello");
                        }
                    })
                })
                .collect();
            asking.into_iter().for_each(|asking| asking.join().unwrap());
            eventually("all are idle", || client.connections() == client.idle_connections());
            client.close_idle_connections();
            assert_eq!(client.connections(), 0);
        }
        served.end();
    });
}

#[test]
fn shutdown_under_load_fails_no_request() {
    everywhere(|| {
        for _ in 0..3 {
            let served = serve(|_: Request| "hello");
            let client = Client::builder().max_idle_per_host(100).build();
            let (tx, rx) = chan::unbounded();
            let asking: Vec<_> = (0..8)
                .map(|_| {
                    let (client, url, tx) = (client.clone(), url(&served, "/"), tx.clone());
                    go(move || {
                        let ctx = background().with_timeout(LONG);
                        loop {
                            match client.get(&ctx, &url) {
                                Ok(mut response) => {
                                    assert_eq!(response.body_mut().text(100).unwrap(), "hello");
                                    tx.send(()).unwrap();
                                }
                                // There is no server any more: a request that was not sent is not a failed one.
                                Err(error) => return assert!(error.is_connect(), "{error:?}"),
                            }
                        }
                    })
                })
                .collect();
            assert_eq!(rx.iter().take(200).count(), 200);
            served.end();
            asking.into_iter().for_each(|asking| asking.join().unwrap());
        }
    });
}
