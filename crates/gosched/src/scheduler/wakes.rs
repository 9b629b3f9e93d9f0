//! Waking many goroutines at once.
//!
//! A goroutine that has waited for long is in no cache: neither its header, nor its future or the stack it is parked on.
//! Whoever wakes it waits for the one, and the worker that runs it for the other. Where one look at the timers or the
//! sockets wakes many, their lines are asked for together, and come while we go on: first the headers, whose addresses
//! the wakers are; then, of the goroutines that we have won and so may look into, what they will go on with. Then they
//! are queued.
//!
//! Between winning a goroutine and queueing it every waker owns it for a moment (see [`state`](crate::task::state)); here
//! it takes a little longer, and no foreign code runs meanwhile.

use crate::task::TaskRef;
use crate::task::state::Woken;
use crate::task::waker::{is_goroutine, task_of};
use crate::wait::queue::wake_quietly;
use std::mem;
use std::task::Waker;

/// How many are asked for together. Their lines must not push each other out of the cache.
const TOGETHER: usize = 32;

/// Wakes all, in this order. A foreign waker may panic: its message is printed; neither the others nor the caller must
/// suffer.
pub(super) fn wake_all(wakers: &mut Vec<Waker>) {
    for run in wakers.chunk_by_mut(|a, b| is_goroutine(a) && is_goroutine(b)) {
        if is_goroutine(&run[0]) {
            run.chunks(TOGETHER).for_each(wake_goroutines);
        } else {
            wake_quietly(Some(mem::replace(&mut run[0], Waker::noop().clone())));
        }
    }
    wakers.clear();
}

fn wake_goroutines(wakers: &[Waker]) {
    let tasks = || wakers.iter().filter_map(task_of);
    if let [_] = wakers {
        return tasks().for_each(TaskRef::wake);
    }
    tasks().for_each(TaskRef::prefetch);
    let mut won = [None; TOGETHER];
    let mut count = 0;
    for task in tasks().filter(|task| task.state.wake() == Woken::Schedule) {
        match task.fiber.get() {
            Some(fiber) => fiber.prefetch(),
            None => task.prefetch_body(),
        }
        won[count] = Some(task);
        count += 1;
    }
    won[..count].iter().flatten().for_each(|task| task.schedule());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Wake};

    /// Notes its number when it is woken; number 0 panics.
    struct Foreign(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Foreign {
        fn wake(self: Arc<Self>) {
            assert_ne!(self.0, 0, "a waker that panics");
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn foreign_wakers_are_called_in_order_and_may_panic() {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waker = |n| Waker::from(Arc::new(Foreign(n, woken.clone())));
        let mut wakers = vec![waker(1), waker(0), waker(2), Waker::noop().clone(), waker(3)];
        wake_all(&mut wakers);
        assert!(wakers.is_empty());
        assert_eq!(*woken.lock().unwrap(), [1, 2, 3]);
        assert_eq!(Arc::strong_count(&woken), 1, "no waker stays behind");
    }

    #[test]
    fn a_crowd_runs_once_each_and_in_order_whoever_is_in_between() {
        const CROWD: usize = 3 * TOGETHER + 5;
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (ran, wakers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let crowd: Vec<_> = (0..CROWD)
            .map(|n| {
                let (ran, wakers) = (ran.clone(), wakers.clone());
                runtime.handle().go_async(async move {
                    let mut waits = true;
                    poll_fn(|cx| {
                        if std::mem::take(&mut waits) {
                            // Its waker comes twice: the second time it has been won already.
                            wakers.lock().unwrap().extend([(n, cx.waker().clone()), (n, cx.waker().clone())]);
                            return Poll::Pending;
                        }
                        ran.lock().unwrap().push(n);
                        Poll::Ready(())
                    })
                    .await;
                })
            })
            .collect();
        while wakers.lock().unwrap().len() < 2 * CROWD {
            std::thread::yield_now();
        }
        // Parked since its waker is there, or about to be: then the wake waits for it.
        let mut all = std::mem::take(&mut *wakers.lock().unwrap());
        all.sort_by_key(|(n, _)| *n);
        let foreign = Waker::from(Arc::new(Foreign(CROWD, ran.clone())));
        let mut all: Vec<_> = all.into_iter().map(|(_, waker)| waker).collect();
        let late = all.clone();
        all.insert(CROWD, foreign);
        // On the worker, so that none runs before all are queued.
        runtime.run(move || wake_all(&mut all));
        crowd.into_iter().for_each(|one| one.join().unwrap());
        let ran = ran.lock().unwrap();
        assert_eq!(ran.len(), CROWD + 1);
        assert_eq!(ran[0], CROWD, "the foreign one is called, the others queued");
        let mut sorted = ran.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..=CROWD));
        // They are over, and nobody minds.
        let mut late = late;
        wake_all(&mut late);
    }
}
