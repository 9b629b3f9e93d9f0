//! `sync::RwLock`, step by step (FEATURES Y01, Y03, Y10 to Y16). The storms are in `sync_rwlock_storm.rs`.
#![cfg(not(loom))]
#![allow(non_snake_case)]

use gosched::sync::{
    RwLock, RwLockAsync, RwLockReadFuture, RwLockReadGuard, RwLockWriteFuture, RwLockWriteGuard,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

mod common;
use common::wakers::Hand;
use common::{MS, bounded, eventually, goroutines_are_threads, one_worker};

/// A reader that waits already.
#[track_caller]
fn reader(lock: &RwLock<u32>) -> Hand<RwLockReadFuture<'_, u32>> {
    Hand::queued(lock.read_async())
}

/// A writer that waits already.
#[track_caller]
fn writer(lock: &RwLock<u32>) -> Hand<RwLockWriteFuture<'_, u32>> {
    Hand::queued(lock.write_async())
}

/// Nobody has the lock and nobody is taken to wait for it.
#[track_caller]
fn assert_unused(lock: &RwLock<u32>) {
    assert!(!lock.is_locked());
    assert!(lock.try_read().is_some(), "closed to readers");
    assert!(lock.try_write().is_some(), "closed to writers");
    assert!(!lock.is_locked());
}

