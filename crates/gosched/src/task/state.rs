//! The state word of a task.
//!
//! ```text
//!  bit 0  NOTIFIED  a wake has come since the task was queued or taken up
//!  bit 1  OWNED     somebody owns the task: a queue it waits in, or the worker that runs it
//!  bit 2  CLOSED    the body is over, dropped or abandoned; the header may be in the pool
//!  bit 3  INSPECTED whoever owns the task only looks at it (a dump), and will park it again
//!  bit 4  TIMED     whoever takes the task up next shall look at the clock; cleared with NOTIFIED
//! ```
//!
//! | word              | name     | what it means                                   | who moves it on          |
//! |-------------------|----------|-------------------------------------------------|--------------------------|
//! | 0                 | idle     | parked; only wakers know the task               | a waker, the shutdown    |
//! | OWNED             | owned    | queued or being run                             | its owner; a waker (bit 0) |
//! | OWNED + NOTIFIED  | notified | the same, and a further wake has come           | its owner alone          |
//! | OWNED + INSPECTED | inspected | parked, and somebody looks at it                | the looker; a waker (bit 0) |
//! | all three         | awaited  | the same, and a wake has come meanwhile         | the looker, who queues it |
//! | CLOSED (+ others) | closed   | wakes do nothing                                | `TaskRef::init`          |
//!
//! A wake of a parked task moves the word from 0 to OWNED, and its waker queues the task. Any other wake leaves
//! NOTIFIED behind. It must be a read-modify-write even where it changes nothing, so that it takes its place in the
//! word's modification order: the owner clears NOTIFIED only by a read-modify-write of its own ([`State::begin`]),
//! whose acquire makes what those wakers wrote visible to the poll that follows, and parks only by exchanging OWNED
//! without NOTIFIED. A waker that only *looked* at an owned task could be overtaken by both (the classic
//! store-buffering race), and its news would be lost. What the first waker wrote reaches the owner through the
//! queue, or through `begin`'s load.
//!
//! # Looking at a parked task
//!
//! A dump reads the header and the stack of a task that stays parked meanwhile. It takes the task over as a waker would,
//! by moving the word from 0, and so becomes its owner: nobody resumes, ends or reuses it. Wakers meet OWNED and leave
//! NOTIFIED, as they do with any owner, so neither they nor the resuming worker pay anything or wait for anybody; the
//! wake they brought is the looker's to carry out ([`State::put_back`]). What a look delays is that one goroutine, and
//! only if its wake falls into it.
//!
//! ```text
//!            inspect                     put_back
//!     idle -----------> inspected ---------------------> idle
//!      |                    | wake
//!      | wake               v            put_back
//!      +----> owned      awaited ----------------------> notified, which the looker queues
//! ```
//!
//! `inspect` acquires what the last owner released when it parked: the header, and the stack as the switch left it.
//! `put_back` releases to the next owner, so that nothing the looker reads is read after that one has gone on. A header
//! that serves another task by now is recognised by its id, read as its owner, when it can no longer change.
//!
//! # Timing a task
//!
//! Whoever queues a task may mark it TIMED, beside OWNED; wakers and lookers leave that alone (a look begins at 0). The
//! next owner finds it in the word that it reads anyway ([`State::begin`]), and clears it before it parks.
//!
//! Wakers hold no count. Headers are type-stable (see [`super::pool`]): a late wake of a finished task meets
//! CLOSED, or, when the header serves a new task already, wakes that one once for nothing. Every future
//! stands that.

use crate::sys::prim::{AtomicU32, Ordering};

const NOTIFIED: u32 = 1;
const OWNED: u32 = 2;
const CLOSED: u32 = 4;
const INSPECTED: u32 = 8;
const TIMED: u32 = 16;

/// What a wake has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Woken {
    /// The task was parked and is now ours to queue.
    Schedule,
    /// Its owner will see the wake, or it is over.
    Nothing,
}

/// What became of an attempt to park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Parked {
    /// The task is idle; from here on it belongs to its wakers and must not be touched.
    Idle,
    /// A wake came first; the caller still owns the task.
    Notified,
}

/// What somebody sees who looks at a task from outside.
#[cfg(not(loom))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Parked; only wakers know it.
    Parked,
    /// Queued or being run.
    Owned,
    /// Over, or no task at all.
    Closed,
}

/// What became of an attempt to look at a parked task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Look {
    /// It is ours; [`State::put_back`] must follow soon.
    Taken,
    /// It is parked, and somebody else looks at it: a moment later it may be ours.
    Busy,
    /// It is not parked.
    Missed,
}

