//! loom models of the reader-writer lock. A model has no clock: a writer that lost once starves, so hand-overs
//! occur too.

use super::RawRwLock;
use crate::sys::prim::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct Shared {
    lock: RawRwLock,
    // loom fails the model if somebody is in it beside a writer.
    count: UnsafeCell<u32>,
}

// SAFETY: the count is only touched under the lock, which is what the models check.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: RawRwLock::unlocked(), count: UnsafeCell::new(0) })
    }

    fn add_and_release(&self) {
        // SAFETY: called with the lock held for writing.
        unsafe {
            self.count.with_mut(|count| *count += 1);
            self.lock.release_write();
        }
    }

    fn look_and_release(&self) -> u32 {
        // SAFETY: called with the lock held for reading.
        unsafe {
            let count = self.count.with(|count| *count);
            self.lock.release_read();
            count
        }
    }

    fn write(&self) {
        block_on(self.lock.acquire_write());
        self.add_and_release();
    }

    fn read(&self) -> u32 {
        block_on(self.lock.acquire_read());
        self.look_and_release()
    }

    fn assert_free(&self, writes: u32) {
        assert!(!self.lock.is_taken());
        assert!(self.lock.try_take_read(), "closed to readers although nobody waits");
        assert_eq!(self.look_and_release(), writes);
        assert!(self.lock.try_take_write());
        self.add_and_release();
    }
}

fn model(bound: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(f);
}

#[test]
fn a_reader_and_two_writers() {
    model(2, || {
        let shared = Shared::new();
        let (writer, reader) = (shared.clone(), shared.clone());
        let writer = loom::thread::spawn(move || writer.write());
        let reader = loom::thread::spawn(move || assert!(reader.read() <= 2));
        shared.write();
        writer.join().unwrap();
        reader.join().unwrap();
        shared.assert_free(2);
    });
}

#[test]
fn a_hog_that_barges_and_a_reader_and_a_writer_that_wait() {
    model(2, || {
        let shared = Shared::new();
        let (writer, reader) = (shared.clone(), shared.clone());
        let writer = loom::thread::spawn(move || writer.write());
        let reader = loom::thread::spawn(move || assert!(reader.read() <= 3));
        let mut writes = 1;
        for _ in 0..2 {
            if shared.lock.try_take_write() {
                shared.add_and_release();
                writes += 1;
            }
        }
        writer.join().unwrap();
        reader.join().unwrap();
        shared.assert_free(writes);
    });
}

#[test]
fn two_readers_leave_to_a_writer_that_comes() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.lock.try_take_read());
        assert!(shared.lock.try_take_read());
        let (one, other) = (shared.clone(), shared.clone());
        let one = loom::thread::spawn(move || one.look_and_release());
        let other = loom::thread::spawn(move || other.look_and_release());
        shared.write();
        assert_eq!((one.join().unwrap(), other.join().unwrap()), (0, 0));
        shared.assert_free(1);
    });
}

#[test]
fn a_writer_that_gives_up_at_any_moment_lets_the_reader_behind_it_in() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.lock.try_take_read());
        let mut cx = Context::from_waker(Waker::noop());
        let mut writer = Box::pin(shared.lock.acquire_write());
        let mut reader = pin!(shared.lock.acquire_read());
        assert!(writer.as_mut().poll(&mut cx).is_pending());
        assert!(reader.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        let holder = loom::thread::spawn(move || other.look_and_release());
        let mut writes = 0;
        if let Poll::Ready(()) = writer.as_mut().poll(&mut cx) {
            shared.add_and_release();
            writes = 1;
        }
        drop(writer);
        block_on(reader);
        assert_eq!(shared.look_and_release(), writes);
        holder.join().unwrap();
        shared.assert_free(writes);
    });
}

#[test]
fn Y13_readers_that_wait_enter_before_the_next_writer_also_if_one_is_dropped() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.lock.try_take_write());
        let mut cx = Context::from_waker(Waker::noop());
        let mut writer = pin!(shared.lock.acquire_write());
        let mut leaver = Box::pin(shared.lock.acquire_read());
        let mut reader = pin!(shared.lock.acquire_read());
        assert!(writer.as_mut().poll(&mut cx).is_pending());
        assert!(leaver.as_mut().poll(&mut cx).is_pending());
        assert!(reader.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        let holder = loom::thread::spawn(move || other.add_and_release());
        drop(leaver);
        block_on(reader);
        assert!(writer.as_mut().poll(&mut cx).is_pending(), "the reader is in");
        assert_eq!(shared.look_and_release(), 1);
        block_on(writer);
        shared.add_and_release();
        holder.join().unwrap();
        shared.assert_free(2);
    });
}

#[test]
fn a_fair_release_and_a_downgrade() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.lock.try_take_write());
        let mut cx = Context::from_waker(Waker::noop());
        let mut writer = pin!(shared.lock.acquire_write());
        assert!(writer.as_mut().poll(&mut cx).is_pending());
        let (other, late) = (shared.clone(), shared.clone());
        // SAFETY: the lock is held, by the one whose place this thread takes; then for reading.
        let holder = loom::thread::spawn(move || unsafe {
            other.lock.downgrade_write();
            assert_eq!(other.count.with(|count| *count), 0);
            other.lock.release_read_fair();
        });
        let reader = loom::thread::spawn(move || late.read());
        block_on(writer);
        shared.add_and_release();
        holder.join().unwrap();
        assert!(reader.join().unwrap() <= 1);
        shared.assert_free(1);
    });
}