#[test]
fn Y01_new_is_const_and_default_is_unlocked() {
    static GLOBAL: RwLock<Vec<u8>> = RwLock::new(Vec::new());
    GLOBAL.write().push(1);
    assert_eq!(*GLOBAL.read(), [1]);
    assert_unused(&RwLock::default());
    assert_eq!(format!("{:?}", RwLock::new(3)), "RwLock { data: 3 }");
    let mut lock = RwLock::new(1);
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn readers_share_and_a_writer_excludes() {
    let lock = RwLock::new(0);
    let (a, b) = (lock.read(), lock.try_read().unwrap());
    assert!(lock.is_locked() && !lock.is_locked_exclusive());
    assert!(lock.try_write().is_none());
    drop((a, b));
    let guard = lock.write();
    assert!(lock.is_locked_exclusive());
    assert!(lock.try_read().is_none());
    assert!(lock.try_write().is_none());
    drop(guard);
    assert_unused(&lock);
}

#[test]
fn Y03_another_thread_may_unlock() {
    let lock = RwLock::new(0);
    let mut guard = lock.write();
    *guard = 1;
    thread::scope(|s| {
        s.spawn(move || drop(guard));
    });
    let guard = lock.read();
    thread::scope(|s| {
        s.spawn(move || drop(guard));
    });
    assert_unused(&lock);
}

#[test]
fn Y10_a_panic_unlocks_and_does_not_poison() {
    let lock = Arc::new(RwLock::new(0));
    for write in [false, true] {
        let inner = lock.clone();
        let result = thread::spawn(move || {
            let _guards = (write.then(|| inner.write()), (!write).then(|| inner.read()));
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .join();
        assert!(result.is_err());
        assert_unused(&lock);
    }
}

#[test]
fn Y11_a_waiting_writer_keeps_new_readers_out() {
    let lock = RwLock::new(0);
    let guard = lock.read();
    let mut w = writer(&lock);
    assert!(lock.try_read().is_none(), "Y11: TryRLock returns false");
    assert!(lock.try_read_for(2 * MS).is_none());
    let mut r = reader(&lock);
    drop(guard);
    assert_eq!((w.wakes(), r.wakes()), (1, 0));
    assert!(lock.try_read().is_none(), "the writer is on its way, the lock free: still its turn");
    r.waits();
    let guard = w.take();
    r.waits();
    drop(guard);
    assert_eq!(r.wakes(), 1);
    drop(r.take());
    assert_unused(&lock);
}

#[test]
fn Y11_a_writer_waits_only_for_the_readers_that_were_there() {
    // Readers come without end; each overlaps with the next, so the lock is never free by itself.
    let lock = RwLock::new(0);
    let mut guards = vec![lock.read(), lock.read()];
    let mut w = writer(&lock);
    let mut later: Vec<_> = (0..20).map(|_| reader(&lock)).collect();
    while let Some(guard) = guards.pop() {
        assert_eq!(w.wakes(), 0);
        drop(guard);
    }
    assert_eq!(w.wakes(), 1);
    *w.take() = 7;
    for r in &mut later {
        assert_eq!(*r.take(), 7);
    }
    assert_unused(&lock);
}

#[test]
fn Y12_a_second_read_of_one_goroutine_waits_behind_a_writer() {
    // Go's documented deadlock, with a way out: the second read has a deadline.
    let lock = RwLock::new(0);
    let first = lock.read();
    let w = writer(&lock);
    assert!(lock.try_read_for(5 * MS).is_none());
    drop(w);
    let second = lock.try_read_for(5 * MS);
    assert!(second.is_some(), "without a writer a second read is just another reader");
    drop((first, second));
    assert_unused(&lock);
}

#[test]
fn Y13_after_a_writer_all_waiting_readers_enter_before_the_next_writer() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let mut w = writer(&lock);
    let mut readers: Vec<_> = (0..100).map(|_| reader(&lock)).collect();
    let mut w2 = writer(&lock);
    drop(guard);
    assert!(
        readers.iter().all(|r| r.wakes() == 1),
        "they came after a waiting writer, and enter all the same"
    );
    assert_eq!((w.wakes(), w2.wakes()), (0, 0));
    assert!(lock.try_write().is_none());
    assert!(lock.try_read().is_none(), "Y11: writers wait");
    let guards: Vec<_> = readers.iter_mut().map(Hand::take).collect();
    w.waits();
    drop(guards);
    assert_eq!((w.wakes(), w2.wakes()), (1, 0));
    drop(w.take());
    assert_eq!(w2.wakes(), 1);
    drop(w2.take());
    assert_unused(&lock);
}

#[test]
fn Y13_also_when_the_writer_that_ends_has_barged() {
    let lock = RwLock::new(0);
    let guard = lock.read();
    let mut w = writer(&lock);
    let mut r = reader(&lock);
    drop(guard);
    let barged = lock.try_write().expect("a free lock may be taken past a woken writer");
    w.waits();
    drop(barged);
    assert_eq!(r.wakes(), 1, "the reader enters first, though it came after the first writer");
    w.waits();
    drop(r.take());
    drop(w.take());
    assert_unused(&lock);
}

#[test]
fn Y13_readers_let_in_read_on_before_a_writer_that_comes_keeps_them_out() {
    /// How often three goroutines have read, ten times each, when the one that had let them in writes again.
    fn reads_before_the_next_write() -> u32 {
        let lock = Arc::new(RwLock::new(0));
        let (began, reads) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let guard = lock.write();
        for _ in 0..3 {
            let (lock, began, reads) = (lock.clone(), began.clone(), reads.clone());
            gosched::go(move || {
                began.fetch_add(1, Ordering::SeqCst);
                for _ in 0..10 {
                    drop(lock.read());
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // On one worker, they wait if they have begun and another runs.
        while began.load(Ordering::SeqCst) < 3 {
            gosched::yield_now();
        }
        drop(guard);
        let _guard = lock.write();
        reads.load(Ordering::SeqCst)
    }

    // Where goroutines are threads, who runs when is the system's business.
    if !goroutines_are_threads() {
        // More than once, since the system may take the worker off its processor, and another thread stand in for it.
        one_worker(|| assert!((0..20).any(|_| reads_before_the_next_write() == 30)));
    }
}

#[test]
fn Y14_try_write_fails_with_any_reader_or_writer() {
    let lock = RwLock::new(0);
    let guard = lock.read();
    assert!(lock.try_write().is_none());
    let w = writer(&lock);
    assert!(lock.try_write().is_none(), "a pending one included");
    drop(w);
    drop(guard);
    let guard = lock.write();
    assert!(lock.try_write().is_none());
    drop(guard);
    assert_unused(&lock);
}

#[test]
fn Y15_what_is_not_locked_cannot_be_unlocked() {
    // A guard is the only way to unlock, and it is used up by it. What is left to check: a guard that is
    // forgotten keeps the lock, and breaks nothing.
    let lock = RwLock::new(0);
    std::mem::forget(lock.read());
    assert!(lock.try_read().is_some());
    assert!(lock.try_write().is_none());
}

#[test]
fn Y16_a_closure_is_the_locker_of_readers() {
    let lock = RwLock::new(5);
    let rlock: &dyn Fn() -> RwLockReadGuard<'static, u32> = {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(lock));
        &move || lock.read()
    };
    let (one, another) = (rlock(), rlock());
    assert_eq!(*one + *another, 10);
}

#[test]
fn Y05_among_writers_a_newcomer_may_barge_and_the_loser_queues_at_the_front() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let (mut a, mut b) = (writer(&lock), writer(&lock));
    drop(guard);
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    let barged = lock.try_write().unwrap();
    a.waits();
    drop(barged);
    assert_eq!((a.wakes(), b.wakes()), (2, 0), "the loser is first again");
    drop(a.take());
    drop(b.take());
    assert_unused(&lock);
}

#[test]
fn Y06_a_writer_that_lost_for_more_than_a_millisecond_is_handed_the_lock() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let (mut a, mut b) = (writer(&lock), writer(&lock));
    sleep(3 * MS);
    drop(guard);
    let barged = lock.try_write().unwrap();
    a.waits();
    drop(barged);
    assert!(lock.is_locked_exclusive(), "handed over, not released");
    assert!(lock.try_write().is_none());
    let guard = a.take();
    drop(guard);
    assert!(lock.is_locked_exclusive(), "the next has starved as long");
    drop(b.take());
    assert_unused(&lock);
}

#[test]
fn Y06_the_last_reader_hands_the_lock_to_a_writer_that_starves() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let mut w = writer(&lock);
    sleep(3 * MS);
    drop(guard);
    let barged = lock.try_write().unwrap();
    w.waits();
    let mut r = reader(&lock);
    drop(barged);
    let guard = r.take();
    assert_eq!(w.wakes(), 1, "Y13: readers first");
    drop(guard);
    assert!(lock.is_locked_exclusive());
    drop(w.take());
    assert_unused(&lock);
}

#[test]
fn a_writer_that_gives_up_lets_in_the_readers_up_to_the_next_writer() {
    let lock = RwLock::new(0);
    let guard = lock.read();
    let w = writer(&lock);
    let (mut r, mut r2) = (reader(&lock), reader(&lock));
    let w2 = writer(&lock);
    let mut late = reader(&lock);
    drop(w);
    assert_eq!((r.wakes(), r2.wakes(), late.wakes()), (1, 1, 0));
    late.waits();
    drop((r.take(), r2.take()));
    assert_eq!(w2.wakes(), 0, "the first reader is still there");
    drop(guard);
    assert_eq!(w2.wakes(), 1);
    drop(w2);
    assert_eq!(late.wakes(), 1, "also if it was on its way");
    drop(late.take());
    assert_unused(&lock);
}

#[test]
fn a_write_with_a_deadline_that_passes_lets_the_readers_in() {
    bounded(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.read();
        let begin = Instant::now();
        assert!(lock.try_write_for(20 * MS).is_none());
        assert!(begin.elapsed() >= 20 * MS);
        assert!(lock.try_write_until(Instant::now()).is_none());
        drop(lock.read());
        let timed = thread::spawn({
            let lock = lock.clone();
            move || lock.try_write_for(300 * MS).is_none()
        });
        eventually("the writer waits", || lock.try_read().is_none());
        drop(lock.read());
        assert!(timed.join().unwrap());
        drop(guard);
        assert!(lock.try_read_for(Duration::ZERO).is_some());
        assert!(lock.try_write_for(Duration::MAX).is_some(), "for ever is not an overflow");
        assert!(lock.try_read_for(Duration::MAX).is_some());
        assert_unused(&lock);
    });
}

#[test]
fn a_future_that_got_the_lock_and_is_dropped_releases_it() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let r = reader(&lock);
    let mut w = writer(&lock);
    drop(guard);
    assert_eq!((r.wakes(), w.wakes()), (1, 0));
    drop(r);
    assert_eq!(w.wakes(), 1);
    let guard = w.take();
    let w2 = writer(&lock);
    RwLockWriteGuard::unlock_fair(guard);
    assert!(lock.is_locked_exclusive());
    drop(w2);
    assert_unused(&lock);
    drop((lock.read_async(), lock.write_async()));
    assert_unused(&lock);
}

