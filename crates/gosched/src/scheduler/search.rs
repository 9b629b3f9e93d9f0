//! What a worker does that has nothing to do.
//!
//! First it looks once more at everything, then it spins for a moment: a partner on another worker answers
//! within a microsecond, while sleeping and being woken takes up to 90. How long it spins follows how often
//! that paid off. If it is a searcher it also steals. Then it sleeps (or naps, see [`super::idle`]).

use super::idle::Left;
use super::monitor;
use super::reactor;
use super::remote::Remote;
use super::shared::bump;
use super::worker::Worker;
use crate::clock::{NEVER, coarse, real_now, to_instant, to_nanos};
use crate::task::TaskRef;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bounds on the rounds of a spin; a round is about 50 ns.
pub(super) const SPIN_START: u32 = 256;
const SPIN_MIN: u32 = 4;
const SPIN_MAX: u32 = 1024;
/// A sleep this short should have been a spin.
const SHORT_SLEEP: Duration = Duration::from_micros(200);
/// A thief leaves a victim its short queue if the victim takes up this many goroutines ...
const FAST: u32 = 6;
/// ... while the thief makes so many looks, of about 100 ns each: less than 4 us for each of them. Whoever blocks that
/// fast is likely to be talking to those that wait, and the stealing itself would take as long.
const GRACE: u32 = 256;
/// A queue of this length is stolen from after a glance, ...
const LONG: u32 = 8;
/// ... of so many looks: 2 us. ...
const GLANCE: u32 = 20;
/// ... But not if its owner will have run it empty in so many times as long.
const SOON: u32 = 25;
/// The first nap, and how often it is doubled at most.
const NAP: Duration = Duration::from_micros(100);
const NAP_DOUBLINGS: u32 = 5;
/// After how long a sleep a worker gives back what deep calls have touched on the stacks it keeps, ...
const REST: Duration = Duration::from_millis(50);
/// ... and how long it waits for one at most.
const LONGEST_UNTRIMMED: Duration = Duration::from_secs(1);
/// How many short sleeps in a row are not taken for a reason to spin, at most, where spinning has not paid off.
const MOST_DISTRUST: u32 = 63;

/// What a search came to.
enum Search {
    Found(TaskRef),
    /// Found, since timers were due.
    Due(TaskRef),
    /// Victims have work, but get to it by themselves.
    Short,
    Nothing,
}

impl Worker {
    /// Waits until there is a goroutine to run. `None` when the runtime is closing.
    #[cold]
    pub(super) fn find_work(&self) -> Option<TaskRef> {
        let mut searching = false;
        // Woken to search: if there is nothing any more, those who had it have kept up.
        let mut called = false;
        loop {
            self.relieve();
            if self.shared.closing.load(Ordering::SeqCst) {
                // They may be others'.
                self.wake_ready();
                if searching {
                    let _ = self.shared.idle.end_search();
                }
                return None;
            }
            if !self.is_on_duty() {
                self.wake_ready();
                let was_searching = std::mem::take(&mut searching);
                if was_searching {
                    // Called to search by somebody who did not know.
                    let _ = self.shared.idle.end_search();
                }
                // It may have been asleep as the timers' keeper when it was put off duty.
                if was_searching || !self.shared.is_watched() {
                    self.shared.notify();
                }
                called = false;
                // First: those whom `wake_ready` has just woken may be at home here, and nobody else will call us for them.
                let own = self.next().or_else(|| {
                    self.rest();
                    self.next()
                });
                match own {
                    Some(task) => return Some(task),
                    None => continue,
                }
            }
            searching = searching || self.shared.idle.try_search();
            let outcome = self.search(searching);
            let was_last = searching && self.shared.idle.end_search();
            if let Search::Found(task) | Search::Due(task) = outcome {
                // The last searcher has found something: if there is more, somebody else should look. And if
                // there are timers that nobody sleeps for, somebody else should: we may be busy for long.
                let more = was_last && self.sees_movable();
                if (more && !self.others_can_wait(&outcome)) || !self.shared.is_watched() {
                    self.shared.notify();
                }
                return Some(task);
            }
            if called {
                self.shared.watch.called_in_vain();
            }
            searching = self.sleep(called || matches!(outcome, Search::Short)) == Left::ToSearch;
            called = searching;
        }
    }

