//! Who sleeps, who searches, and whom a new piece of work wakes.
//!
//! # States of a worker
//!
//! | state | listed | means | left by |
//! |---|---|---|---|
//! | AWAKE | no | runs goroutines, or searches for some | itself |
//! | ASLEEP | yes | parked; any new work may wake it | whoever takes it off the list |
//! | NAPPING | no | parked for a short time; only work of its own wakes it | `wake`, or its time-out |
//! | CHOSEN | no | taken off the list to search; already counted as a searcher | itself |
//!
//! `word` counts the listed sleepers and the searchers. A searcher is a worker that has nothing to do and
//! steals. While there is one, new work wakes nobody: the searcher will find it, and a searcher that finds
//! something and was the last one wakes its successor ([`Idle::found`]).
//!
//! # No wake-up is lost
//!
//! *Producer:* (P1) makes the work visible, then (P2) looks at `word` or at a worker's state.
//! *Sleeper:* (S1) enters itself (state, list, `word`), then (S2) looks at every source once more, and only
//! then parks. P1, P2, S1 and S2 are sequentially consistent, so either P2 sees the sleeper, or S2 sees the
//! work. The same pair of steps guards the last searcher: it leaves `word` before its last look. Parking
//! itself is std's, whose token remembers an unpark that comes first.
//!
//! Everything that changes the list happens under its lock; a worker is woken by exactly one of those who
//! find it there.
//!
//! # Why naps
//!
//! Waking a processor costs its waker 1 to 20 µs and takes up to 90 µs. Two goroutines that talk, or a parent
//! that starts and joins short children, always have something stealable for an instant, and stealing it only
//! makes them talk across processors. So a thief that finds victims who keep up with their own queues takes
//! nothing and naps, for longer each time it finds that again, unlisted, so that the next spawn does not pay
//! for waking it; the nap bounds how long real work can wait for it.

use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicU32, AtomicU64, Ordering, between_seq_cst};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const NAPPING: u32 = 2;
const CHOSEN: u32 = 3;

const SEARCHING: u64 = 1;
const SLEEPING: u64 = 1 << 32;

/// How a worker left its sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Left {
    /// For work of its own, or because its time was up.
    Plain,
    /// To search; it is counted as a searcher already.
    ToSearch,
}

/// The sleepers and searchers of a runtime.
pub(crate) struct Idle {
    word: AtomicU64,
    /// How many search at once at most.
    searchers: u64,
    states: Box<[AtomicU32]>,
    list: Spin<Vec<u32>>,
}

impl Idle {
    /// For `workers` of them, half of whom search at once, and up to `capacity` with those that stand in for others.
    pub(crate) fn new(workers: usize, capacity: usize) -> Self {
        Self {
            word: AtomicU64::new(0),
            searchers: (workers as u64).div_ceil(2),
            states: (0..capacity).map(|_| AtomicU32::new(AWAKE)).collect(),
            // Room for all, so that listing never allocates under the lock.
            list: Spin::new(Vec::with_capacity(capacity)),
        }
    }

    fn searching(word: u64) -> u64 {
        word & 0xffff_ffff
    }

    /// Whether new work that anybody may take should wake somebody. The fast half of [`Idle::choose`].
    #[inline]
    pub(crate) fn wants_waking(&self) -> bool {
        // P2.
        between_seq_cst();
        let word = self.word.load(Ordering::SeqCst);
        word >= SLEEPING && Self::searching(word) == 0
    }

    /// Takes a sleeper off the list, to search. The caller unparks the worker returned.
    #[cold]
    pub(crate) fn choose(&self) -> Option<u32> {
        let mut list = self.list.lock();
        if Self::searching(self.word.load(Ordering::SeqCst)) > 0 {
            return None;
        }
        // The one that fell asleep last: its caches are the warmest.
        let index = list.pop()?;
        self.word.fetch_sub(SLEEPING - SEARCHING, Ordering::SeqCst);
        self.states[index as usize].store(CHOSEN, Ordering::SeqCst);
        Some(index)
    }

    /// Whether worker `index` is parked. Looked at after work of its own was made visible (P2).
    #[inline]
    pub(crate) fn is_parked(&self, index: u32) -> bool {
        between_seq_cst();
        matches!(self.states[index as usize].load(Ordering::SeqCst), ASLEEP | NAPPING)
    }

    /// Whether worker `index` neither sleeps nor naps.
    #[cfg(not(loom))]
    pub(crate) fn is_awake(&self, index: u32) -> bool {
        self.states[index as usize].load(Ordering::SeqCst) == AWAKE
    }

    /// Wakes worker `index` for work of its own. True if the caller is the one to unpark it.
    #[cold]
    pub(crate) fn wake(&self, index: u32) -> bool {
        let mut list = self.list.lock();
        let state = &self.states[index as usize];
        match state.load(Ordering::SeqCst) {
            ASLEEP => self.unlist(&mut list, index),
            NAPPING => {}
            _ => return false,
        }
        state.store(AWAKE, Ordering::SeqCst);
        true
    }

    fn unlist(&self, list: &mut Vec<u32>, index: u32) {
        list.retain(|&other| other != index);
        self.word.fetch_sub(SLEEPING, Ordering::SeqCst);
    }

    /// S1: enters worker `index` among the sleepers. The caller looks at every source once more before it parks.
    pub(crate) fn enter_sleep(&self, index: u32) {
        let mut list = self.list.lock();
        self.states[index as usize].store(ASLEEP, Ordering::SeqCst);
        list.push(index);
        self.word.fetch_add(SLEEPING, Ordering::SeqCst);
        between_seq_cst();
    }

