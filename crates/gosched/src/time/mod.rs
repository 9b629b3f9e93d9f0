//! Time: sleeping, timers, tickers, time-outs, and the clock they all go by.
//!
//! | | |
//! |---|---|
//! | [`sleep`], [`sleep_until`] | block until a time |
//! | [`after`], [`Timer`] | a channel that delivers one point in time; the second can be stopped and set anew |
//! | [`tick`], [`Ticker`] | a channel that delivers one each period |
//! | [`after_func`] | runs a function in a goroutine of its own, later |
//! | [`timeout`] | gives a future up when the time is up |
//! | [`now`], [`clock`] | what time it is, and the clock that a test moves by hand |
//!
//! Timers fire in the order of their times. They are late by what it takes to get to a processor; with many timers
//! in a row also by up to a few tenths of a millisecond, as a runtime then wakes for several at once.
//!
//! Instants are `std`'s and monotonic. A duration that leads beyond the clock's range never comes.

pub mod clock;
mod func;
mod sleep;
mod ticker;
mod timeout;
mod timer;

pub use crate::chan::after;
pub use func::{FuncTimer, after_func};
pub use sleep::{Sleep, sleep, sleep_async, sleep_until, sleep_until_async};
pub use std::time::Instant;
pub use ticker::{Ticker, tick};
pub use timeout::{Elapsed, Timeout, timeout, timeout_async, timeout_at, timeout_at_async};
pub use timer::Timer;

/// The time.
///
/// That of the machine, unless a test has given this goroutine's runtime, or this thread, a [clock] of its own.
/// Everything in the library that waits for a time goes by the same clock, so programs that are to be tested with one
/// call this and not `Instant::now`.
///
/// ```
/// let before = gosched::time::now();
/// assert!(gosched::time::now() >= before);
/// ```
///
/// In Go: `time.Now`, inside a `synctest` bubble or outside.
pub fn now() -> Instant {
    crate::clock::now()
}
