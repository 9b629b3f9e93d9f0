//! Deadlines and time-outs of sockets, as Go's timeout tests have them: rows I06, I07 and I08 of the features.
#![allow(non_snake_case)]

mod common;

use common::{HOUR, bounded, everywhere, ms};
use gosched::context::{ContextError, background};
use gosched::debug::{self, GoroutineState};
use gosched::net::{DeadlineExceeded, TcpListener, TcpStream, UdpSocket};
use gosched::{WaitReason, go, scope, time};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

#[track_caller]
fn assert_timed_out<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "i/o timeout");
    assert!(error.get_ref().unwrap().is::<DeadlineExceeded>());
}

/// Waits until something was received, without taking it.
fn until_readable(stream: &TcpStream) {
    assert!(stream.peek(&mut [0]).unwrap() > 0);
}

#[test]
fn I06_a_deadline_ends_a_read_and_all_to_come_until_it_is_changed() {
    everywhere(|| {
        let (client, server) = pair();
        let start = Instant::now();
        client.set_read_deadline(Some(time::now() + ms(10))).unwrap();
        assert_timed_out((&client).read(&mut [0]));
        assert!(start.elapsed() >= ms(10));
        assert_timed_out((&client).read(&mut [0]));
        client.set_read_deadline(None).unwrap();
        (&server).write_all(b"x").unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 1);
    });
}

#[test]
fn I06_a_past_deadline_interrupts_a_read_that_waits() {
    everywhere(|| {
        let (client, _server) = pair();
        // One has no deadline, the other one that is far away.
        for far in [None, Some(time::now() + HOUR)] {
            client.set_read_deadline(far).unwrap();
            let reader = go({
                let client = client.clone();
                move || (&client).read(&mut [0])
            });
            time::sleep(ms(3));
            assert!(!reader.is_finished());
            client.set_read_deadline(Some(time::now() - ms(1))).unwrap();
            assert_timed_out(reader.join().unwrap());
        }
    });
}

