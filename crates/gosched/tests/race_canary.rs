//! A data race on purpose, by which `.ci/tsan` proves that ThreadSanitizer looks at goroutines at all.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Racy(UnsafeCell<u64>);

// SAFETY: it is not; that is the point. Only `.ci/tsan` runs it.
unsafe impl Sync for Racy {}

static RACY: Racy = Racy(UnsafeCell::new(0));
static HERE: AtomicUsize = AtomicUsize::new(0);

#[test]
#[ignore = "a data race on purpose, run by .ci/tsan"]
fn a_race_that_must_be_seen() {
    let runtime = gosched::Runtime::builder().workers(2).os_threads().build().unwrap();
    runtime.run(|| {
        let racers: Vec<_> = (0..2)
            .map(|_| {
                gosched::go(|| {
                    // On two workers at the same time: one after the other on one worker is no race. Relaxed: this orders
                    // nothing.
                    HERE.fetch_add(1, Ordering::Relaxed);
                    while HERE.load(Ordering::Relaxed) < 2 {
                        std::thread::yield_now();
                    }
                    for _ in 0..1000 {
                        // SAFETY: none; see above.
                        unsafe { *RACY.0.get() += 1 };
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        racers.into_iter().for_each(|racer| racer.join().unwrap());
    });
}
