//! Goroutines that were left behind: rows L01 to L06 of the features, and the leaks that Go programs are known for.
//!
//! Of those leaks:
//!
//! * *A forgotten receiver* (the sender of an answer that nobody wants any more; also with a timeout or an early return
//!   on the receiving side, and with the second of two answers) cannot be written: a receiver that goes out of scope
//!   ends the send with an error. What can be written is a receiver that is kept and not used: caught.
//! * *A forgotten sender* (a channel over which somebody ranges, and that nobody closes) cannot be written by leaving: the
//!   last sender that goes out of scope closes the channel. One that is kept is caught; so is the one that the receiving
//!   goroutine holds itself.
//! * *A missing cancel* cannot be written by forgetting the call: the context's owner cancels when it goes out of scope.
//!   An owner that is kept is caught.
//! * *A `WaitGroup` that is never done* is caught.
//! * *A ticker loop* without an end is caught. Where it ranges over the ticker's channel, it does not end by itself either
//!   when the ticker is stopped, as in Go: caught.
//! * *An accept loop* whose listener nobody closes is caught, and so is one who reads from a connection that stays. A
//!   listener's last handle that goes out of scope closes it, but the loop has one.
//! * *A nil channel*, and a lock whose guard was forgotten with `mem::forget`: caught.
#![allow(non_snake_case)]

mod common;

use common::{HOUR, bounded, eventually, everywhere, ms, one_worker, panic_text, stacks_are_seen};
use gosched::context::Context;
use gosched::debug::leak::{self, Leaks, Options};
use gosched::goroutine::Builder;
use gosched::net::{TcpListener, TcpStream};
use gosched::sync::{Mutex, WaitGroup};
use gosched::time::Ticker;
use gosched::time::clock::Clock;
use gosched::{Runtime, WaitReason, chan, go, go_async, num_goroutine, select, time};
use std::future::pending;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The one goroutine that was left behind, which waits for `reason` and was started at `line` of this file.
#[track_caller]
fn caught(reason: WaitReason, line: u32) {
    let leaks = leak::check().expect_err("a goroutine was left behind");
    let [info] = leaks.goroutines() else { panic!("more than one:\n{leaks}") };
    assert_eq!(info.state.to_string(), reason.to_string(), "{leaks}");
    assert_eq!((info.created_at.file(), info.created_at.line()), (file!(), line), "{leaks}");
}

#[test]
fn L01_nothing_is_found_where_nothing_is_left() {
    everywhere(|| {
        leak::check().unwrap();
        go(|| 7).join().unwrap();
        go_async(async { 7 }).join().unwrap();
        leak::check().unwrap();
    });
}

#[test]
fn L01_those_about_to_end_are_waited_for() {
    everywhere(|| {
        go(|| time::sleep(ms(20)));
        assert_eq!(num_goroutine(), 2);
        // Longer than the usual 0.4 s, for busy machines.
        leak::find(&Options::new().attempts(200)).unwrap();
        assert_eq!(num_goroutine(), 1);
    });
}

#[test]
fn L01_the_text_is_goleaks() {
    one_worker(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        let left = go(move || rx.recv().is_err());
        let text = leak::check().unwrap_err().to_string();
        let (does, first_lines) = match stacks_are_seen() {
            true => ("with ", format!("\ngoroutine {} [chan receive]:\n", left.id())),
            false => ("waiting at ", format!("\ngoroutine {} [chan receive]:\nwaits at\n\t", left.id())),
        };
        let first =
            format!("found unexpected goroutines:\n[Goroutine {} in state chan receive, {does}", left.id());
        assert!(text.starts_with(&first), "{text}");
        assert!(text.contains(&first_lines), "{text}");
        assert!(text.ends_with("\n]"), "{text}");
        drop(tx);
        assert!(left.join().unwrap());
    });
}