    /// Whether nobody need be called to help: see [`Watch::can_wait`](super::watch::Watch::can_wait).
    fn others_can_wait(&self, outcome: &Search) -> bool {
        let shared = &self.shared;
        matches!(outcome, Search::Due(_))
            && shared.watch.can_wait(to_nanos(real_now()), shared.timers.next_nanos())
    }

    /// One search, with its spin.
    fn search(&self, stealing: bool) -> Search {
        let rounds = self.spin.get();
        let mut short = false;
        for round in 0..rounds {
            // Now and then only, and it is no reason to spin longer: whoever spins waits for a partner's answer. When the
            // next timer is due is known, and one can sleep until then; one can also sleep until a socket is ready.
            if round % 16 == 0
                && (self.fire_timers() | (round == 0 && (self.wake_ready() || self.glance())))
                && let Some(task) = self.look()
            {
                return Search::Due(task);
            }
            if let Some(task) = self.look() {
                // It paid off (or cost nothing): spin longer the next time.
                if round > 0 && !self.is_crowd() {
                    self.spin.set((rounds * 2).min(SPIN_MAX));
                    if rounds == SPIN_MAX {
                        self.distrust.set(0);
                    }
                }
                return Search::Found(task);
            }
            if stealing && round % 16 == 0 {
                match self.steal() {
                    Search::Found(task) => {
                        bump(&self.remote().counts.steals);
                        self.nap.set(0);
                        self.shared.watch.called_for_good();
                        return Search::Found(task);
                    }
                    Search::Short => short = true,
                    Search::Due(_) | Search::Nothing => {}
                }
            }
            self.pause();
        }
        self.spin.set((rounds / 2).max(SPIN_MIN));
        if rounds == SPIN_MAX {
            let distrust = (self.distrust.get() * 2 + 1).min(MOST_DISTRUST);
            self.distrust.set(distrust);
            self.ignored.set(distrust);
        }
        if short { Search::Short } else { Search::Nothing }
    }

    /// Everything but other workers' queues.
    fn look(&self) -> Option<TaskRef> {
        self.next().or_else(|| self.take_injected())
    }

    /// Tries every other worker once, beginning anywhere.
    fn steal(&self) -> Search {
        let count = self.shared.remotes.len();
        let start = self.random() as usize;
        let mut short = false;
        for i in 0..count {
            let victim = start.wrapping_add(i) % count;
            if victim == self.index {
                continue;
            }
            match self.steal_from(victim) {
                Search::Found(task) => return Search::Found(task),
                Search::Short => short = true,
                Search::Due(_) | Search::Nothing => {}
            }
        }
        if short { Search::Short } else { Search::Nothing }
    }

    fn steal_from(&self, victim: usize) -> Search {
        let remote: &Remote = &self.shared.remotes[victim];
        let held = remote.ring.len();
        if held == 0 && !remote.slot_is_full() {
            let Some(first) = remote.batch.take() else { return Search::Nothing };
            self.push_chain(first.next());
            return Search::Found(first);
        }
        let own = &self.remote().ring;
        let stolen = if held < LONG {
            // Goroutines that talk to each other are better off together: take nothing from a victim that switches
            // fast, and else take all of what it keeps waiting, in order. (One by one they would fall to the two of
            // us in turn, and each pair apart.)
            if self.switches_fast(remote) {
                return Search::Short;
            }
            remote.ring.steal_all(own)
        } else if self.drains_soon(remote, held) {
            return Search::Short;
        } else {
            remote.ring.steal_half(own)
        };
        if let Some(task) = stolen {
            return Search::Found(task);
        }
        match remote.swap_slot(None) {
            Some(task) => Search::Found(task),
            None => Search::Nothing,
        }
    }