#[test]
fn readers_may_leave_the_queue_anywhere() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let (a, mut b, c) = (reader(&lock), reader(&lock), reader(&lock));
    drop(a);
    drop(c);
    drop(guard);
    assert_eq!(b.wakes(), 1);
    drop(b.take());
    let guard = lock.write();
    drop(reader(&lock));
    drop(guard);
    assert_unused(&lock);
}

#[test]
fn a_fair_unlock_hands_over() {
    let lock = RwLock::new(0);
    let guard = lock.read();
    let mut w = writer(&lock);
    RwLockReadGuard::unlock_fair(guard);
    assert!(lock.is_locked_exclusive(), "nobody can barge in between");
    let guard = w.take();
    let (mut r, mut w) = (reader(&lock), writer(&lock));
    RwLockWriteGuard::unlock_fair(guard);
    assert_eq!((r.wakes(), w.wakes()), (1, 0));
    let guard = r.take();
    RwLockReadGuard::unlock_fair(guard);
    RwLockWriteGuard::unlock_fair(w.take());
    assert_unused(&lock);
    let (a, b) = (lock.read(), lock.read());
    RwLockReadGuard::unlock_fair(a);
    assert!(lock.is_locked());
    RwLockReadGuard::unlock_fair(b);
    assert_unused(&lock);
}

