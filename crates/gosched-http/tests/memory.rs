//! What an idle connection costs: 12 KB at most beside the socket. The only test here: it measures the process.
#![cfg(target_os = "linux")]

mod common;

use common::{bounded, eventually, get, ms, serve};
use gosched_http::Request;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Each needs two descriptors.
const CONNECTIONS: usize = 400;
const MOST: usize = 12 * 1024;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn an_idle_connection_costs_12_kilobytes_at_most() {
    bounded(|| {
        gosched::Runtime::builder().workers(2).build().unwrap().run(|| {
            let served = serve(|_: Request| "hello");
            let addr = served.addr;
            let connect = move || {
                gosched::blocking(move || {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    for _ in 0..2 {
                        stream.write_all(get("/").as_bytes()).unwrap();
                        let mut answer = [0; 1000];
                        assert!(stream.read(&mut answer).unwrap() > 0);
                    }
                    stream
                })
            };
            // What is made once is made now.
            let first: Vec<_> = (0..20).map(|_| connect()).collect();
            let before = resident();
            let mut kept = Vec::new();
            while kept.len() < CONNECTIONS {
                kept.extend((0..40).map(|_| connect()));
                // So that they rest one after the other, as those of a server do that runs for a while.
                gosched::time::sleep(ms(150));
            }
            eventually("all are idle", || served.server.connections() == CONNECTIONS + first.len());
            let each = resident().saturating_sub(before) / CONNECTIONS;
            println!("{each} bytes for each idle connection");
            assert!(each <= MOST, "{each} bytes");
            drop((first, kept));
            served.end();
        });
    });
}
