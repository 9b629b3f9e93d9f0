//! The forms of waiting that have a deadline (`*_timeout`, `*_deadline`): none gives up early, none forgets what was
//! to be had, and who gave up may come again.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until_asleep};
use common::{MS, bounded, everywhere, panic_text, poll_once};
use gosched::chan;
use gosched::group::Group;
use gosched::pipeline::WorkerPool;
use gosched::sync::{Barrier, LazyLock, Once, OnceCell, Semaphore, SingleFlight, WaitGroup};
use gosched::time::{now, sleep};
use gosched::{go, scope};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);

/// How long to wait.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Timeout(Duration),
    Deadline(Instant),
}

use Limit::{Deadline, Timeout};

/// Something to wait for that is not there yet.
struct Wait {
    /// Waits, and says whether it was there in time.
    attempt: Box<dyn FnMut(Limit) -> bool + Send>,
    /// Makes it be there.
    release: Box<dyn FnOnce() + Send>,
}

impl Wait {
    fn new(
        attempt: impl FnMut(Limit) -> bool + Send + 'static,
        release: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { attempt: Box::new(attempt), release: Box::new(release) }
    }
}

/// A function that runs until the other end is dropped, and a receiver that tells that it has begun.
fn lasting() -> (impl FnOnce() + Send + 'static, chan::Receiver<()>, chan::Sender<()>) {
    let ((tell, begun), (release, hold)) = (chan::bounded(1), chan::bounded::<()>(0));
    let f = move || {
        let _ = tell.send(());
        let _ = hold.recv();
    };
    (f, begun, release)
}

/// Starts what lasts, and waits until it has begun.
fn under_way<T: Send + 'static>(start: impl FnOnce(Box<dyn FnOnce() + Send>) -> T) -> (T, chan::Sender<()>) {
    let (f, begun, release) = lasting();
    let started = start(Box::new(f));
    begun.recv().unwrap();
    (started, release)
}

