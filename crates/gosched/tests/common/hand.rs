//! Runtimes whose clock the test moves by hand, in every mode.

use super::{PATIENCE, bounded_as};
use gosched::Runtime;
use gosched::time::clock::Clock;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Runs `body` as the main goroutine in every mode there is, each time with a new clock.
#[track_caller]
pub(crate) fn by_hand(body: fn(&Clock)) {
    let new = || Runtime::builder().workers(2);
    // SAFETY: the tests that use it hold nothing that is bound to a thread across a blocking call.
    let migrating = unsafe { new().migrate() };
    for (mode, builder) in [
        ("one worker", new().workers(1)),
        ("two", new()),
        ("migrating", migrating),
        ("threads", new().os_threads()),
    ] {
        let clock = Clock::manual();
        let runtime = builder.clock(&clock).build().unwrap();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            bounded_as(mode, move || runtime.run(move || body(&clock)));
        }));
        if let Err(panic) = ran {
            eprintln!("the mode was: {mode}");
            resume_unwind(panic);
        }
    }
}

/// Waits until `condition` holds, by the machine's clock.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE / 2;
    let mut round = 0u32;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        gosched::yield_now();
        round += 1;
        if round.is_multiple_of(64) {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Waits until `n` timers of the clock are waited for.
#[track_caller]
pub(crate) fn until_asleep(clock: &Clock, n: usize) {
    until(&format!("{n} timers are waited for"), || clock.timers() == n);
}
