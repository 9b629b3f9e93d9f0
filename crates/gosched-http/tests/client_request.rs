//! How the client's requests are made, what they wait for, and what is said when there is no answer. Rows H04, H06, H07 and
//! H08 of the features.
#![allow(non_snake_case)]

mod common;

use common::{LONG, bounded, eventually, everywhere, ms, raw, read_all, read_head, serve};
use gosched::chan;
use gosched::context::background;
use gosched::net::TcpStream;
use gosched::time;
use gosched_http::{Body, Client, Error, Method, Request, Response};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

fn text(response: Result<Response, Error>) -> String {
    response.unwrap().body_mut().text(1 << 20).unwrap()
}

fn answer(stream: &mut TcpStream, body: &str) {
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// Nobody listens there, or not for long.
fn nowhere() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_request_is_filled_in() {
    everywhere(|| {
        let served = serve(|mut request: Request| {
            let header = |name: &str| {
                let values = request.headers().get_all(name);
                values.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",")
            };
            let headers = [header("x"), header("authorization"), header("content-type")].join("|");
            let head = format!("{} {} {headers}", request.method(), request.uri());
            format!("{head} {}", request.body_mut().text(1000).unwrap())
        });
        let (client, ctx) = (Client::new(), background());
        let url = |path: &str| format!("http://{}{path}", served.addr);
        let put = client.request(Method::PUT, &url("/p?a=b")).query("c d", "e&f").query("g", "é");
        let put = put.header("x", "1").header("x", "2").bearer_auth("token").body("body");
        assert_eq!(text(put.send(&ctx)), "PUT /p?a=b&c+d=e%26f&g=%C3%A9 1,2|Bearer token| body");
        let form = client.request(Method::POST, &url("")).form(&[("a", "1 2"), ("b", "=")]);
        assert_eq!(text(form.send(&ctx)), "POST / ||application/x-www-form-urlencoded a=1+2&b=%3D");
        let basic = client.request(Method::GET, &url("/")).basic_auth("Aladdin", "open sesame");
        assert_eq!(text(basic.send(&ctx)), "GET / |Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==| ");
        // Or in the address, which nobody else is told.
        let in_url = format!("http://Aladdin:open%20sesame@{}/#top", served.addr);
        assert_eq!(text(client.get(&ctx, &in_url)), "GET / |Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==| ");
        let built = client.request(Method::GET, &url("/")).header("x", "3").build().unwrap();
        assert_eq!(text(client.send(&ctx, built)), "GET / 3|| ");
        served.end();
    });
}

#[test]
fn what_cannot_be_sent_is_told() {
    bounded(|| {
        let (client, ctx) = (Client::new(), background());
        let get = |url: &str| client.request(Method::GET, url);
        let told = |error: Error, what: &str| {
            assert!(error.is_request() && error.to_string().contains(what), "{error}");
        };
        told(get("http://h/").header("a b", "c").send(&ctx).unwrap_err(), "GET http://h/: a header's name");
        told(get("http://h/").header("a", "\n").send(&ctx).unwrap_err(), "the value of the header a is none");
        told(get("http://h/").bearer_auth("\n").body("x").build().unwrap_err(), "the token");
        told(get("http://a b/").query("x", "y").send(&ctx).unwrap_err(), "\"http://a b/\" is no address");
        let with_password = get("http://me:secret@a b/").send(&ctx).unwrap_err();
        assert!(!format!("{with_password} {with_password:?}").contains("secret"));
    });
}

#[test]
fn errors_name_what_was_asked_and_why_there_is_no_answer() {
    everywhere(|| {
        let client = Client::new();
        let told = |url: &str| client.get(&background(), url).unwrap_err().to_string();
        let starts = |url: &str, expected: &str| {
            let told = told(url);
            assert!(told.starts_with(expected), "{told}");
        };
        let addr = nowhere();
        starts(
            &format!("http://me:secret@{addr}/x?y"),
            &format!("GET http://me:***@{addr}/x?y: cannot connect to {addr}: Connection refused"),
        );
        // No name can be as long as this, so nobody is asked for it.
        let name = "x".repeat(64);
        starts(
            &format!("http://{name}.invalid/"),
            &format!(
                "GET http://{name}.invalid/: cannot connect to {name}.invalid:80: failed to lookup address"
            ),
        );
        assert_eq!(told("host/path"), "\"host/path\" is no address: invalid format");
        assert_eq!(told("host"), "GET host: the address has no scheme: it should begin with http://");
        assert_eq!(told("/path"), "GET /path: the address has no scheme: it should begin with http://");
        assert_eq!(told("ftp://x/"), "GET ftp://x/: the scheme ftp is not one of http");
        #[cfg(not(feature = "tls"))]
        assert_eq!(told("https://x/"), "GET https://x/: https needs the feature `tls` of gosched-http");
        assert_eq!(client.get(&background(), "ftp://x/").unwrap_err().url(), Some("ftp://x/"));

        let broken = raw(|mut stream| {
            read_head(&mut stream);
        });
        let url = format!("http://{}/", broken.addr);
        starts(&url, &format!("GET {url}: the connection has broken: "));
        let nonsense = raw(|mut stream| {
            read_head(&mut stream);
            stream.write_all(b"HELO there\r\n\r\n").unwrap();
        });
        let url = format!("http://{}/", nonsense.addr);
        starts(&url, &format!("GET {url}: the connection has broken: invalid HTTP"));
    });
}

