//! Goroutines: starting, ending, joining (FEATURES G01 to G14, G47).
#![allow(non_snake_case)]

mod common;

use common::values::flag;
use common::{Child, bounded, cheap_modes, everywhere, in_each, is_child, panic_text, stderr, text};
use gosched::goroutine::Builder;
use gosched::sync::WaitGroup;
use gosched::{chan, current, go, go_async, num_goroutine, wait, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn G01_arguments_are_evaluated_by_the_caller() {
    everywhere(|| {
        let seen: Vec<_> = (0..10)
            .map(|i| {
                let captured = (i, current().id());
                go(move || (captured, current().id()))
            })
            .collect();
        for (i, handle) in seen.into_iter().enumerate() {
            let ((n, caller), own) = handle.join().unwrap();
            assert_eq!((n, caller), (i, current().id()));
            assert_ne!(own, caller);
        }
    });
}

#[test]
fn G01_results_may_be_discarded() {
    everywhere(|| {
        let (dropped, raised) = flag();
        drop(go(move || dropped));
        common::eventually("the discarded result is dropped", || raised.load(Ordering::SeqCst));
    });
}

#[test]
fn G03_go_happens_before_the_start() {
    everywhere(|| {
        static PLAIN: AtomicUsize = AtomicUsize::new(0);
        for i in 0..200 {
            // Relaxed: only the start itself orders the two.
            PLAIN.store(i, Ordering::Relaxed);
            assert_eq!(go(|| PLAIN.load(Ordering::Relaxed)).join().unwrap(), i);
        }
    });
}

#[test]
fn G04_a_join_makes_the_end_visible() {
    everywhere(|| {
        for i in 0..200 {
            let cell = Arc::new(AtomicUsize::new(0));
            let other = cell.clone();
            go(move || other.store(i, Ordering::Relaxed)).join().unwrap();
            assert_eq!(cell.load(Ordering::Relaxed), i);
        }
    });
}

#[test]
fn G05_run_returns_when_main_does() {
    for mode in common::modes() {
        bounded(move || {
            let (kept, raised) = flag();
            let (_never, rx) = chan::bounded::<()>(0);
            let started = Arc::new(AtomicBool::new(false));
            let (runtime, seen) = (mode.runtime, started.clone());
            runtime.run(move || {
                drop(go(move || {
                    let _kept = kept;
                    seen.store(true, Ordering::SeqCst);
                    let _ = rx.recv();
                }));
                common::eventually("the other one waits", || started.load(Ordering::SeqCst));
            });
            drop(runtime);
            // Parked on its stack: abandoned, so its destructors do not run, as in Go.
            assert!(!raised.load(Ordering::SeqCst));
        });
    }
}

#[test]
fn G06_a_panic_runs_destructors_and_ends_one_goroutine() {
    everywhere(|| {
        let (local, raised) = flag();
        let panic = go(move || {
            let _local = local;
            yield_now();
            resume_unwind(Box::new("mine"));
        })
        .join()
        .unwrap_err();
        assert_eq!(text(&*panic), "mine");
        assert!(raised.load(Ordering::SeqCst));
        assert_eq!(go(|| 5).join().unwrap(), 5);
    });
}

#[test]
fn G06_an_unjoined_panic_is_told_with_id_name_and_creation_site() {
    if is_child() {
        gosched::run(|| {
            let named = Builder::new().name("bob").spawn(|| panic!("first")).unwrap();
            println!("named {}", named.id());
            drop(named);
            let line = line!() + 1;
            let plain = go(|| panic!("second"));
            println!("plain {} {line}", plain.id());
            drop(plain);
            drop(go_async(async { panic!("third") }));
            let joined = go(|| panic!("joined"));
            assert!(joined.join().is_err());
            common::eventually("they have ended", || num_goroutine() == 1);
        });
        return;
    }
    let output = Child::new("G06_an_unjoined_panic_is_told_with_id_name_and_creation_site").passes();
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    let word = |prefix: &str, n| {
        let at = out.find(prefix).expect("the child says who is who");
        out[at..].split_whitespace().nth(n).unwrap().to_owned()
    };
    let (named, plain, line) = (word("named ", 1), word("plain ", 1), word("plain ", 2));
    assert!(
        err.contains(&format!("goroutine {named} \"bob\" panicked and nobody joined it: first")),
        "{err}"
    );
    assert!(err.contains(&format!("goroutine {plain} panicked and nobody joined it: second")), "{err}");
    assert!(err.contains(&format!("{}:{line}:", file!())), "{err}");
    assert!(err.contains("nobody joined it: third"), "{err}");
    assert!(!err.contains("nobody joined it: joined"), "{err}");
}

#[test]
fn G12_yielding_goroutines_take_turns() {
    bounded(|| {
        let runtime = gosched::Runtime::builder().workers(1).build().unwrap();
        runtime.run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let (gate, open) = chan::bounded::<()>(0);
            let wg = WaitGroup::new();
            for i in 0..3 {
                let (order, open) = (order.clone(), open.clone());
                wg.go(move || {
                    // From here on all three are started, and wait in one queue.
                    open.recv().unwrap_err();
                    for round in 0..3 {
                        order.lock().unwrap().push((round, i));
                        yield_now();
                    }
                });
            }
            common::eventually("all wait", || Arc::strong_count(&order) == 4);
            gosched::time::sleep(Duration::from_millis(2));
            drop(gate);
            wg.wait();
            let rounds: Vec<_> = order.lock().unwrap().iter().map(|&(round, _)| round).collect();
            assert_eq!(rounds, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        });
    });
}

