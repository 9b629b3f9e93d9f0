//! The examples as their users meet them: built, run, their output read, and interrupted.

mod common;
#[path = "../../gosched/tests/common/example.rs"]
mod example;

use common::{LONG, eventually};
use gosched::net::TcpStream;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Builds an example, or finds it built.
fn build_example(name: &str) -> PathBuf {
    // With the features of this test, so that what is built for it is used.
    let all = [
        ("compression", cfg!(feature = "compression")),
        ("json", cfg!(feature = "json")),
        ("tls", cfg!(feature = "tls")),
    ];
    let features: Vec<&str> = all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    example::build(name, &features)
}

/// The program, built when the first test asks for it.
fn fetch(arguments: &[&str]) -> Command {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| build_example("fetch"));
    let mut command = Command::new(&*PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for a child's end and output, for a bounded time.
#[track_caller]
fn output(child: Child) -> Output {
    let id = child.id();
    let (tx, rx) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = tx.send(());
        output
    });
    if rx.recv_timeout(2 * LONG).is_err() {
        signal(id, "KILL");
        panic!("the example hangs");
    }
    waiting.join().unwrap()
}

#[track_caller]
fn run(arguments: &[&str]) -> (i32, String, String) {
    texts(output(fetch(arguments).spawn().unwrap()))
}

fn texts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("no signal has ended it"), text(output.stdout), text(output.stderr))
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// What stands behind a name in one line of JSON, as far as the next comma or brace.
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name}: {json}"));
    let end = match rest.as_bytes()[0] {
        b'{' => rest.find('}').unwrap() + 1,
        b'"' => rest[1..].find('"').unwrap() + 2,
        _ => rest.find([',', '}', ']']).unwrap(),
    };
    &rest[..end]
}

/// Answers each request on a plain thread, until the test ends; says how many were asked.
fn answering(status: &'static str, body: &'static str) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            thread::spawn(move || {
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if line.ends_with("\r\n\r\n") {
                        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                        stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
                        line.clear();
                    }
                }
            });
        }
    });
    addr
}

