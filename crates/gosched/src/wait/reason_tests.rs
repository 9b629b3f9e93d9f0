//! What a parked goroutine is said to wait for, as dumps will name it.

use super::WaitReason;
use crate::chan::{Receiver, after, bounded, never};
use crate::runtime::Runtime;
use crate::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use crate::task::TaskRef;
use crate::task::current::current_task;
use crate::{Select, go, select, select_async, select_biased, time, wait, yield_now};
use std::future::poll_fn;
use std::panic::Location;
use std::process::Command;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);

/// Starts a goroutine that blocks in `op`, and returns what it is said to wait for once it does, and in which
/// line.
///
/// Reading a parked goroutine's header from outside is fine here: with one worker nothing else runs meanwhile.
fn reason_of(op: impl FnOnce() + Send + 'static) -> (u8, u32) {
    let (tell, told) = bounded::<TaskRef>(1);
    drop(go(move || {
        tell.send(current_task().unwrap()).unwrap();
        op();
    }));
    let task = told.recv().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !task.state.is_idle() {
        assert!(Instant::now() < deadline, "it does not park");
        yield_now();
    }
    let at = task.waits_at.get().expect("a parked goroutine waits somewhere");
    assert!(at.file().ends_with("reason_tests.rs"), "it waits at {at}");
    (task.reason.get(), at.line())
}

/// The line after the caller's.
#[track_caller]
fn next_line() -> u32 {
    Location::caller().line() + 1
}

fn one_worker(body: impl FnOnce() + Send) {
    Runtime::builder().workers(1).build().unwrap().run(body);
}

#[test]
fn S21_a_blocked_select_waits_in_the_state_select() {
    one_worker(|| {
        let (close, rx) = bounded::<Box<i32>>(0);
        let (tx, open) = bounded::<Box<i32>>(0);
        let expected = WaitReason::Select as u8;
        // Without a clock, with one, with a time-out, and inside a future's poll.
        let r = rx.clone();
        assert_eq!(reason_of(move || select! { recv(r) -> _ => {} }).0, expected);
        let (r, t) = (rx.clone(), tx.clone());
        assert_eq!(
            reason_of(move || select_biased! { recv(r) -> _ => {}, send(t, Box::new(1)) -> _ => {} }).0,
            expected
        );
        let r = rx.clone();
        assert_eq!(
            reason_of(move || select! { recv(r) -> _ => {}, recv(after(LONG)) -> _ => {} }).0,
            expected
        );
        let r = rx.clone();
        assert_eq!(reason_of(move || select! { recv(r) -> _ => {}, default(LONG) => {} }).0, expected);
        let r = rx.clone();
        assert_eq!(
            reason_of(move || wait(async {
                select! { recv(r) -> _ => {} }
            }))
            .0,
            expected
        );
        let r = rx.clone();
        let blocks = move || {
            let mut select = Select::new();
            select.recv(&r);
            drop(select.select().recv(&r));
        };
        assert_eq!(reason_of(blocks).0, expected);
        // What awaits is the user's future; what is in it, if it is ours, tells.
        let r = rx.clone();
        let awaits = move || {
            wait(async {
                select_async! { recv(r) -> _ => {} }
            })
        };
        assert_eq!(reason_of(awaits).0, expected);
        // One that is not cannot.
        let left: Arc<std::sync::Mutex<Option<Waker>>> = Arc::default();
        let leaves = left.clone();
        let foreign = poll_fn(move |cx| match leaves.lock().unwrap().replace(cx.waker().clone()) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(()),
        });
        assert_eq!(reason_of(move || wait(foreign)).0, WaitReason::Future as u8);
        left.lock().unwrap().clone().expect("it was polled").wake();
        close.close();
        drop(open);
        drop(tx);
        until_alone();
    });
}

#[test]
fn C18_blocked_sends_and_receives_wait_in_states_of_their_own_and_say_where() {
    one_worker(|| {
        let (receive, send) = (WaitReason::ChanReceive as u8, WaitReason::ChanSend as u8);
        let (tx, rx) = bounded::<Box<i32>>(0);
        let r = rx.clone();
        let line = next_line();
        let blocks = move || drop(r.recv());
        assert_eq!(reason_of(blocks), (receive, line));
        let r = rx.clone();
        let line = next_line();
        let blocks = move || for _ in r {};
        assert_eq!(reason_of(blocks), (receive, line));
        let r = rx.clone();
        let line = next_line();
        let blocks = move || drop(r.recv_timeout(LONG));
        assert_eq!(reason_of(blocks), (receive, line));
        let blocks = || assert!(after(Duration::from_millis(300)).recv().is_ok());
        assert_eq!(reason_of(blocks).0, receive);
        tx.close();
        let (tx, rx) = bounded::<Box<i32>>(0);
        let t = tx.clone();
        let line = next_line();
        let blocks = move || drop(t.send(Box::new(1)));
        assert_eq!(reason_of(blocks), (send, line));
        let line = next_line();
        let blocks = move || drop(tx.send_timeout(Box::new(1), LONG));
        assert_eq!(reason_of(blocks), (send, line));
        drop(rx);
        until_alone();
    });
}