#[test]
fn L01_other_runtimes_goroutines_are_looked_at_when_asked_for() {
    bounded(|| {
        let [one, other] = [(); 2].map(|()| Runtime::builder().workers(1).build().unwrap());
        let left = other.handle().go_async(pending::<()>()).id();
        let found = |leaks: Result<(), Leaks>| {
            leaks.is_err_and(|leaks| leaks.goroutines().iter().any(|info| info.id == left))
        };
        one.run(|| leak::check().unwrap());
        let all = Options::new().all_runtimes().attempts(0);
        assert!(one.run(|| found(leak::find(&all))));
        // A thread of no runtime means all.
        assert!(found(leak::find(&Options::new().attempts(0))));
        drop(other);
        assert!(!found(leak::find(&Options::new().attempts(0))), "it ended with its runtime");
    });
}

#[test]
fn L01_a_check_by_a_child_finds_neither_itself_nor_main() {
    everywhere(|| go(|| leak::check().unwrap()).join().unwrap());
}

#[test]
fn L01_a_check_ends_also_where_the_clock_stands_still() {
    bounded(|| {
        let clock = Clock::manual();
        Runtime::builder().workers(1).clock(&clock).build().unwrap().run(|| {
            go_async(pending::<()>());
            assert_eq!(leak::find(&Options::new().attempts(12)).unwrap_err().goroutines().len(), 1);
            let ends = Arc::new(AtomicBool::new(false));
            let sees = ends.clone();
            go(move || {
                while !sees.load(Ordering::Relaxed) {
                    gosched::yield_now();
                }
            });
            ends.store(true, Ordering::Relaxed);
            let leaks = leak::find(&Options::new()).unwrap_err();
            assert_eq!(leaks.goroutines().len(), 1, "the other has ended meanwhile");
        });
    });
}

#[test]
fn L02_a_guard_checks_when_it_is_dropped() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        {
            let _guard = leak::Guard::new();
            go(|| 7).join().unwrap();
        }
        let before = go_async(pending::<()>());
        let said = panic_text(|| {
            let _guard = leak::Guard::new();
            let rx = rx.clone();
            go(move || rx.recv().is_err());
        });
        assert!(said.starts_with("found unexpected goroutines:\n[Goroutine "), "{said}");
        assert!(!said.contains(&format!("Goroutine {} ", before.id())), "it was there before:\n{said}");
        let said = panic_text(|| {
            let _guard = leak::Guard::with(Options::new().attempts(0));
            panic!("the first panic counts");
        });
        assert_eq!(said, "the first panic counts");
        drop(tx);
    });
}

#[test]
fn L04_filters_by_age_name_and_place() {
    one_worker(|| {
        let now = Options::new().attempts(0);
        let old = go_async(pending::<()>());
        let since = now.clone().ignore_current();
        leak::find(&since).unwrap();
        let named = Builder::new().name("logger").spawn(|| time::sleep(HOUR)).unwrap();
        let ids = |options: &Options| -> Vec<u64> {
            let leaks = leak::find(options).err();
            leaks.iter().flat_map(|leaks| leaks.goroutines()).map(|info| info.id).collect()
        };
        eventually("it sleeps", || {
            let leaks = leak::find(&since).unwrap_err();
            leaks.goroutines()[0].waits_at.is_some()
        });
        assert_eq!(ids(&since), [named.id()]);
        assert_eq!(ids(&now.clone().ignore_name("logger")), [old.id()]);
        assert_eq!(ids(&now.clone().ignore_name("log")).len(), 2);
        assert_eq!(ids(&now.clone().ignore_created_in("leaks.rs")), []);
        assert_eq!(ids(&now.clone().ignore_created_in("tests/leaks.rs")), []);
        assert_eq!(ids(&now.clone().ignore_created_in("eaks.rs")).len(), 2, "whole components only");
        assert_eq!(ids(&now.clone().ignore_waiting_in("leaks.rs")), [old.id()]);
        assert_eq!(ids(&now.clone().ignore(|info| info.stackful)), [old.id()]);
        assert_eq!(ids(&since.ignore(|info| info.name.as_deref() == Some("logger"))), []);
    });
}

