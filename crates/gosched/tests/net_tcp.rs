//! TCP as std has it, with goroutines that wait: rows I01, I03, I04, I05, I11 and I14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, ms};
use gosched::net::{Closed, TcpListener, TcpStream};
use gosched::{chan, go, scope};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, addr) = listener.accept().unwrap();
    assert_eq!(addr, client.local_addr().unwrap());
    (client, server)
}

fn is_closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Closed>())
}

#[test]
fn I01_reading_and_writing_block_only_the_goroutine() {
    everywhere(|| {
        let (client, server) = pair();
        let reader = go(move || {
            let mut buf = [0; 16];
            let n = (&server).read(&mut buf).unwrap();
            String::from_utf8(buf[..n].to_vec()).unwrap()
        });
        // Others run while it waits: with one worker, this very goroutine.
        let (tx, rx) = chan::bounded(0);
        go(move || tx.send(7));
        assert_eq!(rx.recv(), Ok(7));
        assert!(!reader.is_finished());
        (&client).write_all(b"hello").unwrap();
        assert_eq!(reader.join().unwrap(), "hello");
    });
}

#[test]
fn I01_an_echo_server_serves_many_at_once() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = listener.clone();
        let server = go(move || {
            while let Ok((stream, _)) = listener.accept() {
                go(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        scope(|s| {
            for i in 0..50_usize {
                s.go(move || {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    for round in 0..20 {
                        let message = format!("message {round} of {i}");
                        stream.write_all(message.as_bytes()).unwrap();
                        let mut answer = vec![0; message.len()];
                        stream.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, message.as_bytes());
                    }
                    stream.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the other side has closed");
                });
            }
        });
        stop.close().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn I01_more_than_the_buffers_hold_arrives_whole() {
    everywhere(|| {
        let (client, server) = pair();
        let sent: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let writer = go(move || {
            (&client).write_all(&sent).unwrap();
        });
        let mut got = Vec::new();
        (&server).read_to_end(&mut got).unwrap();
        writer.join().unwrap();
        assert!(got == expected);
    });
}

#[test]
fn I01_vectored_calls_take_all_parts() {
    everywhere(|| {
        let (client, server) = pair();
        let parts = [IoSlice::new(b"good "), IoSlice::new(b"morning")];
        assert_eq!((&client).write_vectored(&parts).unwrap(), 12);
        let (mut first, mut second) = ([0; 4], [0; 16]);
        let n = (&server)
            .read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])
            .unwrap();
        assert_eq!((n, &first, &second[..8]), (12, b"good", &b" morning"[..]));
    });
}

#[test]
fn I05_close_ends_all_calls_that_wait_and_those_to_come() {
    everywhere(|| {
        let (client, _server) = pair();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let client = client.clone();
                go(move || (&client).read(&mut [0]).unwrap_err())
            })
            .collect();
        gosched::time::sleep(ms(5));
        client.close().unwrap();
        for reader in readers {
            assert!(is_closed(&reader.join().unwrap()));
        }
        assert!(is_closed(&(&client).write(b"x").unwrap_err()));
        assert!(is_closed(&client.close().unwrap_err()), "the second time");
    });
}

#[test]
fn I11_close_ends_accepts_and_many_may_accept() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (tx, rx) = chan::unbounded();
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let (listener, tx) = (listener.clone(), tx.clone());
                go(move || {
                    loop {
                        match listener.accept() {
                            Ok((_, from)) => tx.send(from).unwrap(),
                            Err(error) => return error,
                        }
                    }
                })
            })
            .collect();
        let mut clients = Vec::new();
        for _ in 0..20 {
            let client = TcpStream::connect(addr).unwrap();
            clients.push(client.local_addr().unwrap());
        }
        let mut accepted: Vec<_> = rx.iter().take(20).collect();
        accepted.sort();
        clients.sort();
        assert_eq!(accepted, clients);
        listener.close().unwrap();
        for acceptor in acceptors {
            assert!(is_closed(&acceptor.join().unwrap()));
        }
    });
}

#[test]
fn I10_nobody_listens_and_no_such_name_are_errors() {
    everywhere(|| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(TcpStream::connect("no such name.invalid:80").is_err());
    });
}

#[test]
fn plain_threads_use_sockets_without_a_runtime() {
    bounded(|| {
        let (client, server) = pair();
        let echo = std::thread::spawn(move || io::copy(&mut &server, &mut &server).unwrap());
        for i in 0..100_u32 {
            (&client).write_all(&i.to_le_bytes()).unwrap();
            let mut answer = [0; 4];
            (&client).read_exact(&mut answer).unwrap();
            assert_eq!(u32::from_le_bytes(answer), i);
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(echo.join().unwrap(), 400);
    });
}

#[test]
fn I10_the_next_address_is_tried_when_one_fails_or_takes_long() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = TcpStream::connect([refuses, good]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);

        // One that does not answer: its queue is full, and nobody accepts.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let silent = socket.local_addr().unwrap().as_socket().unwrap();
        let fillers: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&silent, ms(20))).collect();
        assert!(fillers.iter().any(|filler| filler.is_err()), "the queue is full");
        let start = std::time::Instant::now();
        let stream = TcpStream::connect(vec![silent, good]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(start.elapsed() >= ms(200), "the first one has a head start");

        let none: [std::net::SocketAddr; 0] = [];
        assert_eq!(TcpStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(TcpStream::connect([refuses, refuses]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}