#[test]
fn a_downgrade_lets_readers_in_and_writers_not() {
    let lock = RwLock::new(0);
    let mut guard = lock.write();
    *guard = 3;
    let guard = RwLockWriteGuard::downgrade(guard);
    drop(lock.try_read().expect("readers may enter"));
    assert!(lock.try_write().is_none());
    drop(guard);
    let guard = lock.write();
    let (mut r, mut w) = (reader(&lock), writer(&lock));
    let guard = RwLockWriteGuard::downgrade(guard);
    assert_eq!((*r.take(), w.wakes()), (3, 0));
    drop(guard);
    drop(w.take());
    assert_unused(&lock);
}

#[test]
fn mapped_guards_unlock_too() {
    let lock = RwLock::new((1, 2));
    *RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1) += 1;
    let second = RwLockReadGuard::map(lock.read(), |pair| &pair.1);
    assert_eq!(*second, 3);
    assert!(lock.try_write().is_none());
    drop(second);
    assert!(!lock.is_locked());
}

#[test]
fn futures_tolerate_spurious_polls_and_a_change_of_waker() {
    let lock = RwLock::new(0);
    let guard = lock.write();
    let (mut r, mut w) = (reader(&lock), writer(&lock));
    let old = (std::mem::take(&mut r.wakes), std::mem::take(&mut w.wakes));
    for _ in 0..3 {
        r.waits();
        w.waits();
    }
    drop(guard);
    drop(r.take());
    drop(w.take());
    assert_eq!((r.wakes(), w.wakes()), (1, 1));
    assert_eq!((old.0.0.load(Ordering::SeqCst), old.1.0.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn futures_are_not_polled_after_their_end() {
    let lock = RwLock::new(0);
    let mut r = Hand::new(lock.read_async());
    drop(r.take());
    assert!(common::panic_text(|| drop(r.poll())).contains("polled after it was ready"));
    let mut w = Hand::new(lock.write_async());
    drop(w.take());
    assert!(common::panic_text(|| drop(w.poll())).contains("polled after it was ready"));
    assert_unused(&lock);
}
