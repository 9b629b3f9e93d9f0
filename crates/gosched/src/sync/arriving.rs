//! How many readers were let into a lock and have not run since.

#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

/// A hint: nothing but speed depends on it, so all is Relaxed and nothing happens should it run over. Models do without.
pub(super) struct Arriving {
    #[cfg(not(loom))]
    count: AtomicU32,
}

#[cfg(not(loom))]
impl Arriving {
    pub(super) const fn new() -> Self {
        Self { count: AtomicU32::new(0) }
    }

    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// So many are let in. Before they are told, so each is counted here before it comes.
    pub(super) fn add(&self, readers: usize) {
        self.count.fetch_add(readers as u32, Ordering::Relaxed);
    }

    /// One has run, or was dropped.
    pub(super) fn one_came(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(loom)]
impl Arriving {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn add(&self, _readers: usize) {}

    pub(super) fn one_came(&self) {}
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::raw_rwlock::RawRwLock;
    use std::future::Future;
    use std::task::{Context, Waker};

    #[test]
    fn readers_let_in_arrive_by_running_giving_up_or_being_dropped() {
        let lock = RawRwLock::unlocked();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(lock.try_take_write());
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(lock.acquire_read())).collect();
        assert!(waiting.iter_mut().all(|reader| reader.as_mut().poll(&mut cx).is_pending()));
        waiting.pop();
        assert!(!lock.arriving.any(), "they wait, or left before they were let in");
        // SAFETY: it was taken above.
        unsafe { lock.release_write() };
        assert!(lock.arriving.any());
        assert!(waiting.pop().unwrap().as_mut().poll(&mut cx).is_ready());
        assert!(lock.arriving.any());
        assert!(waiting.pop().unwrap().as_mut().give_up());
        assert!(lock.arriving.any());
        drop(waiting);
        assert!(!lock.arriving.any());
        // SAFETY: two have it for reading: one was ready, and one had been let in when it gave up.
        unsafe {
            lock.release_read();
            lock.release_read();
        }
        assert!(!lock.is_taken());
    }
}