#[test]
fn I06_a_deadline_can_be_put_off_while_a_read_waits() {
    everywhere(|| {
        let (client, server) = pair();
        client.set_read_deadline(Some(time::now() + ms(300))).unwrap();
        let reader = go({
            let client = client.clone();
            move || (&client).read(&mut [0])
        });
        time::sleep(ms(3));
        client.set_read_deadline(Some(time::now() + HOUR)).unwrap();
        time::sleep(ms(400));
        assert!(!reader.is_finished(), "the first deadline is no more");
        (&server).write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn I06_a_deadline_can_be_brought_forward_while_a_read_waits() {
    everywhere(|| {
        let (client, _server) = pair();
        client.set_read_deadline(Some(time::now() + HOUR)).unwrap();
        let reader = go({
            let client = client.clone();
            move || (&client).read(&mut [0])
        });
        time::sleep(ms(3));
        client.set_read_deadline(Some(time::now() + ms(5))).unwrap();
        assert_timed_out(reader.join().unwrap());
    });
}

#[test]
fn I07_an_expired_deadline_fails_even_if_there_is_something_to_read() {
    everywhere(|| {
        let (client, server) = pair();
        (&server).write_all(b"data").unwrap();
        until_readable(&client);
        client.set_read_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out((&client).read(&mut [0; 4]));
        // Set anew it is as good as ever, and nothing was lost.
        client.set_read_deadline(Some(time::now() + HOUR)).unwrap();
        let mut buf = [0; 4];
        (&client).read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"data");
    });
}

#[test]
fn I06_deadlines_of_reading_and_writing_are_two() {
    everywhere(|| {
        let (client, server) = pair();
        client.set_read_deadline(Some(time::now() - ms(1))).unwrap();
        (&client).write_all(b"x").unwrap();
        assert_timed_out((&client).read(&mut [0]));
        client.set_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out((&client).write(b"x"));
        assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn I08_a_write_says_how_much_it_has_written_before_it_timed_out() {
    everywhere(|| {
        let (client, _server) = pair();
        client.set_write_deadline(Some(time::now() + ms(200))).unwrap();
        let chunk = vec![0; 1 << 20];
        let mut written = 0;
        let error = loop {
            match (&client).write(&chunk) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert_timed_out::<()>(Err(error));
        assert!(written > 0, "the buffers took something");
    });
}

#[test]
fn I06_accept_has_deadlines() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_deadline(Some(time::now() + ms(5))).unwrap();
        assert_timed_out(listener.accept());
        listener.set_deadline(None).unwrap();
        let acceptor = go({
            let listener = listener.clone();
            move || listener.accept()
        });
        time::sleep(ms(3));
        listener.set_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out(acceptor.join().unwrap());
    });
}

#[test]
fn time_outs_of_std_count_for_each_call() {
    everywhere(|| {
        let (client, server) = pair();
        assert_eq!(client.set_read_timeout(Some(ms(0))).unwrap_err().kind(), ErrorKind::InvalidInput);
        client.set_read_timeout(Some(ms(10))).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(ms(10)));
        for _ in 0..2 {
            let start = Instant::now();
            assert_timed_out((&client).read(&mut [0]));
            assert!(start.elapsed() >= ms(10));
        }
        // Enough also for a machine that is busy with something else.
        client.set_read_timeout(Some(HOUR)).unwrap();
        (&server).write_all(b"x").unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 1);
        client.set_read_timeout(None).unwrap();
        assert_eq!((client.read_timeout().unwrap(), client.write_timeout().unwrap()), (None, None));
    });
}

#[test]
fn I06_deadlines_may_be_set_by_many_at_once_while_others_read() {
    everywhere(|| {
        let (client, server) = pair();
        let stop = AtomicBool::new(false);
        scope(|s| {
            for i in 0..4_u64 {
                let (client, stop) = (&client, &stop);
                s.go(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let at = time::now() + ms(i);
                        client.set_read_deadline((i > 0).then_some(at)).unwrap();
                        gosched::yield_now();
                    }
                });
            }
            let reader = s.go(|| {
                let mut got = 0;
                while got < 200 {
                    match (&client).read(&mut [0; 7]) {
                        Ok(n) => got += n,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
                    }
                }
                got
            });
            for _ in 0..200 {
                (&server).write_all(b"x").unwrap();
                gosched::yield_now();
            }
            assert_eq!(reader.join().unwrap(), 200);
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_context_ends_a_read_and_takes_nothing() {
    everywhere(|| {
        let (client, server) = pair();
        let ctx = background().with_cancel();
        let mut buf = [0; 8];
        let waits = go({
            let (ctx, client) = (ctx.clone(), client.clone());
            move || ctx.wait(client.read_async(&mut [0; 8])).map(|read| read.unwrap())
        });
        time::sleep(ms(3));
        ctx.cancel();
        assert_eq!(waits.join().unwrap(), Err(ContextError::Canceled));
        let soon = background().with_timeout(ms(5));
        assert!(soon.wait(client.read_async(&mut buf)).is_err());
        (&server).write_all(b"whole").unwrap();
        (&client).read_exact(&mut buf[..5]).unwrap();
        assert_eq!(&buf[..5], b"whole");
    });
}

#[test]
fn I10_connecting_has_time_outs_and_contexts() {
    everywhere(|| {
        // A listener with a queue for one that nobody empties: further connects get no answer.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let fillers: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&addr, ms(20))).collect();
        let late = fillers.iter().filter(|filler| filler.is_err()).count();
        assert!(late > 0, "the queue is full");
        assert_timed_out(TcpStream::connect_timeout(&addr, ms(5)));
        let ctx = background().with_timeout(ms(5));
        let error = TcpStream::connect_context(&ctx, addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "context deadline exceeded");
        let zero = TcpStream::connect_timeout(&addr, ms(0)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn I06_plain_threads_have_deadlines_too() {
    bounded(|| {
        let (client, server) = pair();
        client.set_read_deadline(Some(Instant::now() + ms(10))).unwrap();
        assert_timed_out((&client).read(&mut [0]));
        client.set_read_deadline(None).unwrap();
        let reader = std::thread::spawn({
            let client = client.clone();
            move || (&client).read(&mut [0])
        });
        common::settle();
        client.set_read_deadline(Some(Instant::now() - ms(1))).unwrap();
        assert_timed_out(reader.join().unwrap());
        client.set_read_timeout(Some(ms(5))).unwrap();
        client.set_read_deadline(None).unwrap();
        assert_timed_out((&client).read(&mut [0]));
        client.set_read_timeout(None).unwrap();
        (&server).write_all(b"x").unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 1);
    });
}

#[test]
fn I06_deadlines_that_are_over_or_as_good_as_over_fail_at_once() {
    everywhere(|| {
        let (client, server) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let now = time::now();
        for deadline in [now - ms(5_000), now - Duration::from_nanos(1), now, now + Duration::from_nanos(1)] {
            client.set_deadline(Some(deadline)).unwrap();
            listener.set_deadline(Some(deadline)).unwrap();
            for _ in 0..3 {
                assert_timed_out((&client).read(&mut [0]));
                assert_timed_out((&client).write(b"x"));
                assert_timed_out(listener.accept());
            }
        }
        // Nothing of what failed has arrived at the other end.
        drop(client);
        assert_eq!((&server).read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn I06_a_past_deadline_interrupts_a_write_that_waits() {
    everywhere(|| {
        let (client, server) = pair();
        let sent = Arc::new(AtomicUsize::new(0));
        let writer = go({
            let (client, sent) = (client.clone(), sent.clone());
            move || loop {
                match (&client).write(&[7; 1 << 16]) {
                    Ok(n) => drop(sent.fetch_add(n, Ordering::Relaxed)),
                    Err(error) => return error,
                }
            }
        });
        waits_for_io(writer.id());
        client.set_write_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out::<()>(Err(writer.join().unwrap()));
        // I08: what was said to be written arrives, no more and no less.
        client.set_write_deadline(None).unwrap();
        let reader = go(move || (&server).read_to_end(&mut Vec::new()).unwrap());
        (&client).write_all(b"the rest").unwrap();
        drop(client);
        assert_eq!(reader.join().unwrap(), sent.load(Ordering::Relaxed) + 8);
    });
}

#[test]
fn I07_an_expired_deadline_fails_even_if_somebody_could_be_accepted() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out(listener.accept());
        listener.set_deadline(Some(time::now() + HOUR)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn I06_packets_have_deadlines() {
    everywhere(|| {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        near.set_read_deadline(Some(time::now() + ms(5))).unwrap();
        assert_timed_out(near.recv_from(&mut [0; 8]));
        near.set_read_deadline(None).unwrap();
        let receiver = go({
            let near = near.clone();
            move || near.recv_from(&mut [0; 8])
        });
        waits_for_io(receiver.id());
        near.set_read_deadline(Some(time::now() - ms(1))).unwrap();
        assert_timed_out(receiver.join().unwrap());
        // I07: also if a packet is there, which is not lost.
        far.send_to(b"packet", near.local_addr().unwrap()).unwrap();
        assert_timed_out(near.recv_from(&mut [0; 8]));
        near.set_read_deadline(Some(time::now() + HOUR)).unwrap();
        assert_eq!(near.recv_from(&mut [0; 8]).unwrap().0, 6);
    });
}

/// As Go's `TestReadWriteProlongedTimeout`: each side puts its deadline off before each call, and none of them strikes.
#[test]
fn I06_a_deadline_that_is_put_off_again_and_again_does_not_strike() {
    everywhere(|| {
        let (client, server) = pair();
        let sides: Vec<_> = [client, server]
            .into_iter()
            .map(|stream| {
                go(move || {
                    let writer = go({
                        let stream = stream.clone();
                        move || {
                            for n in 0..200_u8 {
                                stream.set_write_deadline(Some(time::now() + HOUR)).unwrap();
                                (&stream).write_all(&[n]).unwrap();
                                gosched::yield_now();
                            }
                        }
                    });
                    for n in 0..200_u8 {
                        // Each of the first kind would be over soon.
                        stream.set_read_deadline(Some(time::now() + ms(20_000))).unwrap();
                        stream.set_read_deadline(Some(time::now() + HOUR)).unwrap();
                        let mut byte = [0];
                        (&stream).read_exact(&mut byte).unwrap();
                        assert_eq!(byte, [n]);
                    }
                    writer.join().unwrap();
                })
            })
            .collect();
        sides.into_iter().for_each(|side| side.join().unwrap());
    });
}

/// As Go's `TestReadWriteDeadlineRace` and `TestConcurrentSetDeadline`: deadlines of many sockets are set from everywhere, to
/// any time, while others read, write, accept and close. Nobody hangs, nothing is lost, and closing ends all.
#[test]
fn I06_deadlines_are_set_by_many_until_the_sockets_are_closed() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pairs: Vec<_> = (0..5).map(|_| pair()).collect();
        let mut goroutines = Vec::new();
        for (n, (client, server)) in pairs.iter().enumerate() {
            for way in 0..4_u64 {
                let (client, listener) = (client.clone(), listener.clone());
                goroutines.push(go(move || {
                    for round in 0_u64.. {
                        let deadline = match (round + n as u64) % 4 {
                            0 => None,
                            1 => Some(time::now() - ms(way)),
                            2 => Some(time::now() + ms(way)),
                            _ => Some(time::now() + HOUR),
                        };
                        let set = match way {
                            0 => client.set_deadline(deadline),
                            1 => client.set_read_deadline(deadline),
                            2 => client.set_write_deadline(deadline),
                            _ => listener.set_deadline(deadline),
                        };
                        if set.is_err() {
                            return;
                        }
                        gosched::yield_now();
                    }
                }));
            }
            for stream in [client.clone(), server.clone()] {
                let reader = stream.clone();
                goroutines.push(go(move || until_closed(|| (&reader).read(&mut [0; 100]).map(|n| n > 0))));
                goroutines.push(go(move || until_closed(|| (&stream).write(&[0; 100]).map(|n| n > 0))));
            }
            let listener = listener.clone();
            goroutines.push(go(move || until_closed(|| listener.accept().map(|_| true))));
        }
        time::sleep(ms(100));
        for (client, server) in &pairs {
            client.close().unwrap();
            server.close().unwrap();
        }
        listener.close().unwrap();
        goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
    });
}

/// Calls again and again, until it fails with something else than that it is late, or is at its end.
fn until_closed(call: impl Fn() -> io::Result<bool>) {
    loop {
        match call() {
            Ok(true) => gosched::yield_now(),
            Ok(false) => return,
            Err(error) if error.kind() == ErrorKind::TimedOut => gosched::yield_now(),
            Err(_) => return,
        }
    }
}

/// Waits until a goroutine waits for a socket.
#[track_caller]
fn waits_for_io(id: u64) {
    let waiting = GoroutineState::Waiting(WaitReason::IoWait);
    common::eventually("it waits for a socket", || {
        debug::goroutines().iter().any(|info| info.id == id && info.state == waiting)
    });
}