#[test]
fn H07_limits_say_which_of_them_it_was() {
    everywhere(|| {
        // Answers what is not for it.
        let silent = raw(|mut stream| drop(read_all(&mut stream)));
        let url = format!("http://{}/", silent.addr);
        let told = |client: Client| {
            let error = client.get(&background(), &url).unwrap_err();
            assert!(error.is_timeout() && !error.is_connect(), "{error}");
            error.to_string()
        };
        let head = Client::builder().response_header_timeout(ms(50)).build();
        assert_eq!(told(head), format!("GET {url}: timed out waiting for the response of {}", silent.addr));
        let whole = Client::builder().timeout(ms(50)).build();
        assert_eq!(told(whole), format!("GET {url}: timed out after 50ms, the limit of the whole"));
        let client = Client::new();
        let error = client.request(Method::GET, &url).timeout(ms(40)).send(&background()).unwrap_err();
        assert_eq!(error.to_string(), format!("GET {url}: timed out after 40ms, the limit of the whole"));
        let ctx = background().with_timeout(ms(50));
        let error = Client::builder().timeout(LONG).build().get(&ctx, &url).unwrap_err();
        assert_eq!(error.to_string(), format!("GET {url}: context deadline exceeded"));
        eventually("all are closed", || client.connections() == 0);
    });
}

#[test]
fn H07_connecting_takes_no_longer_than_it_may() {
    bounded(|| {
        gosched::run(|| {
            // When its queue is full, who else comes has no answer.
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            listener.listen(1).unwrap();
            let addr = listener.local_addr().unwrap().as_socket().unwrap();
            let mut queued = Vec::new();
            while let Ok(stream) = TcpStream::connect_timeout(&addr, ms(200)) {
                queued.push(stream);
                assert!(queued.len() < 100, "the queue is never full");
            }
            let client = Client::builder().connect_timeout(ms(50)).build();
            let error = client.get(&background(), &format!("http://{addr}/")).unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert!(error.to_string().ends_with(&format!(": timed out connecting to {addr}")), "{error}");
            assert_eq!(client.connections(), 0);
        });
    });
}

#[test]
fn H07_the_limit_on_the_head_begins_when_the_body_was_sent() {
    everywhere(|| {
        let served = serve(|mut request: Request| request.body_mut().text(100).unwrap());
        let limit = Duration::from_secs(1);
        let client = Client::builder().response_header_timeout(limit).build();
        let body = Body::stream(move |writer| {
            writer.send("slow")?;
            time::sleep(limit + limit / 4);
            writer.send("ly")
        });
        let response = client.post(&background(), &format!("http://{}/", served.addr), body);
        assert_eq!(text(response), "slowly");
        served.end();
    });
}

#[test]
fn H07_a_body_waits_until_it_is_wanted() {
    everywhere(|| {
        let server = raw(|mut stream| {
            let head = read_head(&mut stream);
            assert!(
                head.contains("expect: 100-continue\r\n") && head.contains("content-length: 4\r\n"),
                "{head}"
            );
            stream.set_read_timeout(Some(ms(50))).unwrap();
            assert_eq!(
                stream.read(&mut [0; 4]).unwrap_err().kind(),
                ErrorKind::TimedOut,
                "nothing comes yet"
            );
            // Something else is not that word.
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").unwrap();
            assert_eq!(
                stream.read(&mut [0; 4]).unwrap_err().kind(),
                ErrorKind::TimedOut,
                "nothing comes yet"
            );
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).unwrap();
            answer(&mut stream, std::str::from_utf8(&body).unwrap());
            // The connection is kept.
            let head = read_head(&mut stream);
            assert!(head.starts_with("GET /again"), "{head}");
            answer(&mut stream, "again");
        });
        let client = Client::builder().expect_continue_timeout(None).max_per_host(1).build();
        let put = client.request(Method::PUT, &format!("http://{}/", server.addr));
        assert_eq!(text(put.header("expect", "100-continue").body("body").send(&background())), "body");
        assert_eq!(text(client.get(&background(), &format!("http://{}/again", server.addr))), "again");
    });
}