type Form = (&'static str, fn() -> Wait);

const FORMS: [Form; 13] = [
    ("WaitGroup::wait", || {
        let wg = WaitGroup::new();
        wg.add(1);
        let own = wg.clone();
        let attempt = move |limit| match limit {
            Timeout(d) => own.wait_timeout(d),
            Deadline(at) => own.wait_deadline(at),
        };
        Wait::new(attempt, move || wg.done())
    }),
    ("Group::wait", || {
        let group = Group::new();
        let ((), release) = under_way(|f| {
            group.go(move || {
                f();
                Err("the first error")
            });
        });
        let attempt = move |limit| {
            let waited = match limit {
                Timeout(d) => group.wait_timeout(d),
                Deadline(at) => group.wait_deadline(at),
            };
            assert!(waited.is_none_or(|result| result == Err("the first error")));
            waited.is_some()
        };
        Wait::new(attempt, || drop(release))
    }),
    ("Group::go", || {
        let group = Group::<()>::new();
        group.set_limit(1);
        let ((), release) = under_way(|f| {
            group.go(|| {
                f();
                Ok(())
            });
        });
        let attempt = move |limit| match limit {
            Timeout(d) => group.go_timeout(|| Ok(()), d),
            Deadline(at) => group.go_deadline(|| Ok(()), at),
        };
        Wait::new(attempt, || drop(release))
    }),
    ("Once::call_once", || {
        let once = Arc::new(Once::new());
        let own = once.clone();
        let (_, release) = under_way(|f| go(move || once.call_once(f)));
        let attempt = move |limit| match limit {
            Timeout(d) => own.call_once_timeout(|| panic!("another has begun"), d),
            Deadline(at) => own.call_once_deadline(|| panic!("another has begun"), at),
        };
        Wait::new(attempt, || drop(release))
    }),
    ("OnceCell::get_or_init", || {
        let cell = Arc::new(OnceCell::new());
        let own = cell.clone();
        let (_, release) = under_way(|f| {
            go(move || {
                cell.get_or_init(|| {
                    f();
                    7
                });
            })
        });
        let attempt = move |limit| {
            let value = match limit {
                Timeout(d) => own.get_or_init_timeout(|| panic!("another has begun"), d),
                Deadline(at) => own.get_or_init_deadline(|| panic!("another has begun"), at),
            };
            assert!(value.is_none_or(|value| *value == 7));
            value.is_some()
        };
        Wait::new(attempt, || drop(release))
    }),
    ("LazyLock::force", || {
        let (f, begun, release) = lasting();
        let make = move || {
            f();
            7
        };
        let lazy = Arc::new(LazyLock::new(make));
        let own = lazy.clone();
        go(move || assert_eq!(*LazyLock::force(&lazy), 7));
        begun.recv().unwrap();
        let attempt = move |limit| {
            let value = match limit {
                Timeout(d) => LazyLock::force_timeout(&own, d),
                Deadline(at) => LazyLock::force_deadline(&own, at),
            };
            assert!(value.is_none_or(|value| *value == 7));
            value.is_some()
        };
        Wait::new(attempt, || drop(release))
    }),
    ("SingleFlight::run", || {
        let flight = SingleFlight::new();
        let own = flight.clone();
        let (_, release) = under_way(|f| {
            go(move || {
                flight.run("key", || {
                    f();
                    7
                })
            })
        });
        let attempt = move |limit| {
            let got = match limit {
                Timeout(d) => own.run_timeout("key", || 8, d),
                Deadline(at) => own.run_deadline("key", || 8, at),
            };
            // With another caller, or a run of its own if that one had ended.
            assert!(got.is_none_or(|got| matches!(got, (7, true) | (8, false))), "{got:?}");
            got.is_some()
        };
        Wait::new(attempt, || drop(release))
    }),
    ("JoinHandle::join", || {
        let (mut child, release) = under_way(|f| {
            go(move || {
                f();
                7
            })
        });
        let attempt = move |limit| {
            let joined = match limit {
                Timeout(d) => child.join_timeout(d),
                Deadline(at) => child.join_deadline(at),
            };
            joined.is_some_and(|output| output.unwrap() == 7)
        };
        Wait::new(attempt, || drop(release))
    }),
    ("Job::join", || {
        let pool = WorkerPool::new(1);
        let (mut job, release) = under_way(|f| {
            pool.submit(move || {
                f();
                7
            })
        });
        let attempt = move |limit| {
            let _pool = &pool;
            let joined = match limit {
                Timeout(d) => job.join_timeout(d),
                Deadline(at) => job.join_deadline(at),
            };
            joined.is_some_and(|output| output.unwrap() == 7)
        };
        Wait::new(attempt, || drop(release))
    }),
    ("WorkerPool::wait", || {
        let pool = WorkerPool::new(1);
        let (_, release) = under_way(|f| pool.submit(f));
        let attempt = move |limit| match limit {
            Timeout(d) => pool.wait_timeout(d),
            Deadline(at) => pool.wait_deadline(at),
        };
        Wait::new(attempt, || drop(release))
    }),
    ("Semaphore::acquire", || {
        let s = Semaphore::new(2);
        s.acquire(1);
        let own = s.clone();
        let attempt = move |limit| match limit {
            Timeout(d) => own.acquire_timeout(2, d),
            Deadline(at) => own.acquire_deadline(2, at),
        };
        Wait::new(attempt, move || s.release(1))
    }),
    ("Semaphore::acquire_guard", || {
        let s = Semaphore::new(2);
        s.acquire(1);
        let own = s.clone();
        let attempt = move |limit| {
            let guard = match limit {
                Timeout(d) => own.acquire_guard_timeout(2, d),
                Deadline(at) => own.acquire_guard_deadline(2, at),
            };
            guard.is_some_and(|guard| guard.permits() == 2)
        };
        Wait::new(attempt, move || s.release(1))
    }),
    ("Barrier::wait", || {
        let barrier = Arc::new(Barrier::new(2));
        let own = barrier.clone();
        let attempt = move |limit| match limit {
            Timeout(d) => own.wait_timeout(d).is_some(),
            Deadline(at) => own.wait_deadline(at).is_some(),
        };
        Wait::new(attempt, move || drop(go(move || barrier.wait())))
    }),
];

/// Begins an attempt, and waits until it waits. Nothing else in a form has a timer.
fn attempt_asleep(
    clock: &gosched::time::clock::Clock,
    name: &'static str,
    mut wait: Wait,
    limit: Limit,
) -> (gosched::JoinHandle<(bool, Wait)>, &'static str) {
    assert_eq!(clock.timers(), 0, "{name}");
    let waiting = go(move || ((wait.attempt)(limit), wait));
    until_asleep(clock, 1);
    (waiting, name)
}

#[test]
fn each_gives_up_when_its_time_has_come_and_not_before() {
    by_hand(|clock| {
        for (name, make) in FORMS {
            let mut wait = make();
            for past in [Timeout(Duration::ZERO), Deadline(now()), Deadline(now() - MS)] {
                assert!(!(wait.attempt)(past), "{name}: {past:?}");
            }
            // The second one begins an hour later.
            for limit in [Timeout(LONG), Deadline(now() + 2 * LONG)] {
                let (waiting, name) = attempt_asleep(clock, name, wait, limit);
                clock.advance(LONG - MS);
                (0..20).for_each(|_| gosched::yield_now());
                assert!(!waiting.is_finished(), "{name}: {limit:?}");
                clock.advance(MS);
                let (got, back) = waiting.join().unwrap();
                assert!(!got, "{name}: {limit:?}");
                wait = back;
            }
            assert_eq!(clock.timers(), 0, "{name}");
            // Who gave up so often gets it when it is there.
            (wait.release)();
            assert!((wait.attempt)(Timeout(Duration::MAX)), "{name}: for ever");
        }
    });
}

#[test]
fn each_gets_what_comes_in_time() {
    by_hand(|clock| {
        for (name, make) in FORMS {
            for limit in [|| Timeout(LONG), || Deadline(now() + LONG)] {
                let (limit, mut wait) = (limit(), make());
                let release = std::mem::replace(&mut wait.release, Box::new(|| ()));
                let (waiting, name) = attempt_asleep(clock, name, wait, limit);
                clock.advance(LONG - MS);
                release();
                assert!(waiting.join().unwrap().0, "{name}: {limit:?}");
                clock.advance(MS);
                assert_eq!(clock.timers(), 0, "{name}");
            }
        }
    });
}

#[test]
fn each_works_from_plain_threads_by_the_machine_s_clock() {
    bounded(|| {
        for (name, make) in FORMS {
            let mut wait = make();
            let begin = Instant::now();
            assert!(!(wait.attempt)(Timeout(2 * MS)), "{name}");
            assert!(!(wait.attempt)(Deadline(begin + 4 * MS)), "{name}");
            assert!(begin.elapsed() >= 4 * MS, "{name}");
            (wait.release)();
            assert!((wait.attempt)(Timeout(LONG)), "{name}");
        }
    });
}

// ---- what is particular ----------------------------------------------------------------------------------

#[test]
fn Y21_who_gave_up_waiting_for_a_once_has_not_run_its_function() {
    everywhere(|| {
        let (once, ran) = (Once::new(), AtomicUsize::new(0));
        scope(|s| {
            let (f, begun, release) = lasting();
            s.go(|| once.call_once(f));
            begun.recv().unwrap();
            assert!(!once.call_once_timeout(|| _ = ran.fetch_add(1, SeqCst), MS));
            assert!(!once.is_completed());
            drop(release);
        });
        assert!(once.call_once_timeout(|| _ = ran.fetch_add(1, SeqCst), Duration::ZERO));
        assert_eq!(ran.load(SeqCst), 0);
        // The first one is not cut short.
        let once = Once::new();
        assert!(once.call_once_timeout(|| sleep(2 * MS), Duration::ZERO));
        let once = Once::new();
        let panics = || once.call_once_timeout(|| resume_unwind(Box::new("on purpose")), MS);
        assert_eq!(panic_text(panics), "on purpose");
        assert!(once.call_once_timeout(|| unreachable!("a panic counts as done"), MS));
    });
}

#[test]
fn who_waits_in_time_takes_over_a_failed_initialisation() {
    everywhere(|| {
        let cell = Arc::new(OnceCell::new());
        let own = cell.clone();
        let (failing, release) = under_way(|f| {
            go(move || {
                own.get_or_init(|| {
                    f();
                    resume_unwind(Box::new("on purpose"))
                });
            })
        });
        assert_eq!(cell.get_or_init_timeout(|| 1, MS), None);
        let waiting = go(move || cell.get_or_init_timeout(|| 2, LONG).copied());
        (0..5).for_each(|_| gosched::yield_now());
        drop(release);
        assert_eq!(waiting.join().unwrap(), Some(2));
        assert!(failing.join().is_err());
    });
}

#[test]
fn Y22_a_lazy_value_that_panicked_panics_in_time_too() {
    everywhere(|| {
        let lazy: LazyLock<u8> = LazyLock::new(|| resume_unwind(Box::new("on purpose")));
        for _ in 0..2 {
            assert_eq!(panic_text(|| LazyLock::force_timeout(&lazy, MS)), "on purpose");
        }
    });
}

#[test]
fn Y20_and_E06_what_is_given_up_leaves_panic_and_error_to_the_next() {
    everywhere(|| {
        let wg = WaitGroup::new();
        let ((), release) = under_way(|f| {
            wg.go(move || {
                f();
                resume_unwind(Box::new("on purpose"));
            });
        });
        assert!(!wg.wait_timeout(MS));
        drop(release);
        assert_eq!(panic_text(|| wg.wait_timeout(LONG)), "on purpose");
        assert!(wg.wait_timeout(Duration::ZERO));

        let (group, ctx) = Group::with_context(&gosched::context::background());
        let ((), release) = under_way(|f| {
            group.go(|| {
                f();
                Ok(())
            });
        });
        assert_eq!(group.wait_timeout(MS), None);
        assert_eq!(ctx.err(), None, "it has not ended");
        group.go(|| Err("the first error"));
        ctx.wait(std::future::pending::<()>()).unwrap_err();
        assert_eq!(group.wait_timeout(MS), None, "the other one runs on");
        drop(release);
        assert_eq!(group.wait_timeout(LONG), Some(Err("the first error")));
        assert_eq!(group.wait_timeout(Duration::ZERO), Some(Ok(())));

        let pool = WorkerPool::new(1);
        let (_, release) = under_way(|f| {
            drop(pool.submit(|| {
                f();
                resume_unwind(Box::new("nobody joins"));
            }));
        });
        assert!(!pool.wait_timeout(MS));
        drop(release);
        let raised = catch_unwind(AssertUnwindSafe(|| pool.wait_timeout(LONG)));
        assert_eq!(common::text(&*raised.unwrap_err()), "nobody joins");
        assert!(pool.wait_timeout(LONG));
    });
}

#[test]
fn F01_a_run_goes_on_for_those_who_are_left() {
    everywhere(|| {
        let (flight, runs) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let (f, begun, release) = lasting();
        let counted = runs.clone();
        let run = move || {
            counted.fetch_add(1, SeqCst);
            f();
            7
        };
        // The one that began it gives up.
        assert_eq!(flight.run_timeout("key", run, MS), None);
        begun.recv().unwrap();
        assert_eq!(flight.run_timeout("key", || unreachable!("it is joined"), MS), None);
        let mut waits = Box::pin(flight.run_async("key", || unreachable!("it is joined")));
        assert!(poll_once(waits.as_mut()).is_pending());
        drop(release);
        assert_eq!(gosched::wait(waits), (7, true));
        assert_eq!(runs.load(SeqCst), 1);
    });
}
