//! Other people's programs on the other side: curl, wrk, and Go's net/http as a client and as a server (`interop/main.go`).
//! Each is skipped, with a message, where it is not installed. Go is looked for at `$GOSCHED_TEST_GO`, where `.ci/run`
//! installs it (`target/bench/go-venv`), and in the PATH. Rows H11 and H18 of the features. More of curl is in http2.rs.
#![allow(non_snake_case)]

mod common;

use common::{LONG, Served, eventually, everywhere, ms, serve};
use gosched::context::background;
use gosched::{blocking, chan, go, time};
use gosched_http::{Body, Client, HeaderMap, Request, Response, Router, StatusCode, header, http};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::LazyLock;

fn is_installed(program: &str, argument: &str) -> bool {
    let installed = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if installed.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    installed.is_ok()
}

/// Runs a program that must succeed, in a goroutine, and returns its two outputs.
fn run(command: &mut Command) -> (String, String) {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let Output { status, stdout, stderr } = blocking(|| child.wait_with_output()).unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    (out.into_owned(), err.into_owned())
}

fn curl(served: &Served, args: &[&str], path: &str) -> (String, String) {
    let url = format!("http://{}{path}", served.addr);
    run(Command::new("curl").args(["--silent", "--show-error", "--max-time", "60"]).args(args).arg(url))
}

/// Says `text` again, in two pieces, and then the trailer that the request had.
fn with_trailers(mut request: Request) -> Response {
    let (mut writer, body) = Body::channel();
    go(move || {
        let text = request.body_mut().text(1000)?;
        let (first, second) = text.split_at(text.len() / 2);
        writer.send(first.to_owned())?;
        writer.send(second.to_owned())?;
        let mut trailers = HeaderMap::new();
        if let Some(sum) = request.body_mut().trailers().and_then(|trailers| trailers.get("x-sum")) {
            trailers.insert("x-sum", sum.clone());
        }
        trailers.insert("x-end", "here".parse().unwrap());
        writer.finish_with(trailers)
    });
    Response::builder().header("trailer", "x-sum, x-end").body(body).unwrap()
}

fn router() -> Router {
    Router::new()
        .get("/hello", |_: Request| "hello")
        .post("/echo", |request: Request| request.into_body())
        .any("/trailers", with_trailers)
        .post("/refuse", |_: Request| StatusCode::FORBIDDEN)
        .get("/slow", |_: Request| {
            time::sleep(ms(5));
            "slow"
        })
}

#[test]
fn curl_keeps_its_connection() {
    if !is_installed("curl", "--version") {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        let other = format!("http://{}/hello", served.addr);
        let args = ["--http1.1", "--write-out", "|%{num_connects}|", &*other];
        assert_eq!(curl(&served, &args, "/hello").0, "hello|1|hello|0|");
        served.end();
    });
}

#[test]
fn curl_sends_and_gets_chunks_and_shows_trailers() {
    if !is_installed("curl", "--version") {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        let chunked = ["--http1.1", "--header", "transfer-encoding: chunked", "--data", "some text"];
        let (out, _) = curl(&served, &[&chunked[..], &["--include"]].concat(), "/echo");
        assert!(out.contains("\r\ntransfer-encoding: chunked\r\n"), "{out}");
        assert!(out.ends_with("\r\n\r\nsome text"), "{out}");
        let (out, _) = curl(&served, &[&chunked[..], &["--raw"]].concat(), "/echo");
        assert_eq!(out, "9\r\nsome text\r\n0\r\n\r\n");
        // They come with the headers, behind them.
        let trailers = ["--header", "te: trailers", "--data", "some text", "--dump-header", "/dev/stderr"];
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let (out, head) = curl(&served, &[&trailers[..], &[version]].concat(), "/trailers");
            assert_eq!(out, "some text", "{version}");
            let (_, end) = head.split_once("\r\n\r\n").unwrap();
            assert!(end.starts_with("x-end: here\r\n"), "{version}: {head}");
        }
        served.end();
    });
}