#[test]
fn H07_a_body_that_is_not_wanted_is_not_sent() {
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let server = raw(move |mut stream| {
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").unwrap();
            tx.send(read_all(&mut stream)).unwrap();
        });
        let client = Client::builder().expect_continue_timeout(None).build();
        let put = client.request(Method::PUT, &format!("http://{}/", server.addr));
        let mut response = put.header("expect", "100-continue").body("body").send(&background()).unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.body_mut().text(10).unwrap(), "no");
        assert_eq!(rx.recv().unwrap(), "");
        eventually("it is not kept", || client.connections() == 0);
    });
}

#[test]
fn H07_a_body_does_not_wait_for_ever() {
    everywhere(|| {
        // Knows nothing of expectations.
        let server = raw(|mut stream| {
            read_head(&mut stream);
            let mut body = [0; 4];
            stream.read_exact(&mut body).unwrap();
            answer(&mut stream, "done");
        });
        for limit in [ms(50), Duration::ZERO] {
            let client = Client::builder().expect_continue_timeout(limit).build();
            let put = client.request(Method::PUT, &format!("http://{}/", server.addr));
            let put = put.header("expect", "100-continue").body("body");
            assert_eq!(text(put.send(&background())), "done");
        }
        // Ours says it when the handler reads.
        let served = serve(|mut request: Request| request.body_mut().text(100).unwrap());
        let client = Client::builder().expect_continue_timeout(None).build();
        let put = client.request(Method::PUT, &format!("http://{}/", served.addr));
        assert_eq!(text(put.header("expect", "100-continue").body("body").send(&background())), "body");
        served.end();
    });
}

#[test]
fn H06_a_connection_whose_request_is_still_being_sent_keeps_nobody_waiting() {
    everywhere(|| {
        // Answers without having read.
        let server = raw(|mut stream| {
            read_head(&mut stream);
            answer(&mut stream, "early");
            read_all(&mut stream);
        });
        let client = Client::builder().max_per_host(1).build();
        let url = format!("http://{}/", server.addr);
        let (mut writer, body) = Body::channel();
        assert_eq!(text(client.post(&background(), &url, body)), "early");
        // The writer is still there, and has not said that it has come to an end.
        let ctx = background().with_timeout(LONG);
        assert_eq!(text(client.get(&ctx, &url)), "early");
        eventually("the writer is told", || writer.send("more").is_err());
    });
}

#[test]
fn H04_a_connection_that_the_server_closes_is_not_counted() {
    everywhere(|| {
        let (close, closing) = chan::bounded::<()>(0);
        let server = raw(move |mut stream| {
            read_head(&mut stream);
            answer(&mut stream, "ok");
            let _ = closing.recv();
        });
        let client = Client::new();
        assert_eq!(text(client.get(&background(), &format!("http://{}/", server.addr))), "ok");
        eventually("it is kept", || client.idle_connections() == 1);
        drop(close);
        eventually("it is gone", || (client.connections(), client.idle_connections()) == (0, 0));
    });
}

#[test]
fn H07_connections_become_too_old_one_after_the_other() {
    everywhere(|| {
        let served = [serve(|_: Request| "hello"), serve(|_: Request| "hello")];
        let client = Client::builder().idle_timeout(ms(100)).build();
        for served in &served {
            assert_eq!(text(client.get(&background(), &format!("http://{}/", served.addr))), "hello");
            eventually("it is idle", || client.connections() == client.idle_connections());
            time::sleep(ms(30));
        }
        eventually("both are closed", || client.connections() == 0);
        // And those after them.
        assert_eq!(text(client.get(&background(), &format!("http://{}/", served[0].addr))), "hello");
        eventually("it is closed", || client.connections() == 0);
        served.into_iter().for_each(|served| served.end());
    });
}

/// What moves the bytes of connections goes with the runtime in which they were made, but not the client.
#[test]
fn a_client_is_used_in_one_runtime_after_the_other() {
    bounded(|| {
        let client = Client::builder().max_per_host(1).build();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().unwrap();
                while !matches!(stream.read(&mut [0; 4096]), Ok(0) | Err(_)) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
                }
            }
        });
        for _ in 0..3 {
            let (used, url) = (client.clone(), url.clone());
            gosched::Runtime::builder().workers(1).build().unwrap().run(move || {
                assert_eq!(text(used.get(&background(), &url)), "hello");
            });
            eventually("it is gone", || client.connections() == 0);
        }
        serving.join().unwrap();
    });
}
