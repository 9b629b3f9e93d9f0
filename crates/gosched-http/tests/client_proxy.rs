//! The client's way through proxies: a small one on loopback, named by the program or by the environment.
#![allow(non_snake_case)]

mod common;

use common::{Raw, URL, bounded, child, everywhere, ms, next_head, raw, read_all, serve};
use gosched::context::background;
use gosched_http::{Client, Error, Proxy, Request, Response};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn text(response: Result<Response, Error>) -> String {
    response.unwrap().body_mut().text(1 << 20).unwrap()
}

/// A proxy that answers itself, with what it was told; and how many connections it has had.
fn proxy() -> (Raw, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    let server = raw(move |mut stream| {
        counting.fetch_add(1, Ordering::Relaxed);
        while let Some(head) = next_head(&mut stream) {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len()).unwrap();
        }
    });
    (server, count)
}

#[test]
fn requests_are_forwarded_with_the_whole_address() {
    everywhere(|| {
        let (server, count) = proxy();
        let proxy = Proxy::new(&format!("http://Aladdin:open%20sesame@{}", server.addr)).unwrap();
        let client = Client::builder().proxy(proxy).build();
        let head = text(client.get(&background(), "http://me@one.example/x?y"));
        assert!(head.starts_with("GET http://one.example/x?y HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: one.example\r\n"), "{head}");
        assert!(head.contains("proxy-authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
        // The connection is one to the proxy, not to the host.
        let head = text(client.get(&background(), "http://two.example:81"));
        assert!(head.starts_with("GET http://two.example:81/ HTTP/1.1\r\n"), "{head}");
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn some_hosts_are_asked_without_it() {
    everywhere(|| {
        let (server, count) = proxy();
        let served = serve(|request: Request| format!("straight to {}", request.uri()));
        let proxy = Proxy::new(&server.addr.to_string()).unwrap();
        let url = format!("http://{}/x", served.addr);
        // One that was named is asked for this machine, too.
        let through = Client::builder().proxy(proxy.clone()).build();
        assert!(text(through.get(&background(), &url)).starts_with(&format!("GET {url} HTTP/1.1")));
        let except = Client::builder().proxy(proxy.clone().except("127.0.0.0/8")).build();
        assert_eq!(text(except.get(&background(), &url)), "straight to /x");
        let none = Client::builder().proxy(proxy).no_proxy().build();
        assert_eq!(text(none.get(&background(), &url)), "straight to /x");
        assert_eq!(count.load(Ordering::Relaxed), 1);
        served.end();
    });
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    everywhere(|| {
        let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::builder().proxy(Proxy::new(&format!("http://me:pw@{addr}")).unwrap()).build();
        let error = client.get(&background(), "http://example.com/").unwrap_err();
        let expected =
            format!("GET http://example.com/: cannot connect to the proxy {addr}: Connection refused");
        assert!(error.is_connect() && error.to_string().starts_with(&expected), "{error}");
        let silent = raw(|mut stream| drop(read_all(&mut stream)));
        let client = Client::builder()
            .proxy(Proxy::new(&silent.addr.to_string()).unwrap())
            .response_header_timeout(ms(50))
            .build();
        let error = client.get(&background(), "http://example.com/").unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("waiting for the response of the proxy {}", silent.addr)),
            "{error}"
        );
    });
}

/// What the tests below have a process of its own do: ask for what the variable says, and tell what has come.
#[test]
fn ask() {
    common::ask();
}

#[test]
fn the_environment_names_it() {
    bounded(|| {
        gosched::run(|| {
            let (server, _) = proxy();
            let served = serve(|_: Request| "straight");
            let proxy = server.addr.to_string();
            // No name can be as long as this: nobody but the proxy would be asked.
            let far = format!("http://{}.example/", "x".repeat(64));
            let near = format!("http://{}/", served.addr);
            let asked = |url: &str, vars: &[(&str, &str)]| child("ask", &[vars, &[(URL, url)]].concat());
            for name in ["HTTP_PROXY", "http_proxy"] {
                let text = asked(&far, &[(name, &proxy)]);
                assert!(text.contains(&format!("[GET {far} HTTP/1.1")), "{text}");
                let text = asked(&near, &[(name, &proxy)]);
                assert!(text.contains("[straight]"), "{text}");
            }
            let straight = [
                &[("HTTP_PROXY", &*proxy), ("NO_PROXY", ".example")][..],
                &[("HTTP_PROXY", &*proxy), ("REQUEST_METHOD", "GET")],
                &[("HTTPS_PROXY", &*proxy)],
                &[],
            ];
            for vars in straight {
                let text = asked(&far, vars);
                assert!(text.contains(": cannot connect to xxx"), "{vars:?}: {text}");
            }
            served.end();
        });
    });
}