#[test]
fn Y35_each_lock_is_waited_for_by_its_name_and_in_the_caller_s_line() {
    one_worker(|| {
        // What the goroutines wait for comes last, so that they end.
        let mutex = Arc::new(Mutex::new(()));
        let held = mutex.lock();
        let (m, line) = (mutex.clone(), next_line());
        let blocks = move || drop(m.lock());
        assert_eq!(reason_of(blocks), (WaitReason::MutexLock as u8, line));
        let (m, line) = (mutex.clone(), next_line());
        let blocks = move || drop(m.try_lock_for(LONG));
        assert_eq!(reason_of(blocks), (WaitReason::MutexLock as u8, line));

        let lock = Arc::new(RwLock::new(()));
        let written = lock.write();
        let (l, line) = (lock.clone(), next_line());
        let blocks = move || drop(l.read());
        assert_eq!(reason_of(blocks), (WaitReason::RwLockRead as u8, line));
        let (l, line) = (lock.clone(), next_line());
        let blocks = move || drop(l.write());
        assert_eq!(reason_of(blocks), (WaitReason::RwLockWrite as u8, line));
        // Go shows a second writer as waiting for the mutex inside; here it waits for what it asked for.
        let (l, line) = (lock.clone(), next_line());
        let blocks = move || drop(l.try_write_for(LONG));
        assert_eq!(reason_of(blocks), (WaitReason::RwLockWrite as u8, line));

        let wg = WaitGroup::new();
        wg.add(1);
        let (w, line) = (wg.clone(), next_line());
        let blocks = move || w.wait();
        assert_eq!(reason_of(blocks), (WaitReason::WaitGroupWait as u8, line));

        let changed = Arc::new((Mutex::new(()), Condvar::new()));
        let (c, line) = (changed.clone(), next_line());
        let blocks = move || c.1.wait(&mut c.0.lock());
        assert_eq!(reason_of(blocks), (WaitReason::CondWait as u8, line));

        let permits = Semaphore::new(1);
        let permit = permits.acquire_guard(1);
        let (s, line) = (permits.clone(), next_line());
        let blocks = move || drop(s.acquire_guard(1));
        assert_eq!(reason_of(blocks), (WaitReason::SemaphoreAcquire as u8, line));

        let barrier = Arc::new(Barrier::new(2));
        let (b, line) = (barrier.clone(), next_line());
        let blocks = move || _ = b.wait();
        assert_eq!(reason_of(blocks), (WaitReason::BarrierWait as u8, line));

        let (once, (go_on, hold)) = (Arc::new(Once::new()), bounded::<()>(0));
        let o = once.clone();
        drop(go(move || o.call_once(|| _ = hold.recv())));
        (0..5).for_each(|_| yield_now());
        let (o, line) = (once.clone(), next_line());
        let blocks = move || o.call_once(|| ());
        assert_eq!(reason_of(blocks), (WaitReason::OnceWait as u8, line));

        drop((held, written, permit, go_on));
        wg.done();
        changed.1.notify_all();
        barrier.wait();
        until_alone();
    });
}

/// All goroutines but this one end: else their thread would be kept for ever, and another test counts such
/// threads.
fn until_alone() {
    let deadline = Instant::now() + Duration::from_secs(20);
    while crate::num_goroutine() > 1 {
        assert!(Instant::now() < deadline, "goroutines are left");
        time::sleep(Duration::from_millis(1));
    }
}

#[test]
fn S11_and_C03_waiting_for_ever_has_states_of_its_own() {
    const CHILD: &str = "GOSCHED_REASONS_CHILD";
    if std::env::var_os(CHILD).is_some() {
        one_worker(|| {
            assert_eq!(reason_of(|| select! {}).0, WaitReason::SelectNoCases as u8);
            assert_eq!(reason_of(|| drop(never::<Box<i32>>().recv())).0, WaitReason::ChanReceiveNil as u8);
            assert_eq!(reason_of(|| for _ in never::<Box<i32>>() {}).0, WaitReason::ChanReceiveNil as u8);
            // Only nil cases are cases all the same.
            let none: Option<Receiver<Box<i32>>> = None;
            let nil = move || select! { recv(none) -> _ => {}, recv(never::<Box<i32>>()) -> _ => {} };
            assert_eq!(reason_of(nil).0, WaitReason::Select as u8);
        });
        return;
    }
    // In a process of its own, whose threads nobody counts: these goroutines never end.
    let name = "wait::reason_tests::S11_and_C03_waiting_for_ever_has_states_of_its_own";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let [said, cried] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{cried}");
}
