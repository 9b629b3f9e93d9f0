//! UDP, and sockets of the Unix domain: rows I01, I05, I06, I11 and I14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{HOUR, everywhere, ms};
use gosched::net::{Closed, DeadlineExceeded, UdpSocket, UnixListener, UnixStream};
use gosched::{go, scope, time};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// A path where nothing is.
fn fresh_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("gosched-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

#[test]
fn I01_packets_arrive_one_by_one_with_their_senders() {
    everywhere(|| {
        let (near, far) = (udp(), udp());
        let to = far.local_addr().unwrap();
        let receiver = go(move || {
            let mut buf = [0; 64];
            let mut packets = Vec::new();
            while packets.len() < 3 {
                let (n, from) = far.recv_from(&mut buf).unwrap();
                packets.push((String::from_utf8(buf[..n].to_vec()).unwrap(), from));
            }
            packets
        });
        for word in ["one", "two", ""] {
            assert_eq!(near.send_to(word.as_bytes(), to).unwrap(), word.len());
        }
        let from = near.local_addr().unwrap();
        let expected = ["one", "two", ""].map(|word| (word.to_owned(), from));
        assert_eq!(receiver.join().unwrap(), expected);
    });
}

#[test]
fn connected_sockets_peek_and_talk() {
    everywhere(|| {
        let (near, far) = (udp(), udp());
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        let sender = go({
            let near = near.clone();
            move || near.send(b"hello").unwrap()
        });
        let mut buf = [0; 3];
        assert_eq!(far.peek(&mut buf).unwrap(), 3);
        assert_eq!(far.recv(&mut buf).unwrap(), 3, "what does not fit is lost");
        assert_eq!((&buf, sender.join().unwrap()), (b"hel", 5));
        far.set_read_deadline(Some(time::now() + ms(5))).unwrap();
        let error = far.recv(&mut buf).unwrap_err();
        assert!(error.get_ref().unwrap().is::<DeadlineExceeded>(), "there is nothing more");
    });
}

#[test]
fn I14_many_receive_from_one_socket_and_each_packet_goes_to_one() {
    everywhere(|| {
        let (near, far) = (udp(), udp());
        near.connect(far.local_addr().unwrap()).unwrap();
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let far = far.clone();
                go(move || {
                    let mut buf = [0; 8];
                    far.recv(&mut buf).unwrap();
                    buf[0]
                })
            })
            .collect();
        for i in 0..8_u8 {
            near.send(&[i]).unwrap();
        }
        let mut got: Vec<_> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
        got.sort();
        assert_eq!(got, (0..8).collect::<Vec<u8>>());
    });
}

#[test]
fn I05_close_of_a_udp_socket_ends_receives() {
    everywhere(|| {
        let socket = udp();
        let receiver = go({
            let socket = socket.clone();
            move || socket.recv(&mut [0]).unwrap_err()
        });
        time::sleep(ms(3));
        socket.close().unwrap();
        assert!(receiver.join().unwrap().get_ref().unwrap().is::<Closed>());
    });
}

#[test]
fn I01_a_unix_echo_server() {
    everywhere(|| {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let server = go({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    go(move || io::copy(&mut &stream, &mut &stream));
                }
            }
        });
        scope(|s| {
            for i in 0..20_u8 {
                let path = &path;
                s.go(move || {
                    let mut stream = UnixStream::connect(path).unwrap();
                    for round in 0..20 {
                        stream.write_all(&[i, round]).unwrap();
                        let mut answer = [0; 2];
                        stream.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, [i, round]);
                    }
                });
            }
        });
        listener.close().unwrap();
        server.join().unwrap();
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn I06_deadlines_of_a_pair() {
    everywhere(|| {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_deadline(Some(time::now() + HOUR)).unwrap();
        let reader = go({
            let near = near.clone();
            move || (&near).read(&mut [0]).unwrap_err()
        });
        time::sleep(ms(3));
        near.set_read_deadline(Some(time::now() - ms(1))).unwrap();
        assert_eq!(reader.join().unwrap().to_string(), "i/o timeout");
        near.set_read_deadline(None).unwrap();
        (&far).write_all(b"x").unwrap();
        assert_eq!((&near).read(&mut [0]).unwrap(), 1, "the connection is as good as before");
    });
}

#[test]
fn a_connect_waits_while_the_queue_of_the_listener_is_full() {
    everywhere(|| {
        let path = fresh_path();
        let std_listener = {
            // A queue for one.
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
            socket.listen(0).unwrap();
            std::os::unix::net::UnixListener::from(socket)
        };
        let listener = UnixListener::from_std(std_listener).unwrap();
        scope(|s| {
            let clients: Vec<_> = (0..5).map(|_| s.go(|| UnixStream::connect(&path).unwrap())).collect();
            for _ in 0..5 {
                time::sleep(ms(1));
                let (_, from) = listener.accept().unwrap();
                assert!(from.is_unnamed());
            }
            clients.into_iter().for_each(|client| drop(client.join().unwrap()));
        });
        std::fs::remove_file(path).unwrap();
    });
}