/// The word itself.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    /// A header that serves no task.
    pub(crate) fn closed() -> Self {
        Self(AtomicU32::new(CLOSED))
    }

    /// A new task, owned by whoever is about to queue it.
    ///
    /// A plain store: the header came out of the pool, only stale wakes touch it, and losing those is fine.
    #[inline]
    pub(crate) fn open(&self) {
        self.0.store(OWNED, Ordering::Release);
    }

    /// Notes a wake.
    #[inline]
    pub(crate) fn wake(&self) -> Woken {
        // Release what the waker wrote to the coming `begin`; acquire, because a waker that wins queues the task
        // and must see the header as the task's last owner left it.
        if self.0.compare_exchange(0, OWNED, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return Woken::Schedule;
        }
        self.wake_owned()
    }

    /// It was not parked a moment ago; it may be by now.
    fn wake_owned(&self) -> Woken {
        let before = self.0.fetch_or(NOTIFIED | OWNED, Ordering::AcqRel);
        if before & (OWNED | CLOSED) == 0 { Woken::Schedule } else { Woken::Nothing }
    }

    /// The owner takes the task up: wakes until now are answered by the poll that follows. Whether it was marked with
    /// [`State::set_timed`].
    #[inline]
    pub(crate) fn begin(&self) -> bool {
        // Acquire: see what the waker who queued the task wrote. A wake that this load does not see has not been
        // answered, and keeps the task from parking.
        if self.0.load(Ordering::Acquire) & (NOTIFIED | TIMED) == 0 {
            return false;
        }
        // Acquire: see what the other wakers wrote.
        self.0.fetch_and(!(NOTIFIED | TIMED), Ordering::AcqRel) & TIMED != 0
    }

    /// The owner, who is about to queue the task, wants to know when it is taken up.
    #[cfg(any(test, not(loom)))]
    pub(crate) fn set_timed(&self) {
        // A read-modify-write, since wakers write too; relaxed, since the queue carries it to the next owner.
        self.0.fetch_or(TIMED, Ordering::Relaxed);
    }

    /// The owner leaves the task to its wakers, unless one has come already.
    #[inline]
    pub(crate) fn park(&self) -> Parked {
        // Release: the next owner sees the header and the stack as we leave them.
        match self.0.compare_exchange(OWNED, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Parked::Idle,
            Err(_) => Parked::Notified,
        }
    }

    /// Whether a wake is waiting to be answered. Only a hint to anybody but the owner.
    #[inline]
    pub(crate) fn is_notified(&self) -> bool {
        self.0.load(Ordering::Relaxed) & NOTIFIED != 0
    }

    /// The owner leaves a note to itself that it must poll again.
    #[inline]
    pub(crate) fn set_notified(&self) {
        self.0.fetch_or(NOTIFIED, Ordering::AcqRel);
    }

    /// Takes a parked task away from its wakers: for the shutdown. True if it was parked.
    pub(crate) fn claim_idle(&self) -> bool {
        self.0.compare_exchange(0, OWNED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes a parked task over to look at it.
    pub(crate) fn inspect(&self) -> Look {
        // Acquire: see the header and the stack as the task's last owner left them.
        match self.0.compare_exchange(0, OWNED | INSPECTED, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Look::Taken,
            Err(word) if word & INSPECTED != 0 => Look::Busy,
            Err(_) => Look::Missed,
        }
    }

    /// The look is over: the task is parked as it was, or, if a wake has come meanwhile, the caller's to queue.
    pub(crate) fn put_back(&self) -> Parked {
        // Release: the next owner changes what we have looked at, after we have.
        if self.0.compare_exchange(OWNED | INSPECTED, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return Parked::Idle;
        }
        // NOTIFIED stays: `begin` clears it, and sees what the wakers wrote.
        self.0.fetch_and(!INSPECTED, Ordering::AcqRel);
        Parked::Notified
    }

    /// The owner declares the body over. Wakes do nothing from here on.
    #[inline]
    pub(crate) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// The state a moment ago, for anybody.
    #[cfg(not(loom))]
    pub(crate) fn seen(&self) -> Seen {
        match self.0.load(Ordering::Acquire) {
            word if word & CLOSED != 0 => Seen::Closed,
            // Somebody else looks at it: nobody has woken it.
            word if word == OWNED | INSPECTED => Seen::Parked,
            word if word & OWNED != 0 => Seen::Owned,
            _ => Seen::Parked,
        }
    }

    /// Whether the task is parked and nobody has woken it.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Whether the body is over.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn wake_of_a_parked_task_is_the_wakers_to_queue() {
        let state = State::closed();
        assert_eq!(state.wake(), Woken::Nothing);
        state.open();
        state.begin();
        assert_eq!(state.park(), Parked::Idle);
        assert_eq!(state.wake(), Woken::Schedule);
        assert_eq!(state.wake(), Woken::Nothing);
    }

    #[test]
    fn wake_before_the_park_is_remembered() {
        let state = State::closed();
        state.open();
        state.begin();
        assert_eq!(state.wake(), Woken::Nothing);
        assert_eq!(state.park(), Parked::Notified);
        state.begin();
        assert_eq!(state.park(), Parked::Idle);
    }

    #[test]
    fn a_look_leaves_the_task_parked_unless_a_wake_comes_meanwhile() {
        let state = State::closed();
        assert_eq!(state.inspect(), Look::Missed, "closed");
        state.open();
        assert_eq!(state.inspect(), Look::Missed, "owned");
        state.begin();
        assert_eq!(state.park(), Parked::Idle);
        assert_eq!(state.inspect(), Look::Taken);
        assert_eq!(state.inspect(), Look::Busy, "one looks at a time");
        assert!(!state.claim_idle(), "nobody else's meanwhile");
        assert_eq!(state.put_back(), Parked::Idle);
        assert!(state.is_idle());

        assert_eq!(state.inspect(), Look::Taken);
        assert_eq!(state.wake(), Woken::Nothing, "left to the looker");
        assert_eq!(state.wake(), Woken::Nothing);
        assert_eq!(state.put_back(), Parked::Notified, "who queues it");
        assert_eq!(state.inspect(), Look::Missed, "queued");
        state.begin();
        assert!(!state.is_notified(), "answered by the poll that follows");
        assert_eq!(state.park(), Parked::Idle);
    }

    #[test]
    fn a_mark_is_found_once_by_whoever_takes_the_task_up() {
        let state = State::closed();
        state.open();
        state.set_timed();
        assert_eq!(state.seen(), Seen::Owned);
        assert_eq!(state.wake(), Woken::Nothing, "it is queued already");
        assert!(state.begin());
        assert!(!state.begin());
        assert_eq!(state.park(), Parked::Idle);
        assert_eq!(state.wake(), Woken::Schedule);
        state.set_timed();
        assert!(state.begin());
        assert_eq!(state.park(), Parked::Idle, "the mark does not keep it from parking");
    }

    #[test]
    fn closed_tasks_ignore_wakes_even_many() {
        let state = State::closed();
        state.open();
        state.close();
        for _ in 0..3 {
            assert_eq!(state.wake(), Woken::Nothing);
        }
        assert!(state.is_closed());
        assert!(!state.claim_idle());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

    /// Two wakers raise a flag each, with relaxed stores, and queue the task as `queue` says; the worker runs it until it
    /// has seen both. At each run it is asserted whether the task was `begun` as a marked one, which is told whether it
    /// was taken from the queue.
    fn two_wakers(begins_parked: bool, queue: fn(&State), is_right: fn(begun: bool, taken: bool) -> bool) {
        loom::model(move || {
            let state = Arc::new(State::closed());
            let news = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
            let queued = Arc::new(AtomicUsize::new(0));
            state.open();
            if begins_parked {
                assert_eq!(state.park(), Parked::Idle);
            }
            let wakers: Vec<_> = (0..2)
                .map(|i| {
                    let (state, news, queued) = (state.clone(), news.clone(), queued.clone());
                    loom::thread::spawn(move || {
                        news[i].store(true, Relaxed);
                        if state.wake() == Woken::Schedule {
                            queue(&state);
                            queued.fetch_add(1, AcqRel);
                        }
                    })
                })
                .collect();
            let mut owned = !begins_parked;
            loop {
                let taken = !owned;
                if taken {
                    // Parked: only a queue entry gives the task back.
                    if queued.load(Acquire) == 0 {
                        loom::thread::yield_now();
                        continue;
                    }
                    queued.fetch_sub(1, AcqRel);
                }
                assert!(is_right(state.begin(), taken));
                if news[0].load(Relaxed) && news[1].load(Relaxed) {
                    break;
                }
                owned = state.park() == Parked::Notified;
            }
            state.close();
            for waker in wakers {
                waker.join().unwrap();
            }
            assert_eq!(queued.load(Acquire), 0);
        });
    }

    /// A task that waits for flags which wakers raise: no wake is lost, and the task is queued exactly as often as it is
    /// taken up.
    #[test]
    fn loom_no_wake_is_lost_and_none_counts_twice() {
        two_wakers(false, |_| {}, |begun, _| !begun);
    }

    /// Whoever queues the task marks it, while another waker comes: the mark is found once for each time that it was
    /// queued, and no wake is lost to it.
    #[test]
    fn loom_a_mark_is_found_and_loses_no_wake() {
        two_wakers(true, State::set_timed, |begun, taken| begun == taken);
    }

    /// What a dump looks at: id and stack of a task, as one cell that loom watches.
    struct Stack(loom::cell::UnsafeCell<(u64, u32)>);

    // SAFETY: loom reports every access that the state word does not order.
    unsafe impl Sync for Stack {}
    // SAFETY: as above.
    unsafe impl Send for Stack {}

    /// A dump looks at a goroutine while it is woken: they never meet on the stack, and the wake is not lost, whoever
    /// has to carry it out.
    #[test]
    fn loom_a_look_neither_meets_the_owner_nor_loses_a_wake() {
        loom::model(|| {
            let state = Arc::new(State::closed());
            let stack = Arc::new(Stack(loom::cell::UnsafeCell::new((1, 0))));
            let news = Arc::new(AtomicBool::new(false));
            let queued = Arc::new(AtomicUsize::new(0));
            state.open();
            let waker = {
                let (state, news, queued) = (state.clone(), news.clone(), queued.clone());
                loom::thread::spawn(move || {
                    news.store(true, Relaxed);
                    if state.wake() == Woken::Schedule {
                        queued.fetch_add(1, AcqRel);
                    }
                })
            };
            let looker = {
                let (state, stack, queued) = (state.clone(), stack.clone(), queued.clone());
                loom::thread::spawn(move || {
                    for _ in 0..2 {
                        if state.inspect() != Look::Taken {
                            continue;
                        }
                        // SAFETY: what loom is to check.
                        let (id, _) = stack.0.with(|stack| unsafe { *stack });
                        assert_eq!(id, 1);
                        if state.put_back() == Parked::Notified {
                            queued.fetch_add(1, AcqRel);
                        }
                    }
                })
            };
            run_until(true, &state, &stack, &queued, || news.load(Relaxed));
            waker.join().unwrap();
            looker.join().unwrap();
            assert_eq!(queued.load(Acquire), 0);
        });
    }

    /// The worker: runs the task, which it owns or takes from the queue, until `done`; then closes it.
    fn run_until(
        mut owned: bool,
        state: &State,
        stack: &Stack,
        queued: &AtomicUsize,
        done: impl Fn() -> bool,
    ) {
        loop {
            if !owned {
                if queued.load(Acquire) == 0 {
                    loom::thread::yield_now();
                    continue;
                }
                queued.fetch_sub(1, AcqRel);
            }
            state.begin();
            // SAFETY: what loom is to check.
            stack.0.with_mut(|stack| unsafe { (*stack).1 += 1 });
            if done() {
                break;
            }
            owned = state.park() == Parked::Notified;
        }
        state.close();
    }

    /// The goroutine ends and its header serves the next one, which parks, while a dump looks for the first: it sees
    /// that by the id, and leaves the other as it found it.
    #[test]
    fn loom_a_look_for_a_task_that_has_ended_finds_out() {
        loom::model(|| {
            let state = Arc::new(State::closed());
            let stack = Arc::new(Stack(loom::cell::UnsafeCell::new((1, 0))));
            let queued = Arc::new(AtomicUsize::new(0));
            let news = Arc::new(AtomicBool::new(false));
            state.open();
            // The first task is parked.
            assert_eq!(state.park(), Parked::Idle);
            let looker = {
                let (state, stack, queued) = (state.clone(), stack.clone(), queued.clone());
                loom::thread::spawn(move || {
                    if state.inspect() == Look::Taken {
                        // SAFETY: what loom is to check.
                        let (id, runs) = stack.0.with(|stack| unsafe { *stack });
                        assert!(id == 1 && runs == 0 || id == 2);
                        if state.put_back() == Parked::Notified {
                            queued.fetch_add(1, AcqRel);
                        }
                    }
                })
            };
            // It is woken and ends.
            if state.wake() == Woken::Schedule {
                queued.fetch_add(1, AcqRel);
            }
            run_until(false, &state, &stack, &queued, || true);
            // SAFETY: closed, so nobody but us uses it.
            stack.0.with_mut(|stack| unsafe { *stack = (2, 0) });
            state.open();
            let waker = {
                let (state, news, queued) = (state.clone(), news.clone(), queued.clone());
                loom::thread::spawn(move || {
                    news.store(true, Relaxed);
                    if state.wake() == Woken::Schedule {
                        queued.fetch_add(1, AcqRel);
                    }
                })
            };
            run_until(true, &state, &stack, &queued, || news.load(Relaxed));
            waker.join().unwrap();
            looker.join().unwrap();
            assert_eq!(queued.load(Acquire), 0);
        });
    }
}
