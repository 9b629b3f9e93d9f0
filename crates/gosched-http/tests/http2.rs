//! HTTP/2, and curl as a client of both versions. Skipped, with a message, where curl is not installed.

mod common;

use common::{Served, eventually, everywhere, have_curl, ms, serve, serve_with};
use gosched::chan;
use gosched_http::{Body, ClientGone, Request, Router, Server};
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

fn spawn(served: &Served, args: &[&str], paths: &[&str]) -> Child {
    let urls = paths.iter().map(|path| format!("http://{}{path}", served.addr));
    Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(args)
        .args(urls)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn curl(served: &Served, args: &[&str], path: &str) -> String {
    let child = spawn(served, args, &[path]);
    let Output { status, stdout, stderr } = gosched::blocking(|| child.wait_with_output()).unwrap();
    assert!(status.success(), "{args:?}: {status} {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

const HTTP2: &str = "--http2-prior-knowledge";

fn router() -> Router {
    Router::new()
        .get("/version", |request: Request| format!("{:?}", request.version()))
        .post("/echo", |request: Request| request.into_body())
        .get("/chunks", |_: Request| {
            Body::stream(|writer| {
                for n in 0..100 {
                    writeln!(writer, "line {n}")?;
                    writer.flush()?;
                }
                Ok(())
            })
        })
        .get("/panic", |_: Request| -> &'static str { panic!("curl has asked for it") })
}

#[test]
fn curl_speaks_both_versions() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let served = serve_with(Server::builder().error_log(|_| {}), router());
        assert_eq!(curl(&served, &["--http1.1"], "/version"), "HTTP/1.1");
        assert_eq!(curl(&served, &[HTTP2], "/version"), "HTTP/2.0");
        for version in ["--http1.1", HTTP2] {
            let big = "x".repeat(50_000);
            assert_eq!(curl(&served, &[version, "--data", &big], "/echo"), big);
            assert_eq!(curl(&served, &[version], "/chunks").lines().count(), 100);
            let status = ["--output", "/dev/null", "--write-out", "%{http_code}", version];
            assert_eq!(curl(&served, &status, "/panic"), "500");
            assert_eq!(curl(&served, &status, "/nothing"), "404");
            // Waits to be told to go on.
            let expect = [version, "--header", "expect: 100-continue", "--data", "abc"];
            assert_eq!(curl(&served, &expect, "/echo"), "abc");
        }
        served.end();
    });
}

#[test]
fn curl_uploads_with_chunks_of_unknown_number() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        let args = ["--http1.1", "--header", "transfer-encoding: chunked", "--data", "some text"];
        assert_eq!(curl(&served, &args, "/echo"), "some text");
        served.end();
    });
}

#[test]
fn the_context_ends_when_a_client_over_http2_goes_away() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let (tx, rx) = chan::unbounded();
        let served = serve(move |request: Request| {
            let ctx = request.context();
            tx.send(false).unwrap();
            let _ = ctx.done().recv();
            tx.send(ctx.cause().is_some_and(|cause| cause.is::<ClientGone>())).unwrap();
        });
        let mut child = spawn(&served, &[HTTP2], &["/"]);
        assert!(!rx.recv().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(rx.recv().unwrap());
        served.end();
    });
}

#[test]
fn shutdown_waits_for_streams() {
    if !have_curl() {
        return;
    }
    everywhere(|| {
        let (started, is_started) = chan::unbounded();
        let (release, wait) = chan::bounded::<()>(0);
        let served = serve(move |_: Request| {
            started.send(()).unwrap();
            let _ = wait.recv();
            "done"
        });
        let child = spawn(&served, &[HTTP2], &["/"]);
        is_started.recv().unwrap();
        let short = gosched::context::background().with_timeout(ms(20));
        assert!(served.server.shutdown(&short).is_err());
        drop(release);
        let output = gosched::blocking(|| child.wait_with_output()).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "done");
        served.end();
    });
}

#[test]
fn idle_connections_of_http2_are_closed() {
    everywhere(|| {
        let limits = Server::builder().idle_timeout(ms(50)).read_header_timeout(None).stall_timeout(None);
        let served = serve_with(limits, router());
        let mut stream = served.connect();
        // The preface and empty settings; then nothing.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        common::read_all(&mut stream);
        eventually("it is gone", || served.server.connections() == 0);
        served.end();
    });
}
