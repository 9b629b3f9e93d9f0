//! What other threads send to one worker: tasks that are pinned to it and have been woken elsewhere.
//!
//! A stack of links, pushed with a compare-and-swap and emptied with one swap, which the owner turns round:
//! so it is first in, first out, per sender and over all.
//!
//! Whoever wants the owner to look up, without sending it anything, rings the *bell*: a mark at the bottom of the stack.
//! The owner's glance at the inbox between two goroutines, which it does anyway, then finds it not empty.

use super::Linked;
use crate::sys::prim::{AtomicPtr, Ordering};

/// The inbox.
pub(crate) struct Inbox<T: Linked> {
    head: AtomicPtr<T::Target>,
}

/// The bell: no item has this address.
fn bell<T>() -> *mut T {
    std::ptr::without_provenance_mut(1)
}

impl<T: Linked> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The item at the head, if it is one.
    fn item(head: *mut T::Target) -> Option<T> {
        let is_item = !head.is_null() && head != bell();
        // SAFETY: what is in the inbox are items, but for the bell.
        is_item.then(|| unsafe { T::from_ptr(head) })
    }

    /// Makes the inbox not empty, if it is. The caller then wakes the owner if it sleeps.
    pub(crate) fn ring_bell(&self) {
        let _ = self.head.compare_exchange(std::ptr::null_mut(), bell(), Ordering::SeqCst, Ordering::Relaxed);
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
            // The bell need not stay: with an item in it the inbox is not empty either.
            item.set_link(Self::item(head));
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
        let mut newest_first = Self::item(head);
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

    #[test]
    fn the_bell_is_heard_and_is_no_item() {
        let inbox = Inbox::new();
        inbox.ring_bell();
        assert!(!inbox.is_empty() && !inbox.seems_empty());
        inbox.push(Item::new(1));
        inbox.ring_bell();
        let mut got = Vec::new();
        inbox.take(|item| got.push(item.0.value));
        assert_eq!(got, [1]);
        inbox.ring_bell();
        inbox.take(|_| panic!("a bell is no item"));
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
            inbox.ring_bell();
            let mut got = Vec::new();
            inbox.take(|item| got.push(item.0.value));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            inbox.take(|item| got.push(item.0.value));
            got.sort_unstable();
            assert_eq!(got, [0, 1]);
        });
    }
}