    /// Whether a victim takes up one goroutine after the other. Also true when it has taken up its last, or when there
    /// is something to do here. False as soon as it lags behind: after a quarter of the looks that has taken up none,
    /// after half of them less than half.
    fn switches_fast(&self, victim: &Remote) -> bool {
        let before = victim.tick.load(Ordering::Relaxed);
        for look in 0..GRACE {
            self.pause();
            let switches = victim.tick.load(Ordering::Relaxed).wrapping_sub(before);
            let fast = switches >= FAST
                || !self.remote().inbox.seems_empty()
                // Not each time: it takes these cache lines from the victim.
                || (look % 8 == 0 && switches > 0 && victim.ring.len() == 0 && !victim.slot_is_full());
            if fast {
                return true;
            }
            if (look == GRACE / 4 && switches == 0) || (look == GRACE / 2 && switches < FAST / 2) {
                return false;
            }
        }
        false
    }

    /// Whether a victim will have run a long queue empty within some 50 us: sooner than what is stolen pays for the
    /// wake-up, as with many goroutines that wake at the same time to do a little.
    fn drains_soon(&self, victim: &Remote, held: u32) -> bool {
        let before = victim.tick.load(Ordering::Relaxed);
        (0..GLANCE).for_each(|_| self.pause());
        let switches = victim.tick.load(Ordering::Relaxed).wrapping_sub(before);
        switches.saturating_mul(SOON) >= held
    }