    /// S1 of a nap: only work of its own will wake the worker.
    pub(crate) fn enter_nap(&self, index: u32) {
        let _list = self.list.lock();
        self.states[index as usize].store(NAPPING, Ordering::SeqCst);
        between_seq_cst();
    }

    /// Whether worker `index` should stay parked.
    #[inline]
    pub(crate) fn stays(&self, index: u32) -> bool {
        self.is_parked(index)
    }

    /// Leaves sleep or nap, for whatever reason: woken, chosen, out of time, or work found on the last look.
    pub(crate) fn leave(&self, index: u32) -> Left {
        let mut list = self.list.lock();
        let state = &self.states[index as usize];
        let left = match state.load(Ordering::SeqCst) {
            ASLEEP => {
                self.unlist(&mut list, index);
                Left::Plain
            }
            CHOSEN => Left::ToSearch,
            _ => Left::Plain,
        };
        state.store(AWAKE, Ordering::SeqCst);
        left
    }

    /// A worker with nothing to do asks to search. At most half of the workers do at once (and always one).
    pub(crate) fn try_search(&self) -> bool {
        self.word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                (Self::searching(word) < self.searchers).then_some(word + SEARCHING)
            })
            .is_ok()
    }

    /// A searcher stops. True if it was the last one.
    pub(crate) fn end_search(&self) -> bool {
        Self::searching(self.word.fetch_sub(SEARCHING, Ordering::SeqCst)) == 1
    }
}

#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn G27_a_searcher_keeps_others_asleep() {
        let idle = Idle::new(4, 4);
        assert!(!idle.wants_waking());
        idle.enter_sleep(1);
        idle.enter_sleep(2);
        assert!(idle.wants_waking());
        assert_eq!(idle.choose(), Some(2));
        assert!(!idle.wants_waking());
        assert_eq!(idle.choose(), None);
        assert_eq!(idle.leave(2), Left::ToSearch);
        assert!(idle.end_search());
        assert_eq!(idle.choose(), Some(1));
        assert_eq!(idle.leave(1), Left::ToSearch);
        assert!(idle.end_search());
        assert_eq!(idle.choose(), None);
    }

    #[test]
    fn a_nap_is_only_interrupted_for_work_of_its_own() {
        let idle = Idle::new(2, 2);
        idle.enter_nap(0);
        assert!(!idle.wants_waking());
        assert_eq!(idle.choose(), None);
        assert!(idle.is_parked(0));
        assert!(idle.wake(0));
        assert!(!idle.wake(0));
        assert_eq!(idle.leave(0), Left::Plain);
    }

    #[test]
    fn half_of_the_workers_search_and_always_one() {
        let idle = Idle::new(1, 1);
        assert!(idle.try_search());
        assert!(!idle.try_search());
        let idle = Idle::new(5, 5);
        assert_eq!((0..5).filter(|_| idle.try_search()).count(), 3);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;

    struct Model {
        idle: Idle,
        work: AtomicUsize,
        token: loom::sync::Mutex<bool>,
        unparked: loom::sync::Condvar,
    }

    impl Model {
        fn unpark(&self) {
            *self.token.lock().unwrap() = true;
            self.unparked.notify_one();
        }

        fn take(&self) -> bool {
            self.work.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
        }
    }

    /// One worker sleeps while two producers add work: it always wakes, and takes both.
    #[test]
    fn loom_sleep_and_wake_lose_nothing() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(1, 1),
                work: AtomicUsize::new(0),
                token: loom::sync::Mutex::new(false),
                unparked: loom::sync::Condvar::new(),
            });
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let model = model.clone();
                    loom::thread::spawn(move || {
                        model.work.fetch_add(1, Ordering::SeqCst);
                        if model.idle.wants_waking() && model.idle.choose().is_some() {
                            model.unpark();
                        }
                    })
                })
                .collect();
            let mut done = 0;
            while done < 2 {
                if model.take() {
                    done += 1;
                    continue;
                }
                model.idle.enter_sleep(0);
                if model.work.load(Ordering::SeqCst) == 0 {
                    let mut token = model.token.lock().unwrap();
                    while !*token {
                        token = model.unparked.wait(token).unwrap();
                    }
                    *token = false;
                }
                if model.idle.leave(0) == Left::ToSearch {
                    let _ = model.idle.end_search();
                }
            }
            producers.into_iter().for_each(|producer| producer.join().unwrap());
        });
    }

    /// Work of its own (an inbox) wakes exactly the worker it is for, also out of a nap.
    #[test]
    fn loom_own_work_ends_a_nap() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(1, 1),
                work: AtomicUsize::new(0),
                token: loom::sync::Mutex::new(false),
                unparked: loom::sync::Condvar::new(),
            });
            let sender = {
                let model = model.clone();
                loom::thread::spawn(move || {
                    model.work.fetch_add(1, Ordering::SeqCst);
                    if model.idle.is_parked(0) && model.idle.wake(0) {
                        model.unpark();
                    }
                })
            };
            while !model.take() {
                model.idle.enter_nap(0);
                if model.work.load(Ordering::SeqCst) == 0 {
                    let mut token = model.token.lock().unwrap();
                    while !*token {
                        token = model.unparked.wait(token).unwrap();
                    }
                    *token = false;
                }
                let _ = model.idle.leave(0);
            }
            sender.join().unwrap();
        });
    }
}