/// A server that takes connections and says nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn the_own_site_is_fetched_and_each_page_counted() {
    // Long enough that no page of these is taken for one that hangs.
    let (code, out, err) = run(&["--pages=600", "--json", "--timeout=60s", "--retries=2", "--backoff=5ms"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    assert_eq!(out.lines().count(), 1);
    assert_eq!((field(&out, "ended"), field(&out, "done")), ("\"complete\"", "600"));
    assert_eq!(field(&out, "statuses"), "{\"200\":582,\"404\":12}");
    assert_eq!(field(&out, "errors"), "{\"broken exchange\":6}");
    // Twelve pages that came the second time, and six in vain.
    assert_eq!((field(&out, "retries"), field(&out, "failed")), ("24", "18"));
    let ms = |name| field(&out, name).parse::<f64>().unwrap();
    assert!(0.0 < ms("p50") && ms("p50") <= ms("p90"), "{out}");
    // The slowest has slept.
    assert!(ms("p90") <= ms("p99") && ms("p99") <= ms("p100") && ms("p100") > 200.0, "{out}");
    assert!(field(&out, "bytes").parse::<u64>().unwrap() > 600 * 1000);
}

#[test]
fn the_summary_for_people() {
    let (code, out, err) = run(&["--pages", "100", "--timeout", "60s"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    let starts =
        ["ended     complete after ", "URLs      100 done, 3 failed, ", "statuses  200: 97, 404: 2\n"];
    for start in starts {
        assert!(out.contains(start), "{start}: {out}");
    }
    assert!(out.contains("\nerrors    broken exchange: 1\n") && out.contains("\nretries   5\n"), "{out}");
    assert!(out.contains("\nlatencies p50 ") && out.contains("\nbytes     "), "{out}");
}

#[test]
fn a_page_that_hangs_is_given_up_and_asked_for_again() {
    let (code, out, _) = run(&["--pages=1000", "--json", "--retries=1", "--timeout=3s", "--backoff=1ms"]);
    assert_eq!((code, field(&out, "done")), (0, "1000"), "{out}");
    // The 20 that fail the first time, 9 in vain, and the one that hangs. (On a busy machine others may be late.)
    assert!(field(&out, "retries").parse::<u32>().unwrap() >= 30, "{out}");
    assert!(field(&out, "p100").parse::<f64>().unwrap() < 3_500.0, "{out}");
}

#[test]
fn urls_come_from_arguments_files_and_standard_input() {
    let addr = answering("200 OK", "hello");
    let file = std::env::temp_dir().join(format!("fetch-urls-{}", std::process::id()));
    std::fs::write(&file, format!("# a comment\n\n  http://{addr}/file  \r\nhttp://{addr}/other")).unwrap();
    let argument = format!("http://{addr}/argument");
    let mut child = fetch(&["--each", &argument, "--file", file.to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("http://{addr}/stdin\n").as_bytes()).unwrap();
    let (code, out, err) = texts(output(child));
    std::fs::remove_file(&file).unwrap();
    assert_eq!((code, &*err), (0, ""), "{out}");
    for path in ["argument", "file", "other", "stdin"] {
        let line = out.lines().find(|line| line.ends_with(&format!("/{path}"))).expect(path);
        assert!(line.starts_with("200 ") && line.contains(" ms 5 B http://"), "{line}");
    }
    assert!(out.contains("4 done, 0 failed") && out.contains("statuses  200: 4\n"), "{out}");
}

#[test]
fn urls_that_are_none_are_counted_and_named() {
    let addr = answering("200 OK", "hello");
    let good = format!("http://{addr}/");
    let (code, out, err) =
        run(&["--json", "nonsense", &good, "http://", "ftp://x/", "--each", "http://a b/", "a\"\\\n"]);
    let last = out.lines().last().unwrap();
    assert_eq!((code, field(last, "errors")), (1, "{\"bad URL\":5}"), "{out}");
    assert!(err.starts_with("fetch: 5 could not be fetched:\n"), "{err}");
    assert!(last.contains("{\"url\":\"a\\\"\\\\\\u000a\",\"error\":\""), "{last}");
    for url in ["nonsense", "http://", "ftp://x/", "http://a b/"] {
        assert!(err.contains(&format!("  {url}: ")), "{err}");
        assert!(out.contains(&format!("{{\"url\":\"{url}\",\"error\":\"")), "{out}");
    }
    // Nothing is repeated that cannot become better.
    assert_eq!(field(last, "retries"), "0");
}

#[test]
fn errors_are_told_apart() {
    let refused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let gone = format!("http://{}/", answering("410 Gone", ""));
    let busy = format!("http://{}/", answering("503 Service Unavailable", ""));
    let (_listener, silent) = silent();
    let urls = [&*refused, &gone, &busy, &silent];
    let limits = ["--json", "--timeout=500ms", "--retries=1", "--backoff=1ms", "--"];
    let (code, out, err) = run(&[&limits[..], &urls].concat());
    assert_eq!(code, 1);
    // On a busy machine the others may be late, too.
    assert!(out.contains("\"timed out\":"), "{out}");
    assert_eq!(field(&out, "done"), "4");
    for url in urls {
        assert!(err.contains(&format!("  {url}: ")), "{err}");
    }
    if field(&out, "errors") == "{\"no connection\":1,\"timed out\":1}" {
        assert_eq!(
            (field(&out, "statuses"), field(&out, "retries")),
            ("{\"410\":1,\"503\":1}", "3"),
            "{out}"
        );
        assert!(err.contains(": status 410\n") && err.contains(": status 503\n"), "{err}");
    }
}

#[test]
fn bad_arguments_get_the_usage() {
    for (arguments, complaint) in [
        (&["--concurrency", "0"][..], "--concurrency takes a number from 1 to 10000, not \"0\""),
        (&["--concurrency"], "--concurrency needs a value"),
        (&["--rate=-1"], "--rate takes a number above 0, not \"-1\""),
        (&["--rate", "inf"], "--rate takes a number above 0, not \"inf\""),
        (&["--timeout", "10"], "--timeout takes a time such as 500ms, 10s or 2m, not \"10\""),
        (&["--total=0s"], "--total takes a time such as 500ms, 10s or 2m, not \"0s\""),
        (&["--total=1e30h"], "--total takes a time such as 500ms, 10s or 2m, not \"1e30h\""),
        (&["--retries", "many"], "--retries takes a number from 0 to 100, not \"many\""),
        (&["--pages", "7", "http://x/"], "--pages is for the own site, and there are URLs"),
        (&["--json=yes"], "--json takes no value"),
        (&["--what"], "unknown option --what"),
        (&["-", "--file=-"], "standard input can be read once only"),
        (&[""], "a URL is empty"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}");
        assert!(err.starts_with(&format!("fetch: {complaint}\n\nusage: fetch ")), "{err}");
    }
    let (code, out, err) = run(&["--help"]);
    assert!(code == 0 && out.starts_with("usage: fetch ") && err.is_empty(), "{out}{err}");
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told_of() {
    let (code, out, err) = run(&["--file", "/no/such/file"]);
    assert_eq!((code, &*out), (1, ""));
    assert_eq!(err, "fetch: /no/such/file: No such file or directory (os error 2)\n");
    let (code, out, err) = run(&["--json", "--file", "/"]);
    assert_eq!((code, field(&out, "errors")), (1, "{\"unreadable list\":1}"));
    assert!(err.contains("  /: Is a directory"), "{err}");
    let (code, out, err) = run(&["--json", "--file", "/dev/null"]);
    assert_eq!((code, field(&out, "done"), field(&out, "latencies_ms"), &*err), (0, "0", "{}", ""));
}

#[test]
fn ctrl_c_stops_it_and_the_summary_is_printed() {
    let addr = answering("200 OK", "hello");
    let (_listener, silent) = silent();
    // One that never answers, one that does, and a list that never ends.
    let mut child = fetch(&["--each", "--timeout=10m", &silent, "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("http://{addr}/answered\n").as_bytes()).unwrap();
    // The line comes while the other request waits.
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("200 ") && line.ends_with("/answered\n"), "{line}");
    let pressed = Instant::now();
    signal(child.id(), "INT");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let (code, _, err) = texts(output(child));
    assert_eq!((code, &*err), (130, ""), "{rest}");
    assert!(rest.starts_with("ended     interrupted after ") && rest.contains("1 done, 0 failed"), "{rest}");
    assert!(rest.contains("\nleft      1\n"), "{rest}");
    assert!(pressed.elapsed() < Duration::from_secs(20), "it took {:?} to stop", pressed.elapsed());
    drop(input);
}

#[test]
fn ctrl_c_stops_the_own_site_too() {
    let mut child = fetch(&["--each", "--json", "--pages=1000000"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    signal(child.id(), "INT");
    let last = lines.lines().map(Result::unwrap).last().unwrap();
    let (code, _, err) = texts(output(child));
    assert_eq!((code, &*err, field(&last, "ended")), (130, "", "\"interrupted\""), "{last}");
    let number = |name| field(&last, name).parse::<u64>().unwrap();
    assert_eq!(number("done") + number("unfinished"), 1_000_000);
}

#[test]
fn the_time_for_everything_ends_it() {
    let (_listener, silent) = silent();
    let start = Instant::now();
    let (code, out, err) = run(&["--json", "--total", "300ms", "--timeout", "10m", &silent]);
    assert_eq!((code, &*err), (1, ""), "{out}");
    assert_eq!((field(&out, "ended"), field(&out, "done")), ("\"time is up\"", "0"), "{out}");
    assert_eq!(field(&out, "unfinished"), "1");
    assert!((Duration::from_millis(300)..LONG).contains(&start.elapsed()));
}

#[test]
fn requests_are_sent_no_faster_than_the_rate() {
    let url = format!("http://{}/", answering("200 OK", "hello"));
    let start = Instant::now();
    let urls = vec![&*url; 21];
    let (code, out, _) = run(&[&["--rate=50", "--json"][..], &urls].concat());
    assert_eq!((code, field(&out, "done")), (0, "21"));
    // The first goes at once.
    assert!(start.elapsed() >= Duration::from_millis(20 * 20), "{out}");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    // It has more to say than a pipe holds, and would go on for long.
    let mut child = fetch(&["--each", "--pages=1000000"]).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, err) = texts(output(child));
    assert_eq!((code, &*err), (1, ""));
    let mut child = fetch(&["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, err) = texts(output(child));
    assert!((0..=1).contains(&code) && err.is_empty(), "{err}");
}

#[test]
fn a_terminal_gets_a_bar() {
    let program = fetch(&[]).get_program().to_str().unwrap().to_owned();
    // `script` runs it on a terminal of its own and prints what it has seen there.
    let command = format!("'{program}' --pages=300 --rate=500 --json");
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(child) = script else {
        eprintln!("skipped: there is no program `script`");
        return;
    };
    let (code, out, _) = texts(output(child));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("\r\x1b[2K[") && out.contains("% ") && out.contains(" s left"), "{out:?}");
    let (bars, last) = out.rsplit_once("\r\x1b[2K").unwrap();
    assert!(!bars.contains("ended") && last.contains("\"ended\":\"complete\""), "{last:?}");
}

#[test]
fn hello_serves_until_ctrl_c_and_answers_what_has_begun() {
    let mut child = Command::new(build_example("hello"))
        .arg("127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let addr = line.trim().strip_prefix("listening at http://").and_then(|rest| rest.strip_suffix('/'));
    let addr = addr.unwrap_or_else(|| panic!("{line}")).to_owned();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&*addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(common::get_last(path).as_bytes()).unwrap();
        stream
    };
    assert!(common::read_all(&mut ask("/hello/world")).ends_with("hello, world\n"));
    assert!(common::read_all(&mut ask("/nothing")).starts_with("HTTP/1.1 404"));
    let mut counting = ask("/count");
    assert!(common::read_head(&mut counting).starts_with("HTTP/1.1 200"));
    signal(child.id(), "INT");
    eventually("nobody is let in any more", || TcpStream::connect(&*addr).is_err());
    assert!(common::read_all(&mut counting).ends_with("3\r\n10\n\r\n0\r\n\r\n"));
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let (code, _, err) = texts(output(child));
    assert_eq!((code, &*err), (0, ""));
    assert!(rest.starts_with("GET /hello/world: 200 OK after "), "{rest}");
}