#[test]
fn a_forgotten_receiver_cannot_leak_its_sender() {
    everywhere(|| {
        // Go's classic: the first answer is taken, the others have nobody to give theirs to, for ever. Here the last
        // receiver's end is an error of the send.
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        for _ in 0..3 {
            let tx = tx.clone();
            go(move || drop(tx.send(Box::new(1))));
        }
        rx.recv().unwrap();
        drop(rx);
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_receiver_that_is_kept_and_not_used_is_caught() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        let line = line!() + 1;
        go(move || drop(tx.send(Box::new(1))));
        caught(WaitReason::ChanSend, line);
        rx.recv().unwrap();
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_forgotten_sender_is_caught() {
    everywhere(|| {
        // Nobody closes the channel over which it ranges.
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        let line = line!() + 1;
        go(move || for _ in rx {});
        tx.send(Box::new(1)).unwrap();
        caught(WaitReason::ChanReceive, line);
        // Dropping it is closing it.
        drop(tx);
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_missing_cancel_is_caught() {
    everywhere(|| {
        let ctx = Context::background().with_cancel();
        let watched = ctx.clone();
        let line = line!() + 1;
        go(move || watched.done().recv().is_err());
        caught(WaitReason::ChanReceive, line);
        // An owner that is dropped cancels: it takes one that is kept.
        drop(ctx);
        leak::find(&Options::new().attempts(200)).unwrap();

        let ctx = Context::background().with_cancel();
        let (watched, (tx, rx)) = (ctx.clone(), chan::bounded::<Box<u8>>(0));
        let line = line!() + 1;
        go(move || select! { recv(watched.done()) -> _ => {}, recv(rx) -> _ => {} });
        caught(WaitReason::Select, line);
        drop((ctx, tx));
    });
}

#[test]
fn a_wait_group_that_is_never_done_is_caught() {
    everywhere(|| {
        let group = WaitGroup::new();
        group.add(1);
        let waits = group.clone();
        let line = line!() + 1;
        go(move || waits.wait());
        caught(WaitReason::WaitGroupWait, line);
        group.done();
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_forgotten_accept_loop_is_caught() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accepting = listener.clone();
        let line = line!() + 1;
        go(move || for _ in accepting.incoming().map_while(Result::ok) {});
        caught(WaitReason::IoWait, line);
        let leaks = leak::find(&Options::new().attempts(1)).unwrap_err().to_string();
        assert!(leaks.contains("[IO wait"), "{leaks}");
        listener.close().unwrap();
        leak::find(&Options::new().attempts(200)).unwrap();

        // One that reads from who was accepted, and one that accepts as a future.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let line = line!() + 1;
        go(move || (&stream).read(&mut [0]).is_ok());
        caught(WaitReason::IoWait, line);
        drop(client);
        leak::find(&Options::new().attempts(200)).unwrap();
        let accepting = listener.clone();
        let line = line!() + 1;
        go_async(async move { accepting.accept_async().await.is_ok() });
        caught(WaitReason::IoWait, line);
        listener.close().unwrap();
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_ticker_loop_is_caught() {
    everywhere(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let line = line!() + 1;
        go(move || {
            let ticker = Ticker::new(HOUR / 3600 / 20);
            while !stopped.load(Ordering::Relaxed) {
                let _ = ticker.receiver().recv();
            }
        });
        // Now and then it runs: it is left behind all the same, and waits most of the time.
        let begun = Instant::now();
        let waits = || {
            let leaks = leak::find(&Options::new().attempts(0)).unwrap_err();
            let info = &leaks.goroutines()[0];
            assert_eq!((info.created_at.file(), info.created_at.line()), (file!(), line), "{leaks}");
            info.state.to_string() == "chan receive"
        };
        eventually("it is seen waiting", waits);
        leak::find(&Options::new().attempts(15)).unwrap_err();
        stop.store(true, Ordering::Relaxed);
        leak::find(&Options::new().attempts(200)).unwrap();
        assert!(begun.elapsed() < common::PATIENCE);
    });
}

#[test]
fn an_answer_that_comes_too_late_cannot_leak_its_sender() {
    everywhere(|| {
        // With a timeout on the receiving side; and an early return because of another error.
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        go(move || {
            time::sleep(ms(5));
            assert!(tx.send(Box::new(1)).is_err(), "nobody wants it any more");
        });
        let _ = rx.recv_timeout(ms(1));
        fn fails(_results: chan::Receiver<Box<u8>>) -> Result<(), &'static str> {
            Err("before it has looked at the results")
        }
        fails(rx).unwrap_err();
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_receiver_that_holds_its_own_sender_is_caught() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(1);
        let line = line!() + 1;
        go(move || {
            tx.send(Box::new(1)).unwrap();
            rx.iter().for_each(drop);
        });
        caught(WaitReason::ChanReceive, line);
    });
}

#[test]
fn the_same_leaks_of_futures_are_caught() {
    everywhere(|| {
        let kept = chan::bounded::<Box<u8>>(0);
        let (tx, rx) = kept.clone();
        let line = line!() + 1;
        let sends = go_async(async move { tx.send_async(Box::new(1)).await.is_err() });
        caught(WaitReason::ChanSend, line);
        drop(kept.1.recv().unwrap());
        assert!(!sends.join().unwrap());

        let line = line!() + 1;
        let receives = go_async(async move { rx.recv_async().await.is_err() });
        caught(WaitReason::ChanReceive, line);
        drop(kept);
        assert!(receives.join().unwrap());

        let ctx = Context::background().with_cancel();
        let watched = ctx.clone();
        let line = line!() + 1;
        let watches = go_async(async move { watched.done().recv_async().await.is_err() });
        caught(WaitReason::ChanReceive, line);
        drop(ctx);
        assert!(watches.join().unwrap());

        let group = WaitGroup::new();
        group.add(1);
        let awaited = group.clone();
        let line = line!() + 1;
        let waits = go_async(async move { awaited.wait_async().await });
        caught(WaitReason::WaitGroupWait, line);
        group.done();
        waits.join().unwrap();
        leak::find(&Options::new().attempts(200)).unwrap();
    });
}

#[test]
fn a_loop_over_a_ticker_that_is_stopped_is_caught() {
    everywhere(|| {
        let ticker = Arc::new(Ticker::new(ms(1)));
        let theirs = ticker.clone();
        let line = line!() + 1;
        go(move || while theirs.receiver().recv().is_ok() {});
        ticker.stop();
        caught(WaitReason::ChanReceive, line);
    });
}

#[test]
fn a_nil_channel_and_a_forgotten_guard_are_caught() {
    everywhere(|| {
        let line = line!() + 1;
        go(|| chan::never::<u8>().recv().is_err());
        caught(WaitReason::ChanReceiveNil, line);
    });
    everywhere(|| {
        let mutex = Arc::new(Mutex::new(0));
        std::mem::forget(mutex.lock());
        let line = line!() + 1;
        go(move || *mutex.lock() += 1);
        caught(WaitReason::MutexLock, line);
    });
}

#[inline(never)]
fn waits_for_an_answer(rx: &chan::Receiver<Box<u8>>) -> bool {
    std::hint::black_box(rx.recv().is_ok())
}

#[test]
fn a_leak_tells_in_which_function_it_hangs() {
    if !stacks_are_seen() {
        return;
    }
    one_worker(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        go(move || waits_for_an_answer(&rx));
        let text = leak::check().unwrap_err().to_string();
        assert!(text.contains("waits_for_an_answer on top of the stack:\ngoroutine "), "{text}");
        drop(tx);
    });
}
