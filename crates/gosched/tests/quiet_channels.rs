//! What waiting costs in memory: nothing that stays, and on goroutines nothing at all (C30, S07, S20).
//! Allocations are counted, in child processes that do nothing else.
#![allow(non_snake_case)]

mod common;

use common::{Child, HOUR, is_child, proc_status};
use gosched::chan::{self, Receiver, Sender};
use gosched::{Runtime, Select, go, select, select_async, wait, yield_now};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The system's allocator, counting.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Receives one message from `busy`, in one of several ways of waiting for `quiet` as well.
type Wait = fn(busy: &Receiver<usize>, quiet: &Receiver<usize>, never_taken: &Sender<usize>) -> usize;

const WAYS: [(&str, Wait); 8] = [
    ("select", |busy, quiet, _| select! { recv(quiet) -> _ => panic!(), recv(busy) -> n => n.unwrap() }),
    ("select both ways", |busy, quiet, full| {
        select! { recv(quiet) -> _ => panic!(), send(full, 1) -> _ => panic!(), recv(busy) -> n => n.unwrap() }
    }),
    ("duplicates", |busy, quiet, _| {
        select! {
            recv(quiet) -> _ => panic!(),
            recv(busy) -> n => n.unwrap(),
            recv(quiet) -> _ => panic!(),
            recv(busy) -> n => n.unwrap(),
            recv(quiet) -> _ => panic!(),
        }
    }),
    ("time-out", |busy, quiet, _| {
        select! { recv(quiet) -> _ => panic!(), recv(busy) -> n => n.unwrap(), default(HOUR) => panic!() }
    }),
    ("after", |busy, quiet, _| {
        select! {
            recv(quiet) -> _ => panic!(),
            recv(busy) -> n => n.unwrap(),
            recv(chan::after(HOUR)) -> _ => panic!(),
        }
    }),
    ("Select", |busy, quiet, full| {
        let mut select = Select::new();
        select.recv(quiet);
        select.send(full);
        select.recv(busy);
        select.select().recv(busy).unwrap()
    }),
    ("async", |busy, quiet, _| {
        wait(async {
            select_async! { recv(quiet) -> _ => panic!(), recv(busy) -> n => n.unwrap() }
        })
    }),
    ("plain", |busy, _, _| busy.recv().unwrap()),
];

/// Waits `rounds` times in a goroutine while another one serves it. Returns how much memory is in use at the
/// end.
fn rounds(
    count: usize,
    way: Wait,
    busy: &[(Sender<usize>, Receiver<usize>); 2],
    quiet: &(Sender<usize>, Receiver<usize>),
) -> (isize, usize) {
    let stuck = chan::bounded(0);
    let own = (busy[0].1.clone(), quiet.1.clone(), stuck.0.clone(), busy[1].0.clone());
    let waits = go(move || {
        let (busy, quiet, stuck, answer) = own;
        for n in 0..count {
            assert_eq!(way(&busy, &quiet, &stuck), n);
            answer.send(n).unwrap();
        }
    });
    let calls = CALLS.load(Relaxed);
    for n in 0..count {
        // Succeeds only once it waits.
        while busy[0].0.try_send(n).is_err() {
            yield_now();
        }
        assert_eq!(busy[1].1.recv(), Ok(n));
    }
    let calls = CALLS.load(Relaxed) - calls;
    waits.join().unwrap();
    (LIVE.load(Relaxed), calls)
}

#[test]
fn C30_and_S20_memory_is_flat_over_100_000_selects_on_a_quiet_channel() {
    if !is_child() {
        let child = Child::new("C30_and_S20_memory_is_flat_over_100_000_selects_on_a_quiet_channel");
        return drop(child.passes());
    }
    // Passing a baton between threads takes its time.
    let times = if common::goroutines_are_threads() { 5_000 } else { 100_000 };
    // Nobody stands in for the worker when the machine is busy: that would count.
    Runtime::builder().workers(1).max_threads(1).build().unwrap().run(|| {
        for (name, way) in WAYS {
            let quiet = chan::bounded(0);
            let busy = [chan::bounded(0), chan::bounded(0)];
            let (before, _) = rounds(1000, way, &busy, &quiet);
            let resident = proc_status("VmRSS");
            let (after, calls) = rounds(times, way, &busy, &quiet);
            let grown = proc_status("VmRSS").saturating_sub(resident);
            assert!((after - before).abs() < 4096, "{name}: {} bytes more are in use", after - before);
            assert!(grown < 1024, "{name}: {grown} KiB more are resident");
            match name {
                // What waits without a clock lies on the goroutine's own stack.
                "select" | "select both ways" | "duplicates" | "async" | "plain" => {
                    assert!(calls < 100, "{name}: {calls} allocations in {times} rounds");
                }
                _ => assert!(calls < 8 * times, "{name}: {calls} allocations in {times} rounds"),
            }
            assert!(quiet.0.try_send(1).is_err(), "{name}: somebody still waits");
        }
    });
}

#[test]
fn C30_time_outs_and_dropped_futures_leave_no_memory_behind() {
    if !is_child() {
        return drop(Child::new("C30_time_outs_and_dropped_futures_leave_no_memory_behind").passes());
    }
    use std::future::{Future, poll_fn};
    use std::task::Poll;
    // Nobody stands in for the worker when the machine is busy: that would count.
    Runtime::builder().workers(1).max_threads(1).build().unwrap().run(|| {
        let (tx, rx) = chan::bounded::<usize>(0);
        let short = Duration::from_nanos(1);
        let turn = |i: usize| match i % 6 {
            0 => assert!(select! { recv(rx) -> _ => false, default(short) => true }),
            1 => assert!(select! {
                recv(rx) -> _ => false,
                send(tx, 1) -> _ => false,
                recv(chan::after(short)) -> _ => true,
            }),
            2 => assert!(rx.recv_timeout(short).is_err()),
            3 => assert!(tx.send_timeout(1, short).is_err()),
            4 => assert!(select! { recv(rx) -> _ => false, default => true }),
            // Polled once, queued, and dropped.
            _ => wait(poll_fn(|cx| {
                let mut receive = std::pin::pin!(rx.recv_async());
                assert!(receive.as_mut().poll(cx).is_pending());
                let mut select = std::pin::pin!(async {
                    select_async! { recv(rx) -> _ => {}, recv(chan::after(HOUR)) -> _ => {} }
                });
                assert!(select.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })),
        };
        (0..3000).for_each(turn);
        let (before, resident) = (LIVE.load(Relaxed), proc_status("VmRSS"));
        (0..60_000).for_each(turn);
        let grown = proc_status("VmRSS").saturating_sub(resident);
        let more = LIVE.load(Relaxed) - before;
        assert!(more.abs() < 4096, "{more} bytes more are in use");
        assert!(grown < 1024, "{grown} KiB more are resident");
        assert!(tx.try_send(1).is_err() && rx.try_recv().is_err(), "somebody still waits");
    });
}