    /// Does nothing for 100 ns, or until somebody sends something.
    #[inline]
    fn pause(&self) {
        for _ in 0..4 {
            if !self.remote().inbox.seems_empty() {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Whether some queue holds work that anybody may take.
    fn sees_movable(&self) -> bool {
        // The slot first: a task that is displaced from it goes to the ring.
        self.shared.has_movable()
    }

    /// The last look before parking (S2 in `idle`). Also at the duty: the bell that told of its change may have been heard in
    /// the search, and one that is off duty neither takes the seat at the poll nor waits to be called to search.
    fn must_stay_awake(&self, nap: bool) -> bool {
        self.shared.closing.load(Ordering::SeqCst)
            || !self.remote().inbox.is_empty()
            || !self.is_on_duty()
            || self.shared.injector.len() > 0
            || (!nap && self.sees_movable())
    }

    /// Sleeps, or naps, until woken or until a timer is due.
    fn sleep(&self, nap: bool) -> Left {
        let idle = &self.shared.idle;
        let index = self.index as u32;
        if nap {
            idle.enter_nap(index);
        } else {
            idle.enter_sleep(index);
        }
        let (office, until) = self.shared.watch.enter(index, || self.shared.timers.next_nanos());
        if !self.must_stay_awake(nap) {
            let since = real_now();
            self.stay_asleep(since, self.wake_up_time(nap, until), index);
            coarse::refresh();
            if !self.remote().inbox.seems_empty() {
                self.note_message(since, real_now());
            }
        }
        let left = idle.leave(index);
        monitor::stir();
        // Before the search that follows: if it finds something, the look in `find_work` comes after this.
        self.shared.watch.leave(office);
        left
    }

    /// If a partner on another worker answered so soon that the sleep cost more than waiting for it, wait the next time.
    /// Unless it was something else that came at a short interval; where spinning has not paid off before, not every time.
    fn note_message(&self, since: Instant, now: Instant) {
        if now.duration_since(since) >= SHORT_SLEEP || self.is_crowd() {
            return;
        }
        match self.ignored.get() {
            0 => self.spin.set(SPIN_MAX),
            left => self.ignored.set(left - 1),
        }
    }

    /// Whether what comes in is likely to be a part of a crowd of timers that somebody has just looked after, not a partner's
    /// answer.
    fn is_crowd(&self) -> bool {
        let until = self.shared.watch.not_before_pause(0);
        until > 0 && until > to_nanos(real_now())
    }

    fn wake_up_time(&self, nap: bool, until: u64) -> Option<Instant> {
        let due = (until != NEVER).then(|| to_instant(until));
        if !nap {
            return due;
        }
        let doublings = self.nap.get();
        self.nap.set((doublings + 1).min(NAP_DOUBLINGS));
        let end = real_now() + NAP * (1 << doublings);
        Some(due.map_or(end, |due| due.min(end)))
    }

    /// Parks or polls. What deep calls have touched on the stacks kept here is given back when the worker has slept for a
    /// while: that costs a system call for each, and the processors' notes of the pages, and their being touched again
    /// costs a fault each; too much before every short sleep of a busy server. Where all sleeps are short, now and then.
    fn stay_asleep(&self, since: Instant, until: Option<Instant>, index: u32) {
        if self.has_untrimmed() {
            let rested = since + REST;
            if until.is_none_or(|until| until > rested) {
                self.park_or_poll(Some(rested), index);
                if !self.shared.idle.stays(index) || self.has_ready() || real_now() < rested {
                    return;
                }
                self.trim();
            } else if since.duration_since(self.trimmed_at.get()) > LONGEST_UNTRIMMED {
                self.trim();
            }
        }
        self.park_or_poll(until, index);
    }

    fn has_ready(&self) -> bool {
        let ready = self.ready.take();
        let any = !ready.is_empty();
        self.ready.set(ready);
        any
    }

    /// Parks, or polls for sockets if there are some and nobody else does.
    fn park_or_poll(&self, until: Option<Instant>, index: u32) {
        let Some(reactor) = reactor::active() else { return self.park_until(until, index) };
        while self.shared.idle.stays(index) {
            let left = until.map(|until| until.saturating_duration_since(real_now()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            if !reactor.sit_down() {
                return self.park_until(until, index);
            }
            let mut ready = self.ready.take();
            // Who wakes us looks at this after it has changed what we look at after this.
            self.remote().in_poll.store(true, Ordering::SeqCst);
            if self.shared.idle.stays(index) {
                reactor.sleep(left, &mut ready);
            } else {
                reactor.stand_up();
            }
            self.remote().in_poll.store(false, Ordering::SeqCst);
            self.ready.set(ready);
            if self.has_ready() {
                return;
            }
        }
    }

    pub(super) fn park_until(&self, until: Option<Instant>, index: u32) {
        while self.shared.idle.stays(index) {
            match until {
                None => std::thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(real_now());
                    if left.is_zero() {
                        return;
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::task::current::context_ptr;
    use crate::wait::wait;
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Waker};

    /// Runs `f` on a worker that is put off duty in the middle of it, without a bell to tell: it has been heard before.
    fn off_duty(runtime: &Runtime, f: impl FnOnce(&Worker) + Send + 'static) {
        let put_off = move || {
            // SAFETY: a goroutine runs on a worker, which stays the same while it does not wait.
            let worker = unsafe { Worker::of(context_ptr()) };
            f(worker);
            worker.remote().duty.store(super::super::crew::OFF, Ordering::SeqCst);
        };
        runtime.handle().go(put_off).join().unwrap();
    }

    #[test]
    fn a_worker_off_duty_does_not_rest_before_it_has_run_whom_the_poll_woke() {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let left = Arc::new(Mutex::new(None::<Waker>));
        let reader = runtime.handle().go({
            let left = left.clone();
            move || {
                let mut waits = true;
                wait(poll_fn(|cx| {
                    if std::mem::take(&mut waits) {
                        *left.lock().unwrap() = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                }));
            }
        });
        while left.lock().unwrap().is_none() {
            std::thread::yield_now();
        }
        let waker = left.lock().unwrap().take().unwrap();
        off_duty(&runtime, |worker| worker.ready.set(vec![waker]));
        let begun = Instant::now();
        while !reader.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is queued at a worker that rests");
            std::thread::sleep(Duration::from_millis(1));
        }
        reader.join().unwrap();
    }
}