#[test]
fn curl_is_told_to_continue_or_spared_the_body() {
    if !is_installed("curl", "--version") {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        let body = "x".repeat(100_000);
        let args = ["--http1.1", "--header", "expect: 100-continue", "--expect100-timeout", "60", "--data"];
        let (out, err) = curl(&served, &[&args[..], &[&body, "--verbose"]].concat(), "/echo");
        assert!(out == body && err.contains("< HTTP/1.1 100 Continue"), "{err}");
        let (out, err) =
            curl(&served, &[&args[..], &[&body, "--write-out", "%{size_upload}", "-v"]].concat(), "/refuse");
        assert!(err.contains("< HTTP/1.1 403") && !err.contains("100 Continue"), "{err}");
        assert_eq!(out, "0");
        served.end();
    });
}

#[test]
fn wrk_sees_no_error() {
    if !is_installed("wrk", "--version") {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        for path in ["/hello", "/slow"] {
            let url = format!("http://{}{path}", served.addr);
            let (out, _) = run(Command::new("wrk").args(["-t1", "-c50", "-d1s", "--timeout=60s", &url]));
            assert!(!out.contains("Socket errors") && !out.contains("Non-2xx"), "{out}");
            let requests = out.lines().find_map(|line| line.trim().split_once(" requests in "));
            assert!(requests.unwrap().0.parse::<u64>().unwrap() >= 50, "{out}");
        }
        served.end();
    });
}

/// `wrk` takes connections that are closed for errors; whether one was is told by a client that keeps its own, beside it.
#[test]
fn H18_shutdown_under_the_load_of_wrk_fails_no_request() {
    if !is_installed("wrk", "--version") {
        return;
    }
    everywhere(|| {
        let served = serve(router());
        let base = format!("http://{}", served.addr);
        let load = go({
            let url = format!("{base}/hello");
            move || run(Command::new("wrk").args(["-t1", "-c50", "-d1s", &url]))
        });
        eventually("the load is there", || served.server.connections() >= 50);
        let client = Client::builder().max_idle_per_host(100).build();
        let (tx, answered) = chan::unbounded();
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (client, url, tx) = (client.clone(), format!("{base}/slow"), tx.clone());
                go(move || {
                    let ctx = background().with_timeout(LONG);
                    loop {
                        match client.get(&ctx, &url) {
                            Ok(mut response) => {
                                assert_eq!(response.status(), 200);
                                assert_eq!(response.body_mut().text(100).unwrap(), "slow");
                                tx.send(()).unwrap();
                            }
                            // Nobody listens any more: what was not sent has not failed.
                            Err(error) => return assert!(error.is_connect(), "{error:?}"),
                        }
                    }
                })
            })
            .collect();
        assert_eq!(answered.iter().take(100).count(), 100);
        served.end();
        asking.into_iter().for_each(|asking| asking.join().unwrap());
        load.join().unwrap();
    });
}

/// The program of `interop/main.go`, built when a test asks for it first; `None` without a Go.
fn interop() -> Option<&'static Path> {
    static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let go = find_go()?;
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let program = target.join("interop");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/main.go");
        let mut build = Command::new(go);
        build.args(["build", "-o"]).arg(&program).arg(source);
        build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOCACHE", target.join("go-cache"));
        let Output { status, stderr, .. } = build.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        Some(program)
    });
    if PROGRAM.is_none() {
        eprintln!("skipped: no Go is installed");
    }
    PROGRAM.as_deref()
}

