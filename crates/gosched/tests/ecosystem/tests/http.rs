//! reqwest from goroutines, against a server of goroutines on loopback.

#[path = "../../common/mod.rs"]
mod common;

use common::{everywhere, ms};
use gosched::net::{TcpListener, TcpStream};
use gosched::{chan, go, go_async, scope, time, wait};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;

const CLIENTS: usize = 20;
const REQUESTS: usize = 5;

/// Answers `POST` with its body, `GET /slow` never, and everything else with its path. Ends with its listener.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        go(move || {
            let mut reader = BufReader::new(&stream);
            while let Some(body) = request(&mut reader) {
                if body == "/slow" {
                    // Until the client has gone away.
                    let _ = reader.read(&mut [0]);
                    return;
                }
                answer(&stream, &body);
            }
        });
    }
}

/// Reads a request: its body, or if it has none its path. `None` at the end.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    if length == 0 {
        return Some(path);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn answer(mut stream: &TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    // A client that has gone away is none of ours.
    let _ = stream.write_all((head + body).as_bytes());
}

/// Runs `f` with a server, which has ended when this returns.
fn with_server(f: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    scope(|s| {
        let served = s.go(|| serve(&listener));
        f(address);
        listener.close().unwrap();
        served.join().unwrap();
    });
}

#[test]
fn requests_of_goroutines_and_stackless_ones_are_answered() {
    everywhere(|| {
        with_server(|address| {
            let client = reqwest::Client::new();
            let all: Vec<_> = (0..CLIENTS)
                .map(|who| {
                    let client = client.clone();
                    let url = move |n| format!("http://{address}/{who}/{n}");
                    if who % 2 == 0 {
                        return go(move || {
                            for n in 0..REQUESTS {
                                let response = wait(client.get(url(n)).send()).unwrap();
                                assert_eq!(wait(response.text()).unwrap(), format!("/{who}/{n}"));
                            }
                        });
                    }
                    go_async(async move {
                        for n in 0..REQUESTS {
                            let body = format!("{who} {n} ").repeat(1000);
                            let response = client.post(url(n)).body(body.clone()).send().await.unwrap();
                            assert_eq!(response.text().await.unwrap(), body);
                        }
                    })
                })
                .collect();
            all.into_iter().for_each(|one| one.join().unwrap());
        });
    });
}

#[test]
fn a_request_that_is_given_up_does_not_hold_up_others() {
    everywhere(|| {
        with_server(|address| {
            let client = reqwest::Client::new();
            let slow = client.get(format!("http://{address}/slow"));
            // By a time limit of ours, and of theirs.
            assert!(time::timeout(ms(20), slow.try_clone().unwrap().send()).is_err());
            assert!(wait(slow.timeout(ms(20)).send()).unwrap_err().is_timeout());
            let response = wait(client.get(format!("http://{address}/next")).send()).unwrap();
            assert_eq!(wait(response.text()).unwrap(), "/next");
        });
    });
}

#[test]
fn tasks_on_tokios_thread_and_goroutines_talk_through_channels() {
    everywhere(|| {
        with_server(|address| {
            let (tx, rx) = chan::bounded(1);
            let tokio = gosched::runtime::tokio_handle().unwrap();
            let task = tokio.spawn(async move {
                for n in 0..10 {
                    let response = reqwest::get(format!("http://{address}/{n}")).await.unwrap();
                    tx.send_async(response.text().await.unwrap()).await.unwrap();
                }
            });
            let got: Vec<String> = rx.iter().collect();
            assert_eq!(got, (0..10).map(|n| format!("/{n}")).collect::<Vec<_>>());
            wait(task).unwrap();
        });
    });
}
