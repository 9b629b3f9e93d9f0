//! What other threads send to one worker: tasks that are pinned to it and have been woken elsewhere.
//!
//! A stack of links, pushed with a compare-and-swap and emptied with one swap, which the owner turns round:
//! so it is first in, first out, per sender and over all.

use super::Linked;
use crate::sys::prim::{AtomicPtr, Ordering};

/// The inbox.
pub(crate) struct Inbox<T: Linked> {
    head: AtomicPtr<T::Target>,
}

impl<T: Linked> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Whether nothing waits. Sequentially consistent, for the owner's last look before it sleeps.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::SeqCst).is_null()
    }

    /// The owner's glance between two goroutines.
    #[inline]
    pub(crate) fn seems_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Sends an item. The caller then wakes the owner if it sleeps.
    pub(crate) fn push(&self, item: T) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: what is in the inbox are items.
            item.set_link((!head.is_null()).then(|| unsafe { T::from_ptr(head) }));
            // Release: the owner sees the item's link and all that its sender did. SeqCst: comes before the
            // sender's look at the owner's sleep state, as the owner's last look comes after setting it.
            match self.head.compare_exchange_weak(head, item.into_ptr(), Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything, oldest first. Only for the owner.
    pub(crate) fn take(&self, mut f: impl FnMut(T)) {
        if self.seems_empty() {
            return;
        }
        let head = self.head.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: what is in the inbox are items.
        let mut newest_first = (!head.is_null()).then(|| unsafe { T::from_ptr(head) });
        let mut oldest_first = None;
        while let Some(item) = newest_first {
            newest_first = item.link();
            item.set_link(oldest_first);
            oldest_first = Some(item);
        }
        while let Some(item) = oldest_first {
            oldest_first = item.link();
            f(item);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::Item;
    use super::*;

    #[test]
    fn the_oldest_comes_first() {
        let inbox = Inbox::new();
        assert!(inbox.is_empty());
        (0..5).map(Item::new).for_each(|item| inbox.push(item));
        let mut got = Vec::new();
        inbox.take(|item| got.push(item.0.value));
        assert_eq!(got, [0, 1, 2, 3, 4]);
        assert!(inbox.is_empty());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::testing::Item;
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn loom_inbox_loses_nothing() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::<Item>::new());
            let senders: Vec<_> = (0..2)
                .map(|n| {
                    let inbox = inbox.clone();
                    loom::thread::spawn(move || inbox.push(Item::new(n)))
                })
                .collect();
            let mut got = Vec::new();
            inbox.take(|item| got.push(item.0.value));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            inbox.take(|item| got.push(item.0.value));
            got.sort_unstable();
            assert_eq!(got, [0, 1]);
        });
    }
}
