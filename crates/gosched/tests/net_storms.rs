//! Sockets under stress: futures that are dropped while others go on, several readers, sockets of two runtimes, hostile
//! peers. Rows I03, I04, I05, I11 and I14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{Dice, block_on, bounded, everywhere, in_each, ms, parallel_modes};
use gosched::net::{Closed, TcpListener, TcpStream, UnixStream};
use gosched::time::timeout;
use gosched::{Runtime, chan, go, go_async, scope, time};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

#[test]
fn I03_readers_are_served_in_the_order_in_which_they_came() {
    everywhere(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let (tx, rx) = chan::unbounded();
        let mut readers = Vec::new();
        for i in 0..10 {
            let (far, tx) = (far.clone(), tx.clone());
            readers.push(go(move || {
                let mut buf = [0];
                (&far).read_exact(&mut buf).unwrap();
                tx.send((i, buf[0])).unwrap();
            }));
            // It waits before the next one comes.
            let id = readers[i].id();
            common::eventually("the reader waits", || {
                gosched::debug::goroutines().iter().any(|info| {
                    info.id == id
                        && info.state == gosched::debug::GoroutineState::Waiting(gosched::WaitReason::IoWait)
                })
            });
        }
        (&near).write_all(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let mut got: Vec<_> = rx.iter().take(10).collect();
        got.sort();
        assert!(got.iter().all(|&(reader, byte)| reader == byte.into()), "{got:?}");
    });
}

#[test]
fn I04_reads_that_are_given_up_lose_no_wake_up() {
    everywhere(|| {
        const BYTES: usize = 2000;
        let (near, far) = UnixStream::pair().unwrap();
        let (left, sum) = (AtomicUsize::new(BYTES), AtomicUsize::new(0));
        scope(|s| {
            for seed in 0..6 {
                let (far, left, sum) = (&far, &left, &sum);
                s.go(move || {
                    let mut dice = Dice::new(seed);
                    while left.load(Ordering::SeqCst) > 0 {
                        let mut buf = [0; 3];
                        // Half of them wait patiently, but for the end; half give up at once or soon.
                        let patience =
                            if seed % 2 == 0 { ms(20) } else { common::US * dice.below(300) as u32 };
                        if let Ok(read) = timeout(patience, far.read_async(&mut buf)) {
                            let n = read.unwrap();
                            sum.fetch_add(buf[..n].iter().map(|&byte| byte as usize).sum(), Ordering::SeqCst);
                            left.fetch_sub(n, Ordering::SeqCst);
                        }
                    }
                });
            }
            s.go(|| {
                let mut dice = Dice::new(99);
                let mut sent = 0;
                while sent < BYTES {
                    let n = (1 + dice.below(5)).min(BYTES - sent);
                    (&near).write_all(&vec![1; n]).unwrap();
                    sent += n;
                    if dice.below(4) == 0 {
                        time::sleep(common::US * dice.below(200) as u32);
                    }
                }
            });
        });
        assert_eq!(sum.load(Ordering::SeqCst), BYTES);
    });
}

#[test]
fn I04_a_call_that_was_meant_for_a_future_that_is_dropped_goes_to_the_next() {
    everywhere(|| {
        for _ in 0..50 {
            let (near, far) = UnixStream::pair().unwrap();
            let mut buf = [0];
            let mut first = Box::pin(far.read_async(&mut buf));
            assert!(common::poll_once(first.as_mut()).is_pending());
            let second = go({
                let far = far.clone();
                move || (&far).read(&mut [0]).unwrap()
            });
            time::sleep(common::US * 100);
            (&near).write_all(b"x").unwrap();
            // Called or not by now.
            drop(first);
            assert_eq!(second.join().unwrap(), 1);
        }
    });
}

