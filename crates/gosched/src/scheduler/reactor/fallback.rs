//! A thread that polls where no runtime is alive: for plain threads and foreign executors with sockets.
//!
//! It is started when somebody waits and nobody polls, gets out of the way when there is a runtime, whose workers poll
//! with less ado, and ends when it was not wanted for ten seconds.

use super::super::monitor;
use super::{FALLBACK, active, wake_all};
use crate::sys::global::{Condvar, Mutex, lock};
use crate::sys::threads::{self, ThreadFate};
use std::sync::PoisonError;
use std::time::Duration;

/// How long the thread stays when it is not wanted, and how long it waits for events before it looks whether it is.
const IDLE: Duration = Duration::from_secs(10);
/// Somebody else is having a look.
const MOMENT: Duration = Duration::from_micros(50);

struct Thread {
    running: bool,
    wanted: bool,
}

static THREAD: Mutex<Thread> = Mutex::new(Thread { running: false, wanted: false });
static WANTED: Condvar = Condvar::new();

/// Nobody polls, and no worker will.
#[cold]
pub(super) fn wanted() {
    let mut thread = lock(&THREAD);
    thread.wanted = true;
    if thread.running {
        WANTED.notify_one();
    } else {
        // Where none can be had, those who wait go on waiting until there is a runtime, or somebody asks again.
        thread.running = threads::spawn("gosched-reactor", Box::new(serve)).is_ok();
    }
}

fn serve() -> ThreadFate {
    threads::wake_in_time();
    while is_wanted() {
        poll_alone();
        // A runtime has come, or there is nothing left to poll for. Whoever found us in the seat sleeps without it.
        monitor::call_to_poll();
    }
    ThreadFate::Reusable
}

/// Waits until somebody wants the thread. False if nobody did for long: then the next one starts another.
fn is_wanted() -> bool {
    let mut thread = lock(&THREAD);
    loop {
        if std::mem::take(&mut thread.wanted) {
            return true;
        }
        let (locked, waited) = WANTED.wait_timeout(thread, IDLE).unwrap_or_else(PoisonError::into_inner);
        thread = locked;
        if waited.timed_out() && !thread.wanted {
            thread.running = false;
            return false;
        }
    }
}

/// Polls until there is a runtime, or nothing to poll for.
fn poll_alone() {
    let mut woken = Vec::new();
    while !monitor::has_runtime() {
        let Some(reactor) = active() else { return };
        if !reactor.take_seat(FALLBACK) {
            std::thread::sleep(MOMENT);
            continue;
        }
        // Again, in the seat: a worker that finds us here wakes us, one that came before is seen.
        let limit = if monitor::has_runtime() { Duration::ZERO } else { IDLE };
        reactor.sleep(Some(limit), &mut woken);
        wake_all(&mut woken);
    }
}
