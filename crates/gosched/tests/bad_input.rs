//! What is done with input that makes no sense, and with things used after their end.
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, everywhere, is_child, modes, panic_text};
use gosched::chan::{RecvError, SendError, TryRecvError, TrySendError};
use gosched::goroutine::Builder;
use gosched::{Runtime, chan, go, go_async, goexit, time, wait};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

#[test]
fn zero_and_absurd_numbers_of_workers_are_errors() {
    for (workers, says) in [(0, "at least one"), (65_536, "at most 65,535"), (usize::MAX, "at most 65,535")] {
        let error = Runtime::builder().workers(workers).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(says), "{error}");
        let error = Runtime::builder().workers(workers).build_global().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_bad_GOSCHED_WORKERS_is_an_error_and_a_good_one_counts() {
    if is_child() {
        match std::env::var("EXPECTED").unwrap().parse::<usize>() {
            Ok(workers) => {
                let runtime = Runtime::new().unwrap();
                assert!(format!("{runtime:?}").contains(&format!("workers: {workers}")), "{runtime:?}");
            }
            Err(_) => {
                let error = Runtime::new().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let said = panic_text(|| gosched::run(|| ()));
                assert!(said.contains("cannot build a runtime: "), "{said}");
                // The default runtime, too.
                assert!(panic_text(|| go(|| ())).contains("cannot start a goroutine: "));
            }
        }
        // Asked for in the program, the variable does not count.
        assert!(Runtime::builder().workers(1).build().is_ok());
        return;
    }
    let set = [
        ("3", "3"),
        (" 2 ", "2"),
        ("0", "error"),
        ("-1", "error"),
        ("many", "error"),
        ("", "error"),
        ("1e9", "error"),
    ];
    for (value, expected) in set {
        let child = Child::new("a_bad_GOSCHED_WORKERS_is_an_error_and_a_good_one_counts");
        child.env("GOSCHED_WORKERS", value).env("EXPECTED", expected).passes();
    }
}

#[test]
fn stack_sizes_below_the_minimum_or_beyond_reason_are_errors() {
    bounded(|| {
        for size in [0, 1, 4096, (16 << 10) - 1, (1 << 30) + 1, usize::MAX] {
            let error = Runtime::builder().stack_size(size).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{size}");
            assert!(error.to_string().contains(&format!("a stack of {size} bytes")), "{error}");
            let spawned = Builder::new().stack_size(size).spawn(|| ());
            assert_eq!(spawned.unwrap_err().kind(), ErrorKind::InvalidInput, "{size}");
        }
        // The smallest that is allowed, and one between two classes, work.
        for size in [16 << 10, 100_000] {
            let runtime = Runtime::builder().workers(1).stack_size(size).build().unwrap();
            assert_eq!(runtime.run(|| go(|| 1).join().unwrap()), 1);
        }
    });
}

#[test]
fn a_capacity_beyond_memory_does_the_documented_thing() {
    bounded(|| {
        for cap in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8 - 1] {
            let said = panic_text(|| chan::bounded::<u64>(cap));
            assert!(said.contains(&format!("{cap} messages")), "{said}");
        }
        // Messages of no size need no memory.
        let (tx, rx) = chan::bounded::<()>(usize::MAX);
        tx.send(()).unwrap();
        assert_eq!((tx.capacity(), rx.len()), (Some(usize::MAX), 1));
    });
}

#[test]
fn a_finished_handle_panics_when_polled_again() {
    everywhere(|| {
        for mut handle in [go(|| 1), go_async(async { 1 })] {
            assert_eq!(wait(&mut handle).unwrap(), 1);
            let said = panic_text(|| wait(poll_fn(|cx| Pin::new(&mut handle).poll(cx).map(drop))));
            assert!(said.contains("polled after it had returned"), "{said}");
        }
        let mut call = gosched::blocking_async(|| 1);
        assert_eq!(wait(&mut call), 1);
        assert!(panic_text(|| wait(&mut call)).contains("polled after it had returned"));
    });
}

#[test]
fn goexit_on_a_plain_thread_panics() {
    for said in [panic_text(|| goexit()), panic_text(|| gosched::run(|| gosched::blocking(|| goexit())))] {
        assert_eq!(said, "goexit was called on a thread that runs no goroutine");
    }
}

#[test]
fn channels_outlive_runtimes() {
    for mode in modes() {
        bounded(move || {
            let runtime = mode.runtime;
            let (full, buffered) = chan::bounded(2);
            let (tx, rx) = chan::bounded::<i32>(0);
            let (open, ready) = chan::unbounded();
            runtime.run(|| {
                full.send(1).unwrap();
                full.send(2).unwrap();
                open.send(3).unwrap();
                // One goroutine that owns a receiver is abandoned with it: the channel stays open.
                let (waits, own) = (rx.clone(), tx.clone());
                drop(go(move || (waits.recv(), own)));
                time::sleep(Duration::from_millis(2));
            });
            drop(runtime);
            assert_eq!(full.try_send(4), Err(TrySendError::Full(4)));
            assert_eq!(buffered.try_iter().collect::<Vec<_>>(), [1, 2]);
            assert_eq!(full.send(5), Ok(()));
            assert_eq!(wait(buffered.recv_async()), Ok(5));
            let other = thread::spawn(move || ready.recv());
            assert_eq!(other.join().unwrap(), Ok(3));
            assert_eq!(open.send(4), Err(SendError(4)));
            assert!(buffered.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
            drop(full);
            assert_eq!(buffered.recv(), Err(RecvError));
            assert_eq!(buffered.try_recv(), Err(TryRecvError::Disconnected));
            assert!(!tx.is_closed());
        });
    }
}

#[test]
fn sleeps_of_any_length_are_accepted() {
    everywhere(|| {
        time::sleep(Duration::ZERO);
        time::sleep_until(std::time::Instant::now() - Duration::from_millis(1));
        // Farther away than the clock can tell: pending, not an overflow.
        let mut far = std::pin::pin!(time::sleep_async(Duration::MAX));
        wait(poll_fn(|cx| {
            assert!(far.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
        drop(go(|| time::sleep(Duration::MAX)));
        let (_tx, rx) = chan::bounded::<()>(0);
        drop(go(move || rx.recv_timeout(Duration::MAX)));
        gosched::yield_now();
    });
}