#[test]
fn I11_accepts_that_are_given_up_lose_no_connection() {
    everywhere(|| {
        const CLIENTS: usize = 100;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = AtomicUsize::new(0);
        scope(|s| {
            for seed in 0..4 {
                let (listener, accepted) = (&listener, &accepted);
                s.go(move || {
                    let mut dice = Dice::new(seed);
                    while accepted.load(Ordering::SeqCst) < CLIENTS {
                        let patience = common::US * (10 + dice.below(2000)) as u32;
                        if let Ok(accept) = timeout(patience, listener.accept_async()) {
                            accept.unwrap();
                            accepted.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            s.go(move || {
                for _ in 0..CLIENTS {
                    TcpStream::connect(addr).unwrap();
                }
            });
        });
        assert_eq!(accepted.load(Ordering::SeqCst), CLIENTS);
    });
}

#[test]
fn I05_closing_while_others_come_and_go_ends_all() {
    everywhere(|| {
        for round in 0..30 {
            let (near, far) = UnixStream::pair().unwrap();
            let users: Vec<_> = (0..4)
                .map(|i| {
                    let far = far.clone();
                    go(move || {
                        let mut buf = [0; 16];
                        loop {
                            let result =
                                if i % 2 == 0 { (&far).read(&mut buf) } else { (&far).write(b"abc") };
                            if let Err(error) = result {
                                return error;
                            }
                        }
                    })
                })
                .collect();
            go(move || io::copy(&mut &near, &mut io::sink()));
            time::sleep(common::US * (round * 20));
            far.close().unwrap();
            for user in users {
                let error = user.join().unwrap();
                assert!(error.get_ref().is_some_and(|inner| inner.is::<Closed>()), "{error}");
            }
        }
    });
}

#[test]
fn I14_both_directions_at_once_on_one_connection() {
    everywhere(|| {
        let (client, server) = pair();
        go(move || io::copy(&mut &server, &mut &server));
        let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 249) as u8).collect();
        let mut got = vec![0; data.len()];
        scope(|s| {
            s.go(|| {
                (&client).write_all(&data).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            (&client).read_exact(&mut got).unwrap();
        });
        assert!(got == data);
        assert_eq!((&client).read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_thousand_connections_echo() {
    in_each(common::cheap_modes(), || {
        const CONNECTIONS: usize = if cfg!(target_os = "linux") { 1000 } else { 100 };
        if !can_open(2 * CONNECTIONS + 100) {
            eprintln!("skipped: the limit on descriptors is too low");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        go({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    go(move || io::copy(&mut &stream, &mut &stream));
                }
            }
        });
        let (ready_tx, ready_rx) = chan::unbounded();
        let (start_tx, start_rx) = chan::bounded::<()>(0);
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|i| {
                let (ready, start) = (ready_tx.clone(), start_rx.clone());
                go(move || {
                    let mut stream = TcpStream::connect(addr).unwrap();
                    ready.send(()).unwrap();
                    let _ = start.recv();
                    for round in 0..5 {
                        let message = (i * 10 + round).to_le_bytes();
                        stream.write_all(&message).unwrap();
                        let mut answer = [0; 8];
                        stream.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, message);
                    }
                })
            })
            .collect();
        assert_eq!(ready_rx.iter().take(CONNECTIONS).count(), CONNECTIONS);
        drop(start_tx);
        clients.into_iter().for_each(|client| client.join().unwrap());
        listener.close().unwrap();
    });
}

fn can_open(descriptors: usize) -> bool {
    // SAFETY: all zero is a valid record, which the call fills in.
    let limit = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit
    };
    limit.rlim_cur as usize >= descriptors
}

#[test]
fn a_socket_serves_two_runtimes_plain_threads_and_a_foreign_executor() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let here = Runtime::builder().workers(1).build().unwrap();
        let there = Runtime::builder().workers(2).build().unwrap();
        let server = listener.clone();
        let ends = here.run(move || {
            go(move || {
                for stream in server.incoming() {
                    let Ok(stream) = stream else { return };
                    go(move || io::copy(&mut &stream, &mut &stream));
                }
            });
            let client = TcpStream::connect(addr).unwrap();
            talk(&client);
            (client, here_again())
        });
        // Made in one runtime, used in the other, in a thread, in an executor that is not ours.
        let (client, _keep) = ends;
        let other = client.clone();
        there.run(move || talk(&other));
        talk(&client);
        block_on(async {
            let mut buf = [0; 5];
            client.write_async(b"async").await.unwrap();
            let mut got = 0;
            while got < 5 {
                got += client.read_async(&mut buf[got..]).await.unwrap();
            }
            assert_eq!(&buf, b"async");
        });
        // The first runtime has had its main goroutine, but lives: its server goes on serving. Its end takes nothing from
        // the second one.
        let (near, far) = UnixStream::pair().unwrap();
        let waiting = std::thread::spawn(move || there.run(move || (&far).read(&mut [0]).unwrap()));
        drop(here);
        std::thread::sleep(ms(30));
        (&near).write_all(b"x").unwrap();
        assert_eq!(waiting.join().unwrap(), 1);
    });
}

/// What a runtime's main goroutine may leave behind.
fn here_again() -> Arc<()> {
    Arc::new(())
}

fn talk(mut stream: &TcpStream) {
    for i in 0..20_u32 {
        stream.write_all(&i.to_le_bytes()).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(u32::from_le_bytes(answer), i);
    }
}

#[test]
fn goroutines_that_compute_do_not_stop_the_others_sockets() {
    in_each(parallel_modes(), || {
        let (near, far) = UnixStream::pair().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        // As many as there are workers, and more: none comes back to the scheduler.
        let hogs: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                go(move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        // A future moves, so nothing keeps it from being served.
        let echo = go_async(async move {
            let mut buf = [0; 4];
            for _ in 0..5 {
                assert_eq!(far.read_async(&mut buf).await.unwrap(), 4);
                assert_eq!(far.write_async(&buf).await.unwrap(), 4);
            }
        });
        let talker = std::thread::spawn(move || {
            let answers = (0..5_u32).map(|i| {
                (&near).write_all(&i.to_le_bytes())?;
                let mut answer = [0; 4];
                (&near).read_exact(&mut answer)?;
                Ok(u32::from_le_bytes(answer))
            });
            let answers = answers.collect::<io::Result<Vec<_>>>();
            // From here: who waits in a goroutine may be pinned behind one of them.
            stop.store(true, Ordering::Relaxed);
            answers
        });
        assert_eq!(talker.join().unwrap().unwrap(), [0, 1, 2, 3, 4]);
        echo.join().unwrap();
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

#[test]
fn a_half_closed_connection_goes_on_in_the_other_direction() {
    everywhere(|| {
        let (client, server) = pair();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&server).read(&mut [0; 8]).unwrap(), 0);
        assert_eq!((&server).read(&mut [0; 8]).unwrap(), 0, "and again");
        (&server).write_all(b"still here").unwrap();
        drop(server);
        let mut text = String::new();
        (&client).read_to_string(&mut text).unwrap();
        assert_eq!(text, "still here");
    });
}

#[test]
fn the_last_bytes_and_the_end_that_come_together_are_both_read() {
    everywhere(|| {
        for _ in 0..100 {
            let (client, server) = pair();
            let reader = go(move || {
                let (mut total, mut buf) = (0, [0; 1024]);
                loop {
                    match (&server).read(&mut buf).unwrap() {
                        0 => return total,
                        n => total += n,
                    }
                }
            });
            (&client).write_all(&[7; 100]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(reader.join().unwrap(), 100);
        }
    });
}

#[test]
fn shutting_reading_down_ends_a_read_that_waits() {
    everywhere(|| {
        let (client, _server) = pair();
        let reader = go({
            let client = client.clone();
            move || (&client).read(&mut [0]).unwrap()
        });
        time::sleep(ms(3));
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reader.join().unwrap(), 0);
    });
}

#[test]
fn a_reset_in_the_middle_of_a_write_is_an_error() {
    everywhere(|| {
        let (client, server) = pair();
        let writer = go(move || {
            let chunk = vec![0; 1 << 16];
            loop {
                if let Err(error) = (&client).write(&chunk) {
                    return error.kind();
                }
            }
        });
        // It waits for room.
        time::sleep(ms(10));
        server.set_linger(Some(ms(0))).unwrap();
        drop(server);
        let kind = writer.join().unwrap();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
    });
}

#[test]
fn a_client_that_never_reads_holds_up_only_its_own_goroutine() {
    everywhere(|| {
        let (deaf, server) = pair();
        let stuck = go(move || {
            let chunk = vec![0; 1 << 16];
            while (&server).write_all(&chunk).is_ok() {}
        });
        let (client, other) = pair();
        go(move || io::copy(&mut &other, &mut &other));
        time::sleep(ms(5));
        talk(&client);
        assert!(!stuck.is_finished());
        drop(deaf);
        stuck.join().unwrap();
    });
}

#[test]
fn the_stackless_form_echoes_too() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        go_async(async move {
            while let Ok((stream, _)) = listener.accept_async().await {
                go_async(async move {
                    let mut buf = [0; 64];
                    while let Ok(n @ 1..) = stream.read_async(&mut buf).await {
                        let mut sent = 0;
                        while sent < n {
                            sent += stream.write_async(&buf[sent..n]).await.unwrap();
                        }
                    }
                });
            }
        });
        scope(|s| {
            for _ in 0..30 {
                s.go(move || talk(&TcpStream::connect(addr).unwrap()));
            }
        });
    });
}

#[test]
fn a_peer_that_is_always_ready_does_not_keep_the_worker_from_the_others() {
    common::one_worker(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        // Both ends on one worker would take turns by themselves: this one is on a thread.
        let flood = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) && (&near).write_all(&[0; 1 << 16]).is_ok() {}
            }
        });
        let reader = common::start(move || {
            let mut buf = [0; 16];
            while let Ok(1..) = (&far).read(&mut buf) {}
        });
        // We are pinned beside it, and get on.
        for _ in 0..100 {
            gosched::yield_now();
        }
        assert!(!reader.is_finished());
        stop.store(true, Ordering::Relaxed);
        gosched::blocking(|| flood.join().unwrap());
        reader.join().unwrap();
    });
}
