//! Which goroutine runs when: queues, fairness, wake-ups, idleness (FEATURES G20 to G29, G48, G51).
#![allow(non_snake_case)]

mod common;

use common::{Child, block_on, bounded, cpu_time, everywhere, in_each, is_child, parallel_modes};
use gosched::sync::WaitGroup;
use gosched::{Runtime, chan, go, go_async, num_goroutine, time, yield_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn one_worker(body: impl FnOnce() + Send + 'static) {
    bounded(move || Runtime::builder().workers(1).build().unwrap().run(body));
}

#[test]
fn G20_the_goroutine_made_last_starts_first() {
    one_worker(|| {
        for stackless in [false, true] {
            let order = Arc::new(Mutex::new(Vec::new()));
            let wg = WaitGroup::new();
            wg.add(6);
            for i in 0..6 {
                let (order, wg) = (order.clone(), wg.clone());
                let body = move || {
                    order.lock().unwrap().push(i);
                    wg.done();
                };
                if stackless { drop(go_async(async move { body() })) } else { drop(go(body)) }
            }
            wg.wait();
            assert_eq!(*order.lock().unwrap(), [5, 0, 1, 2, 3, 4]);
        }
    });
}

/// Two goroutines that wake each other for as long as `on` holds.
fn ping_pong(on: &Arc<AtomicBool>) -> [gosched::JoinHandle<()>; 2] {
    let (ping, pinged) = chan::bounded(0);
    let (pong, ponged) = chan::bounded(0);
    let on = on.clone();
    let first = go(move || {
        while on.load(Ordering::Relaxed) {
            ping.send(()).unwrap();
            ponged.recv().unwrap();
        }
    });
    let second = go(move || {
        while pinged.recv().is_ok() {
            pong.send(()).unwrap();
        }
    });
    [first, second]
}

#[test]
fn G21_a_ping_pong_pair_does_not_starve_the_queue() {
    one_worker(|| {
        let on = Arc::new(AtomicBool::new(true));
        let pair = ping_pong(&on);
        let ran = Arc::new(AtomicUsize::new(0));
        // Some that yield, some that are new, some that are woken, some that are polled.
        let handles: Vec<_> = (0..20)
            .map(|i| {
                let ran = ran.clone();
                let count = move || ran.fetch_add(1, Ordering::SeqCst);
                match i % 3 {
                    0 => go(move || {
                        (0..20).for_each(|_| {
                            yield_now();
                            count();
                        })
                    }),
                    1 => go(move || {
                        (0..20).for_each(|_| {
                            time::sleep(Duration::from_micros(10));
                            count();
                        })
                    }),
                    _ => go_async(async move {
                        for _ in 0..20 {
                            time::sleep_async(Duration::from_micros(10)).await;
                            count();
                        }
                    }),
                }
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(ran.load(Ordering::SeqCst), 400);
        on.store(false, Ordering::Relaxed);
        pair.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn G22_more_goroutines_than_a_ring_holds_all_run() {
    everywhere(|| {
        let ran = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..2000)
            .map(|i| {
                let ran = ran.clone();
                let count = move || {
                    ran.fetch_add(1, Ordering::Relaxed);
                };
                if i % 2 == 0 { go(count) } else { go_async(async move { count() }) }
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(ran.load(Ordering::Relaxed), 2000);
    });
}

#[test]
fn G23_injected_goroutines_start_while_a_pair_keeps_the_worker_busy() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let on = Arc::new(AtomicBool::new(true));
        let pair = runtime.run(|| ping_pong(&on));
        for i in 0..100 {
            assert_eq!(runtime.handle().go(move || i).join().unwrap(), i);
            assert_eq!(runtime.handle().go_async(async move { i }).join().unwrap(), i);
        }
        on.store(false, Ordering::Relaxed);
        pair.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn G23_injected_goroutines_start_while_others_keep_yielding() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let on = Arc::new(AtomicBool::new(true));
        let hogs = runtime.run(|| {
            [0, 1].map(|_| {
                let on = on.clone();
                go(move || {
                    while on.load(Ordering::Relaxed) {
                        yield_now()
                    }
                })
            })
        });
        for i in 0..100 {
            assert_eq!(runtime.handle().go(move || i).join().unwrap(), i);
        }
        on.store(false, Ordering::Relaxed);
        hogs.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn G25_timers_fire_while_a_pair_keeps_the_worker_busy() {
    one_worker(|| {
        let on = Arc::new(AtomicBool::new(true));
        let pair = ping_pong(&on);
        for _ in 0..20 {
            let start = Instant::now();
            time::sleep(Duration::from_millis(2));
            let late = start.elapsed();
            assert!(late >= Duration::from_millis(2) && late < Duration::from_secs(2), "{late:?}");
        }
        on.store(false, Ordering::Relaxed);
        pair.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn G25_timers_fire_while_the_worker_that_set_them_is_busy() {
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        for _ in 0..10 {
            // Long enough for both workers to fall asleep before.
            thread::sleep(Duration::from_millis(10));
            let done = runtime.run(|| {
                let done = Arc::new(AtomicBool::new(false));
                let fired = done.clone();
                drop(go_async(async move {
                    time::sleep_async(Duration::from_millis(2)).await;
                    fired.store(true, Ordering::SeqCst);
                }));
                yield_now();
                let deadline = Instant::now() + Duration::from_secs(5);
                while !done.load(Ordering::SeqCst) && Instant::now() < deadline {
                    std::hint::spin_loop();
                }
                done.load(Ordering::SeqCst)
            });
            assert!(done, "the other worker slept through a timer while this one was busy");
        }
    });
}

/// Spins until it has seen `count` of them, or says no after five seconds.
fn spin_until(seen: &AtomicUsize, count: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while seen.load(Ordering::SeqCst) < count {
        if Instant::now() >= deadline {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

#[test]
fn G25_timers_fire_while_the_worker_that_woke_for_one_is_busy() {
    in_each(parallel_modes(), || {
        for _ in 0..20 {
            let fired = Arc::new(AtomicUsize::new(0));
            let seen = fired.clone();
            let hog = go_async(async move {
                time::sleep_async(Duration::from_millis(2)).await;
                spin_until(&seen, 1)
            });
            drop(go_async(async move {
                time::sleep_async(Duration::from_millis(4)).await;
                fired.fetch_add(1, Ordering::SeqCst);
            }));
            assert!(hog.join().unwrap(), "nobody looked at the timers while their keeper was busy");
        }
    });
}

#[test]
fn G26_what_timers_woke_is_stolen_from_a_busy_worker() {
    const BATCH: usize = 16;
    in_each(parallel_modes(), || {
        for round in 0..200 {
            let seen = Arc::new(AtomicUsize::new(0));
            let due = Instant::now() + Duration::from_millis(1);
            let handles: Vec<_> = (0..BATCH)
                .map(|_| {
                    let seen = seen.clone();
                    go_async(async move {
                        time::sleep_until_async(due).await;
                        // Mostly all of them are short, so that calling another worker does not pay; now and then the
                        // first one keeps the worker until another has run the rest.
                        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
                        !first || round % 50 != 49 || spin_until(&seen, BATCH)
                    })
                })
                .collect();
            assert!(
                handles.into_iter().all(|handle| handle.join().unwrap()),
                "nobody has stolen in round {round}"
            );
        }
    });
}

#[test]
fn G26_work_is_stolen_from_a_busy_worker() {
    in_each(parallel_modes(), || {
        let seen = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let seen = seen.clone();
            drop(go(move || seen.fetch_add(1, Ordering::SeqCst)));
        }
        // This goroutine does not let go of its worker.
        let deadline = Instant::now() + Duration::from_secs(10);
        while seen.load(Ordering::SeqCst) < 20 {
            assert!(Instant::now() < deadline, "nobody has stolen: {seen:?}");
            std::hint::spin_loop();
        }
    });
}

#[test]
fn G27_a_storm_of_wakes_from_everywhere_loses_none() {
    everywhere(|| {
        const ROUNDS: usize = 300;
        let (to_thread, for_thread) = chan::bounded::<usize>(0);
        let (to_task, for_task) = chan::bounded::<usize>(1);
        let (to_goroutine, for_goroutine) = chan::bounded::<usize>(0);
        // A value goes goroutine, thread, foreign async task, stackless goroutine, and counts as one round.
        let (home, back) = chan::unbounded();
        let handles: Vec<_> = (0..4)
            .flat_map(|_| {
                let (from, to) = (for_goroutine.clone(), home.clone());
                let stackless = go_async(async move {
                    while let Ok(n) = from.recv_async().await {
                        to.send_async(n).await.unwrap();
                    }
                });
                [stackless]
            })
            .collect();
        let threads: Vec<_> = (0..2)
            .flat_map(|_| {
                let (from, to) = (for_thread.clone(), to_task.clone());
                let plain = thread::spawn(move || from.iter().for_each(|n| to.send(n).unwrap()));
                let (from, to) = (for_task.clone(), to_goroutine.clone());
                let foreign = thread::spawn(move || {
                    block_on(async move {
                        while let Ok(n) = from.recv_async().await {
                            to.send_async(n).await.unwrap();
                        }
                    })
                });
                [plain, foreign]
            })
            .collect();
        drop((home, to_task, to_goroutine));
        let senders: Vec<_> = (0..3)
            .map(|s| {
                let to = to_thread.clone();
                go(move || (0..ROUNDS).for_each(|n| to.send(s * ROUNDS + n).unwrap()))
            })
            .collect();
        drop(to_thread);
        let mut got: Vec<_> = back.iter().collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..3 * ROUNDS));
        senders.into_iter().chain(handles).for_each(|handle| handle.join().unwrap());
        gosched::blocking(|| threads.into_iter().for_each(|thread| thread.join().unwrap()));
    });
}

#[test]
fn G27_one_wake_at_a_time_between_runtimes_and_threads() {
    // The harder case for sleepers: at every moment exactly one party is awake, and each hand-over wakes.
    for mode in common::modes() {
        bounded(move || {
            let other = Runtime::builder().workers(2).build().unwrap();
            let (ping, pinged) = chan::bounded(0);
            let (pong, ponged) = chan::bounded(0);
            let echo =
                mode.runtime.handle().go(move || pinged.iter().for_each(|n: u32| pong.send(n).unwrap()));
            other.run(|| {
                for n in 0..500 {
                    ping.send(n).unwrap();
                    assert_eq!(ponged.recv(), Ok(n));
                    if n % 50 == 0 {
                        time::sleep(Duration::from_micros(200));
                    }
                }
            });
            for n in 0..500 {
                ping.send(n).unwrap();
                assert_eq!(ponged.recv(), Ok(n));
            }
            drop(ping);
            echo.join().unwrap();
        });
    }
}

#[test]
fn G29_as_many_busy_goroutines_as_workers_run_at_once() {
    in_each(parallel_modes(), || {
        for _ in 0..20 {
            let here = Arc::new(AtomicUsize::new(0));
            let meet = {
                let here = here.clone();
                move || {
                    here.fetch_add(1, Ordering::SeqCst);
                    let deadline = Instant::now() + Duration::from_secs(10);
                    while here.load(Ordering::SeqCst) < 2 {
                        assert!(Instant::now() < deadline, "the other one does not run beside this one");
                        std::hint::spin_loop();
                    }
                }
            };
            let first = go(meet.clone());
            let second = go_async(async move { meet() });
            first.join().unwrap();
            second.join().unwrap();
        }
    });
}

#[test]
fn G29_a_spinning_goroutine_lets_the_task_it_has_woken_run() {
    in_each(parallel_modes(), || {
        for _ in 0..50 {
            let (tx, rx) = chan::bounded::<()>(1);
            let ran = Arc::new(AtomicBool::new(false));
            let seen = ran.clone();
            let task = go_async(async move {
                rx.recv_async().await.unwrap();
                seen.store(true, Ordering::SeqCst);
            });
            yield_now();
            tx.send(()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while !ran.load(Ordering::SeqCst) {
                assert!(Instant::now() < deadline, "nobody has taken over the woken task");
                std::hint::spin_loop();
            }
            task.join().unwrap();
        }
    });
}

#[test]
fn G48_a_batch_of_timers_wakes_all() {
    everywhere(|| {
        let at = Instant::now() + Duration::from_millis(20);
        let handles: Vec<_> = (0..500)
            .map(|i| {
                if i % 2 == 0 {
                    go(move || time::sleep_until(at))
                } else {
                    go_async(time::sleep_until_async(at))
                }
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        let late = at.elapsed();
        assert!(late < Duration::from_secs(5), "{late:?}");
    });
}

#[test]
fn G51_pairs_that_play_ping_pong_get_equal_shares() {
    one_worker(|| {
        let on = Arc::new(AtomicBool::new(true));
        let counts: Vec<_> = (0..3)
            .map(|_| {
                let (ping, pinged) = chan::bounded(0);
                let (pong, ponged) = chan::bounded(0);
                let count = Arc::new(AtomicUsize::new(0));
                let (on, counted) = (on.clone(), count.clone());
                drop(go(move || {
                    while on.load(Ordering::Relaxed) {
                        ping.send(()).unwrap();
                        ponged.recv().unwrap();
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }));
                drop(go(move || {
                    while pinged.recv().is_ok() {
                        pong.send(()).unwrap()
                    }
                }));
                count
            })
            .collect();
        time::sleep(Duration::from_millis(200));
        on.store(false, Ordering::Relaxed);
        common::eventually("the pairs have ended", || num_goroutine() == 1);
        let counts: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 0 && *most < least * 20, "{counts:?}");
    });
}

#[test]
fn yielding_for_ever_starves_nobody() {
    one_worker(|| {
        let on = Arc::new(AtomicBool::new(true));
        let hogs: Vec<_> = (0..3)
            .map(|i| {
                let on = on.clone();
                let spin = move || {
                    while on.load(Ordering::Relaxed) {
                        yield_now()
                    }
                };
                if i == 0 { go_async(async move { spin() }) } else { go(spin) }
            })
            .collect();
        for i in 0..50 {
            assert_eq!(go(move || i).join().unwrap(), i);
            assert_eq!(go_async(async move { i }).join().unwrap(), i);
            time::sleep(Duration::from_micros(100));
        }
        on.store(false, Ordering::Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

#[test]
fn an_idle_runtime_costs_no_processor_time() {
    if !is_child() {
        return drop(Child::new("an_idle_runtime_costs_no_processor_time").passes());
    }
    let (_open, rx) = chan::bounded::<()>(0);
    let modes = common::modes();
    for mode in &modes {
        mode.runtime.run(|| {
            for i in 0..100 {
                let rx = rx.clone();
                if i % 2 == 0 {
                    drop(go(move || rx.recv().ok()));
                } else {
                    drop(go_async(async move { rx.recv_async().await.ok() }));
                }
            }
            drop(go(|| time::sleep(Duration::from_secs(3600))));
        });
    }
    thread::sleep(Duration::from_millis(300));
    let before = cpu_time();
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time() - before;
    // 0.5 % of a core, for all of them together.
    assert!(used < Duration::from_millis(5), "{used:?} in a second");
}