fn find_go() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/go-venv/bin/go");
    let candidates =
        [std::env::var_os("GOSCHED_TEST_GO").map(PathBuf::from), Some(installed), Some("go".into())];
    candidates.into_iter().flatten().find(|go| {
        let version = Command::new(go).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn the_client_of_Go_finds_all_as_it_should_be() {
    let Some(program) = interop() else { return };
    everywhere(move || {
        let served = serve(router());
        let (out, _) = run(Command::new(program).args(["client", &format!("http://{}", served.addr)]));
        assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 10, "{out}");
        served.end();
    });
}

#[test]
fn H18_shutdown_fails_no_request_of_the_client_of_Go() {
    let Some(program) = interop() else { return };
    everywhere(move || {
        let served = serve(router());
        let mut child = Go::start(program, &["load", &format!("http://{}", served.addr)]);
        assert_eq!(child.line(), "going on");
        served.end();
        let (said, code) = child.end();
        assert!(said.starts_with("ok ") && code == Some(0), "{said}");
    });
}

/// The program while it runs.
struct Go {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Go {
    fn start(program: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        blocking(|| self.out.read_line(&mut line)).unwrap();
        line.trim_end().to_owned()
    }

    /// Closes its input and waits for its end; what it has said last, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        drop(self.child.stdin.take());
        let mut said = String::new();
        blocking(|| self.out.read_to_string(&mut said)).unwrap();
        let status = blocking(|| self.child.wait()).unwrap();
        (said, status.code())
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        // Of a test that has failed.
        let _ = self.child.kill();
    }
}

fn text(response: Result<Response, gosched_http::Error>) -> String {
    let mut response = response.unwrap();
    assert_eq!(response.status(), 200);
    response.body_mut().text(1 << 20).unwrap()
}

#[test]
fn the_server_of_Go_answers_our_client() {
    let Some(program) = interop() else { return };
    everywhere(move || {
        let mut server = Go::start(program, &["server"]);
        let base = format!("http://{}", server.line());
        let ctx = background().with_timeout(LONG);
        let client = Client::new();

        // One connection for all of them.
        let first = text(client.get(&ctx, &format!("{base}/hello")));
        assert!(first.starts_with("hello 127.0.0.1:"), "{first}");
        for _ in 0..20 {
            assert_eq!(text(client.get(&ctx, &format!("{base}/hello"))), first);
        }
        assert_eq!(client.connections(), 1);

        // In pieces, in both directions at once.
        let (mut writer, body) = Body::channel();
        writer.send("first ").unwrap();
        let mut response = client.post(&ctx, &format!("{base}/echo"), body).unwrap();
        assert_eq!(response.headers()["x-came-as"], "chunked");
        assert_eq!(response.headers()[header::TRANSFER_ENCODING], "chunked");
        let mut piece = [0; 6];
        response.body_mut().read_exact(&mut piece).unwrap();
        assert_eq!(&piece, b"first ");
        let writing = go(move || (0..1000).try_for_each(|n| write!(writer, "{n} ")));
        let rest = response.body_mut().text(1 << 20).unwrap();
        assert!(rest.starts_with("0 1 2 ") && rest.ends_with(" 998 999 "), "{rest}");
        writing.join().unwrap().unwrap();

        // Trailers in both directions.
        let (mut writer, body) = Body::channel();
        let writing = go(move || {
            writer.write_all(b"some")?;
            writer.finish_with(HeaderMap::from_iter([("x-sum".parse().unwrap(), "42".parse().unwrap())]))
        });
        let request = http::Request::post(format!("{base}/trailers")).header("trailer", "x-sum").body(body);
        let mut response = client.send(&ctx, request.unwrap()).unwrap();
        assert_eq!(response.body_mut().text(100).unwrap(), "some <nil>");
        assert_eq!(response.body_mut().trailers().unwrap()["x-sum"], "42");
        writing.join().unwrap().unwrap();

        // What says "100 Continue" first is not taken for the response.
        for (path, status) in [("/echo", 200), ("/refuse", 403)] {
            let request = http::Request::post(format!("{base}{path}"))
                .header(header::EXPECT, "100-continue")
                .body("x".repeat(50_000).into());
            let mut response = client.send(&ctx, request.unwrap()).unwrap();
            assert_eq!(response.status(), status, "{path}");
            let length = if status == 200 { 50_000 } else { 0 };
            assert_eq!(response.body_mut().text(1 << 20).unwrap().len(), length);
        }

        assert_eq!(server.end(), ("shut down\n".to_owned(), Some(0)));
        // It has closed what was kept, and nobody listens.
        assert!(client.get(&ctx, &format!("{base}/hello")).unwrap_err().is_connect());
    });
}

#[test]
fn a_server_of_Go_that_shuts_down_answers_what_runs() {
    let Some(program) = interop() else { return };
    everywhere(move || {
        let mut server = Go::start(program, &["server"]);
        let base = format!("http://{}", server.line());
        let client = Client::new();
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let (client, url) = (client.clone(), format!("{base}/slow"));
                go(move || text(client.get(&background().with_timeout(LONG), &url)))
            })
            .collect();
        assert_eq!(server.line(), "four are running");
        assert_eq!(server.end(), ("shut down\n".to_owned(), Some(0)));
        asking.into_iter().for_each(|asking| assert_eq!(asking.join().unwrap(), "slow"));
        eventually("nothing is kept", || {
            client.close_idle_connections();
            client.connections() == 0
        });
    });
}
