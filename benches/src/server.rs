//! The rows whose programs are servers: started, loaded, killed.
//!
//! The kernel's part of a socket is the same for all and in no figure. wrk and the other clients share the
//! processors with the server: its own processor time for each request is the dependable figure.

use crate::process::{self, Program, Run};
use crate::row::{Load, Protocol};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A server that is ready. It is killed when it is dropped.
struct Server {
    child: Child,
    port: u16,
}

/// What a server has used so far.
struct Used {
    cpu: f64,
    voluntary: u64,
    involuntary: u64,
}

impl Server {
    fn start(program: &Program, timeout: Duration) -> Result<Server, String> {
        let mut command = program.command();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("it does not start: {error}"))?;
        let stdout = child.stdout.take();
        let mut server = Server { child, port: 0 };
        let (line, first) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            if let Some(stdout) = stdout {
                let _ = BufReader::new(stdout).read_line(&mut text);
            }
            let _ = line.send(text);
        });
        let text = first.recv_timeout(timeout).map_err(|_| "it does not get ready".to_owned())?;
        let port = text.strip_prefix("READY ").and_then(|port| port.trim().parse().ok());
        server.port = port.ok_or_else(|| format!("it says `{}`, not `READY port`", text.trim()))?;
        Ok(server)
    }

    fn file(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))
    }

    fn used(&self) -> Result<Used, String> {
        let (cpu, mut used) = (cpu_of(&self.file("stat")?)?, (0, 0));
        let tasks =
            fs::read_dir(format!("/proc/{}/task", self.child.id())).map_err(|error| error.to_string())?;
        for task in tasks.flatten() {
            // A thread may end between the two looks.
            let text = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            used.0 += field(&text, "voluntary_ctxt_switches:").unwrap_or(0);
            used.1 += field(&text, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        Ok(Used { cpu, voluntary: used.0, involuntary: used.1 })
    }

    /// Resident, in bytes.
    fn memory(&self) -> Result<f64, String> {
        let kib = field(&self.file("status")?, "VmRSS:").ok_or("it has no memory")?;
        Ok(kib as f64 * 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number in a line of a file such as /proc/self/status.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find(|line| line.starts_with(name))?.split_whitespace().nth(1)?.parse().ok()
}

/// Processor seconds, by `/proc/<pid>/stat`.
fn cpu_of(stat: &str) -> Result<f64, String> {
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')').ok_or("/proc/<pid>/stat is not as it should be")?;
    let ticks: Vec<f64> = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / process::ticks()),
        _ => Err("/proc/<pid>/stat is not as it should be".to_owned()),
    }
}

/// Starts the server, loads it, and says what that gave.
pub(crate) fn run(program: &Program, load: Load, quick: bool, timeout: Duration) -> Result<Run, String> {
    let named = |error: String| format!("{}: {error}", program.line());
    let mut server = Server::start(program, timeout).map_err(named)?;
    let result = measure(&server, load, quick, timeout);
    // A server that has gone explains what its client saw.
    match server.child.try_wait() {
        Ok(Some(status)) => Err(named(format!("the server ended ({status}) while it was loaded"))),
        _ => result.map_err(named),
    }
}

fn measure(server: &Server, load: Load, quick: bool, timeout: Duration) -> Result<Run, String> {
    match load {
        Load::Wrk { connections, seconds } => {
            wrk(server.port, connections, 1, timeout)?;
            let seconds = if quick { 1 } else { seconds };
            observed(server, |run| {
                let before = server.used()?;
                let load = wrk(server.port, connections, seconds, timeout)?;
                let cpu = server.used()?.cpu - before.cpu;
                run.add("cpu_per_request", cpu / load.requests.max(1.0) * 1e6, "us");
                run.add("rps", load.per_second, "1/s");
                run.add("p50", load.p50 * 1e6, "us");
                run.add("p99", load.p99 * 1e6, "us");
                run.add("rss", server.memory()? / f64::from(1 << 20), "MiB");
                Ok(())
            })
        }
        Load::Ask { requests } => {
            let requests = if quick { requests / 20 } else { requests }.max(1);
            observed(server, |run| {
                let begin = Instant::now();
                ask(server.port, requests, timeout).map_err(|error| format!("a client: {error}"))?;
                run.add("answer", begin.elapsed().as_secs_f64() / f64::from(requests) * 1e6, "us");
                Ok(())
            })
        }
        Load::Idle { connections, protocol } => {
            let connections = if quick { connections / 10 } else { connections }.max(1);
            let open = |count| {
                connect(server.port, protocol, count, timeout).map_err(|error| format!("a client: {error}"))
            };
            drop(open(100.min(connections))?);
            // For what a server does when connections end, and below when they rest.
            thread::sleep(Duration::from_millis(500));
            observed(server, |run| {
                let before = server.memory()?;
                let kept = open(connections)?;
                thread::sleep(Duration::from_secs(2));
                run.add("per_connection", (server.memory()? - before) / f64::from(connections), "B");
                drop(kept);
                Ok(())
            })
        }
    }
}

/// What the server and everybody else used meanwhile.
fn observed(server: &Server, load: impl FnOnce(&mut Run) -> Result<(), String>) -> Result<Run, String> {
    let (mut run, begin) = (Run::default(), Instant::now());
    let (before, busy, own) = (server.used()?, process::busy()?, process::own_cpu());
    load(&mut run)?;
    let (used, wall) = (server.used()?, begin.elapsed().as_secs_f64());
    run.wall = wall;
    run.cpu = used.cpu - before.cpu;
    // Threads that have ended take their switches with them.
    run.voluntary = used.voluntary.saturating_sub(before.voluntary);
    run.involuntary = used.involuntary.saturating_sub(before.involuntary);
    let client = process::own_cpu() - own;
    run.noise = ((process::busy()? - busy - run.cpu - client) / wall).max(0.0);
    Ok(run)
}