#[test]
fn G12_a_yield_lets_new_goroutines_start() {
    for mode in cheap_modes() {
        bounded(move || {
            mode.runtime.run(|| {
                let started = Arc::new(AtomicUsize::new(0));
                for _ in 0..10 {
                    let started = started.clone();
                    drop(go(move || started.fetch_add(1, Ordering::SeqCst)));
                }
                let mut yields = 0;
                while started.load(Ordering::SeqCst) < 10 {
                    yield_now();
                    yields += 1;
                }
                // One yield need not start them all: those that have started wait in a queue of their own, and
                // the two queues take turns. With two workers the yielder may also be alone on its own.
                assert!(mode.name != "pinned, one worker" || yields <= 12, "{yields} yields");
            });
        });
    }
}

#[test]
fn G13_num_goroutine_counts_those_that_have_not_ended() {
    everywhere(|| {
        assert_eq!(num_goroutine(), 1);
        let (tx, rx) = chan::bounded::<()>(0);
        let mut handles: Vec<_> = (0..20)
            .map(|_| {
                let rx = rx.clone();
                go(move || {
                    rx.recv().ok();
                })
            })
            .collect();
        handles.push(go_async(async move {
            rx.recv_async().await.ok();
        }));
        assert_eq!(num_goroutine(), 22);
        drop(tx);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        common::eventually("only main is left", || num_goroutine() == 1);
    });
}

#[test]
fn G13_num_goroutine_is_zero_outside() {
    bounded(|| assert_eq!(num_goroutine(), 0));
}

