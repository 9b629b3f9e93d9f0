//! The traits of the async ecosystem for our streams, each with its feature: row I14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{block_on, everywhere, ms};
use gosched::net::{DeadlineExceeded, TcpListener, TcpStream, UnixStream};
use gosched::{go, go_async, time, wait};
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

async fn read_hyper(stream: &mut TcpStream, room: usize) -> std::io::Result<Vec<u8>> {
    let mut memory = vec![MaybeUninit::uninit(); room];
    let mut buf = hyper::rt::ReadBuf::uninit(&mut memory);
    poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut *stream), cx, buf.unfilled())).await?;
    Ok(buf.filled().to_vec())
}

async fn read_tokio(stream: &mut UnixStream, room: usize) -> std::io::Result<Vec<u8>> {
    let mut memory = vec![MaybeUninit::uninit(); room];
    let mut buf = ReadBuf::uninit(&mut memory);
    poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut *stream), cx, &mut buf)).await?;
    Ok(buf.filled().to_vec())
}

#[test]
fn hypers_traits_read_and_write() {
    everywhere(|| {
        let (mut client, mut server) = pair();
        let reader = go_async(async move {
            let mut got = Vec::new();
            loop {
                let part = read_hyper(&mut server, 7).await.unwrap();
                if part.is_empty() {
                    return got;
                }
                got.extend(part);
            }
        });
        wait(async {
            let parts = [IoSlice::new(b"one, "), IoSlice::new(b"two, ")];
            assert!(hyper::rt::Write::is_write_vectored(&client));
            let n = poll_fn(|cx| hyper::rt::Write::poll_write_vectored(Pin::new(&mut client), cx, &parts));
            assert_eq!(n.await.unwrap(), 10);
            let n = poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut client), cx, b"three"));
            assert_eq!(n.await.unwrap(), 5);
            poll_fn(|cx| hyper::rt::Write::poll_flush(Pin::new(&mut client), cx)).await.unwrap();
            poll_fn(|cx| hyper::rt::Write::poll_shutdown(Pin::new(&mut client), cx)).await.unwrap();
        });
        assert_eq!(reader.join().unwrap(), b"one, two, three");
    });
}

#[test]
fn tokios_and_futures_traits_read_and_write_on_a_foreign_executor() {
    everywhere(|| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let echo = go(move || {
            let mut buf = [0; 64];
            while let n @ 1.. = far.read(&mut buf).unwrap() {
                far.write_all(&buf[..n]).unwrap();
            }
        });
        // On a thread that belongs to nobody.
        std::thread::spawn(move || {
            block_on(async {
                let n = poll_fn(|cx| AsyncWrite::poll_write(Pin::new(&mut near), cx, b"tokio"));
                assert_eq!(n.await.unwrap(), 5);
                assert_eq!(read_tokio(&mut near, 64).await.unwrap(), b"tokio");
                let n = poll_fn(|cx| futures_io::AsyncWrite::poll_write(Pin::new(&mut near), cx, b"futures"));
                assert_eq!(n.await.unwrap(), 7);
                let mut buf = [0; 64];
                let n = poll_fn(|cx| futures_io::AsyncRead::poll_read(Pin::new(&mut near), cx, &mut buf));
                assert_eq!(n.await.unwrap(), 7);
                poll_fn(|cx| futures_io::AsyncWrite::poll_close(Pin::new(&mut near), cx)).await.unwrap();
            });
        })
        .join()
        .unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn I06_deadlines_count_for_the_traits_too() {
    everywhere(|| {
        let (mut client, _server) = pair();
        let is_late = |error: std::io::Error| error.get_ref().unwrap().is::<DeadlineExceeded>();
        client.set_read_deadline(Some(time::now() + ms(5))).unwrap();
        assert!(is_late(wait(read_hyper(&mut client, 8)).unwrap_err()));
        client.set_read_deadline(None).unwrap();
        let other = client.clone();
        let reader = go_async(async move { read_hyper(&mut client, 8).await.unwrap_err() });
        time::sleep(ms(3));
        other.set_read_deadline(Some(time::now() - ms(1))).unwrap();
        assert!(is_late(reader.join().unwrap()));
    });
}

#[test]
fn I14_one_task_reads_and_another_writes() {
    everywhere(|| {
        let (client, mut server) = pair();
        go(move || {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = server.read(&mut buf) {
                if server.write_all(&buf[..n]).is_err() {
                    return;
                }
            }
        });
        let (mut reading, mut writing) = (client.clone(), client);
        const BYTES: usize = 2_000_000;
        let reader = go_async(async move {
            let mut got = 0;
            while got < BYTES {
                got += read_hyper(&mut reading, 10_000).await.unwrap().len();
            }
            got
        });
        let writer = go_async(async move {
            let chunk = [7; 8192];
            let mut sent = 0;
            while sent < BYTES {
                let part = &chunk[..chunk.len().min(BYTES - sent)];
                sent += poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut writing), cx, part))
                    .await
                    .unwrap();
            }
        });
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), BYTES);
    });
}