/// What wrk says.
#[derive(Debug, PartialEq)]
struct Wrk {
    requests: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn wrk(port: u16, connections: u32, seconds: u32, timeout: Duration) -> Result<Wrk, String> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", "--timeout", "10s"]);
    command.args([format!("-c{connections}"), format!("-d{seconds}s"), format!("http://127.0.0.1:{port}/")]);
    let ended = process::output(&mut command, timeout).map_err(|error| format!("wrk: {error}"))?;
    parse_wrk(&ended.stdout)
}

/// Reads wrk's report. Answers that were errors are an error.
fn parse_wrk(text: &str) -> Result<Wrk, String> {
    if let Some(line) = text.lines().find(|l| l.contains("Socket errors") || l.contains("Non-2xx")) {
        return Err(format!("wrk saw errors: {}", line.trim()));
    }
    let after = |what: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(what));
        line.map(str::trim).ok_or_else(|| format!("wrk's report has no {what}: {text}"))
    };
    let requests =
        text.lines().find_map(|line| line.trim().split_once(" requests in")).map(|(count, _)| count);
    Ok(Wrk {
        requests: requests
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| format!("wrk counted nothing: {text}"))?,
        per_second: after("Requests/sec:")?.parse().map_err(|_| format!("wrk's report is odd: {text}"))?,
        p50: seconds(after("50%")?)?,
        p99: seconds(after("99%")?)?,
    })
}

/// wrk's times, such as `1.23ms`.
fn seconds(text: &str) -> Result<f64, String> {
    for (unit, scale) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)] {
        if let Some(value) = text.strip_suffix(unit).and_then(|value| value.parse::<f64>().ok()) {
            return Ok(value * scale);
        }
    }
    Err(format!("wrk's time {text} is odd"))
}

/// A client's connection, which does not wait forever.
fn client(port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// Sends a byte and reads it back, so many times.
fn ask(port: u16, requests: u32, timeout: Duration) -> io::Result<()> {
    let mut stream = client(port, timeout)?;
    let mut byte = [0];
    for _ in 0..requests {
        stream.write_all(b"x")?;
        stream.read_exact(&mut byte)?;
    }
    Ok(())
}

/// Connections that are used once each, and kept.
fn connect(port: u16, protocol: Protocol, count: u32, timeout: Duration) -> io::Result<Vec<TcpStream>> {
    let (request, answer): (&[u8], &[u8]) = match protocol {
        Protocol::Http => (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"Hello, World!"),
        Protocol::Echo => (b"x", b"x"),
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = client(port, timeout)?;
        stream.write_all(request)?;
        let (mut got, mut piece) = (Vec::new(), [0; 4096]);
        while !got.ends_with(answer) {
            match stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => got.extend_from_slice(&piece[..n]),
            }
        }
        all.push(stream);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const REPORT: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 100 connections\n  Latency Distribution\n     \
        50%  671.00us\n     75%    1.02ms\n     99%    2.50ms\n  135000 requests in 1.10s, 18.05MB read\n\
        Requests/sec: 122727.27\nTransfer/sec:     16.41MB\n";

    #[test]
    fn wrks_report_is_read() {
        let wrk = parse_wrk(REPORT).unwrap();
        assert_eq!((wrk.requests, wrk.per_second), (135_000.0, 122_727.27));
        assert!((wrk.p50 - 671e-6).abs() < 1e-12 && (wrk.p99 - 2.5e-3).abs() < 1e-12, "{wrk:?}");
    }

    #[test]
    fn answers_that_were_errors_are_an_error() {
        for line in
            ["  Socket errors: connect 0, read 3, write 0, timeout 1", "  Non-2xx or 3xx responses: 7"]
        {
            assert!(parse_wrk(&format!("{REPORT}{line}\n")).unwrap_err().contains(line.trim()));
        }
        assert!(parse_wrk("nothing").is_err());
    }

    #[test]
    fn processor_time_is_read_whatever_the_programs_name() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1 1 1";
        assert_eq!(cpu_of(stat).unwrap() * process::ticks(), 300.0);
        assert!(cpu_of("7 name").is_err());
    }

    /// A server in shell would be hard to write; one of this test's threads is as good.
    #[test]
    fn clients_ask_and_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        let timeout = Duration::from_secs(60);
        ask(port, 10, timeout).unwrap();
        assert_eq!(connect(port, Protocol::Echo, 5, timeout).unwrap().len(), 5);
    }

    #[test]
    fn a_server_that_does_not_get_ready_is_an_error() {
        let shell = |script: &str| Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![],
        };
        let start =
            |script: &str, ms| Server::start(&shell(script), Duration::from_millis(ms)).err().unwrap();
        assert!(start("echo HELLO", 60_000).contains("`HELLO`"));
        assert!(start("exec sleep 1000", 200).contains("does not get ready"));
        let server =
            Server::start(&shell("echo READY 17; exec sleep 1000"), Duration::from_secs(60)).ok().unwrap();
        assert_eq!(server.port, 17);
        assert!(server.memory().unwrap() > 0.0 && server.used().unwrap().cpu >= 0.0);
    }
}