#[test]
fn G14_ids_are_never_reused() {
    everywhere(|| {
        let mut ids: Vec<u64> = Vec::new();
        for _ in 0..20 {
            let handles: Vec<_> = (0..50).map(|_| go(|| current().id())).collect();
            for handle in handles {
                let id = handle.id();
                assert_eq!(handle.join().unwrap(), id);
                ids.push(id);
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids[0] > 0);
    });
}

#[test]
fn current_names_the_goroutine_and_the_plain_thread() {
    everywhere(|| {
        assert_eq!(current().name(), Some("main"));
        assert_eq!(go(|| current().name().map(str::to_owned)).join().unwrap(), None);
        let named = Builder::new().name("bob").spawn(|| (current().id(), current().name() == Some("bob")));
        let named = named.unwrap();
        let id = named.id();
        assert_eq!(named.join().unwrap(), (id, true));
        let stackless = Builder::new().name("eve").spawn_async(async { current().name() == Some("eve") });
        assert!(stackless.unwrap().join().unwrap());
    });
    let of_thread = std::thread::Builder::new().name("plain".into()).spawn(current).unwrap().join().unwrap();
    assert_eq!((of_thread.id(), of_thread.name()), (0, Some("plain")));
}

#[test]
fn yield_on_a_plain_thread_returns() {
    bounded(yield_now);
}

#[test]
fn go_async_awaits_and_blocks() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(0);
        let (back, answer) = chan::bounded(0);
        let stackless = go_async(async move {
            let mut sum = 0;
            while let Ok(n) = rx.recv_async().await {
                sum += n;
                // A blocking call inside a poll borrows a stack.
                back.send(n).unwrap();
                gosched::time::sleep(Duration::from_micros(10));
            }
            sum
        });
        for n in 0..50 {
            tx.send(n).unwrap();
            assert_eq!(answer.recv(), Ok(n));
        }
        drop(tx);
        assert_eq!(stackless.join().unwrap(), 1225);
    });
}

#[test]
fn wait_takes_any_future_and_passes_panics_on() {
    everywhere(|| {
        assert_eq!(wait(async { 1 + 1 }), 2);
        assert_eq!(panic_text(|| wait(async { panic!("in the future") })), "in the future");
        // A wait inside a future inside a wait.
        let (tx, rx) = chan::bounded(0);
        let sender = go(move || tx.send(wait(async { wait(async { 7 }) })));
        assert_eq!(wait(async { rx.recv() }), Ok(7));
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn G47_a_chain_of_ten_thousand() {
    in_each(cheap_modes(), || {
        const LINKS: usize = 10_000;
        let (first, mut right) = chan::bounded(0);
        for _ in 0..LINKS {
            let (tx, rx) = chan::bounded(0);
            let from = std::mem::replace(&mut right, rx);
            drop(go(move || {
                let n: usize = from.recv().unwrap();
                tx.send(n + 1).unwrap();
            }));
        }
        first.send(0).unwrap();
        assert_eq!(right.recv(), Ok(LINKS));
        common::eventually("all links have ended", || num_goroutine() == 1);
    });
}

#[test]
fn G47_the_prime_sieve_ends_by_itself_when_its_consumer_is_dropped() {
    fn primes() -> chan::Receiver<u32> {
        let (tx, out) = chan::bounded(0);
        drop(go(move || {
            let (numbers, mut source) = chan::bounded(0);
            drop(go(move || (2..).try_for_each(|n: u32| numbers.send(n))));
            while let Ok(prime) = source.recv() {
                if tx.send(prime).is_err() {
                    return;
                }
                let (filtered, rest) = chan::bounded(0);
                let from = std::mem::replace(&mut source, rest);
                drop(go(move || from.iter().filter(|n| n % prime != 0).try_for_each(|n| filtered.send(n))));
            }
        }));
        out
    }
    everywhere(|| {
        let primes = primes();
        let first: Vec<_> = primes.iter().take(50).collect();
        assert_eq!((first[0], first[1], first[49]), (2, 3, 229));
        assert!(num_goroutine() > 50);
        drop(primes);
        common::eventually("the whole sieve has ended", || num_goroutine() == 1);
    });
}

#[test]
fn G06_a_panic_payload_that_panics_when_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new("from the payload"));
        }
    }
    everywhere(|| {
        for _ in 0..5 {
            drop(go(|| resume_unwind(Box::new(Bomb))));
        }
        common::eventually("they have ended", || num_goroutine() == 1);
        // And a result whose destructor panics, which nobody joins.
        drop(go(|| Bomb));
        common::eventually("it has ended", || num_goroutine() == 1);
        assert_eq!(go(|| 1).join().unwrap(), 1);
        let _ = catch_unwind(AssertUnwindSafe(|| ()));
    });
}
