//! What the tests share: a server on loopback, and a client that sends what it is told to, right or wrong.
#![allow(dead_code, unreachable_pub)]

use gosched::context::background;
use gosched::net::{TcpListener, TcpStream};
use gosched::{JoinHandle, Runtime};
use gosched_http::{Builder, Handler, Server};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything takes that works, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a test on runtimes of one worker and of two, each for a bounded time.
#[track_caller]
pub fn everywhere(test: impl Fn() + Send + Clone + 'static) {
    for workers in [1, 2] {
        let test = test.clone();
        bounded(move || Runtime::builder().workers(workers).build().unwrap().run(test));
    }
}

/// Runs a test for a bounded time.
#[track_caller]
pub fn bounded(test: impl FnOnce() + Send + 'static) {
    let (tx, rx) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = tx.send(());
    });
    match rx.recv_timeout(2 * LONG) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
            eprintln!("{}", gosched::debug::stacks());
            panic!("the test has not ended");
        }
        _ => thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)),
    }
}

/// A server that is shut down when it is dropped.
pub struct Served {
    pub server: Server,
    pub addr: SocketAddr,
    serving: Option<JoinHandle<io::Result<()>>>,
}

pub fn serve(handler: impl Handler) -> Served {
    serve_with(Server::builder(), handler)
}

pub fn serve_with(builder: Builder, handler: impl Handler) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = builder.handler(handler);
    let serving = gosched::go({
        let server = server.clone();
        move || server.serve(listener)
    });
    Served { server, addr, serving: Some(serving) }
}

impl Served {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends `text` and reads until the server closes.
    pub fn exchange(&self, text: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_ref()).unwrap();
        read_all(&mut stream)
    }

    /// A request of its own connection.
    pub fn get(&self, path: &str) -> String {
        self.exchange(get_last(path))
    }

    /// Shuts down, which must not take long.
    pub fn end(mut self) {
        let ctx = background().with_timeout(LONG);
        self.server.shutdown(&ctx).unwrap();
        self.serving.take().unwrap().join().unwrap().unwrap();
        assert_eq!(self.server.connections(), 0);
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// After its answer the connection is closed.
pub fn get_last(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
}

/// A server that does what it is told with each connection, right or wrong. It takes no more when it is dropped.
pub struct Raw {
    pub addr: SocketAddr,
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
}

pub fn raw(each: impl Fn(TcpStream) + Send + Sync + 'static) -> Raw {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let each = Arc::new(each);
    let accepting = gosched::go({
        let listener = listener.clone();
        move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let each = each.clone();
                gosched::go(move || each(stream));
            }
        }
    });
    Raw { addr, listener, accepting: Some(accepting) }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.listener.close();
        let _ = self.accepting.take().unwrap().join();
    }
}

/// Runs one of this program's tests in a process of its own, with these variables in its environment and without any that
/// name proxies or certificates. Its output, if it passed.
pub fn child(test: &str, vars: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    let output = gosched::blocking(|| command.envs(vars.iter().copied()).output()).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether curl is there and speaks HTTP/2.
pub fn have_curl() -> bool {
    let version = std::process::Command::new("curl").arg("--version").output();
    let able = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("HTTP2"));
    if !able {
        eprintln!("skipped: no curl that speaks HTTP/2");
    }
    able
}

/// Names what [`ask`] asks for.
pub const URL: &str = "GOSCHED_HTTP_URL";

/// What tests have a process of its own do: ask for what the variable says, and tell what has come.
pub fn ask() {
    if !is_child() {
        return;
    }
    let url = std::env::var(URL).unwrap();
    gosched::run(move || match gosched_http::get(&background(), &url) {
        Ok(mut response) => println!("[{}]", response.body_mut().text(1000).unwrap().trim_end()),
        Err(error) => println!("[{error}]"),
    });
}

const CHILD: &str = "GOSCHED_HTTP_CHILD";

/// Whether this process was started by [`child`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Reads until the end, or until the connection is reset.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one response with a `content-length`; head and body.
pub fn read_response(stream: &mut TcpStream) -> (String, String) {
    let head = read_head(stream);
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim)?.parse().ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Reads a head, byte by byte so that nothing of the body is taken.
pub fn read_head(stream: &mut TcpStream) -> String {
    next_head(stream).expect("a head")
}

/// The same, if another one comes.
pub fn next_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            assert!(head.is_empty(), "{}", String::from_utf8_lossy(&head));
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Whether the server closes the connection in time, without having sent anything.
pub fn assert_closed(stream: &mut TcpStream) {
    assert_eq!(read_all(stream), "");
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "it is not so: {what}");
        gosched::time::sleep(ms(1));
    }
}
