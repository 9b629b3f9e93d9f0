//! Which threads must never end, seen from the cache of threads.

use super::Runtime;
use crate::spawn::blocking;
use crate::sys::threads;
use std::future::{Future, poll_fn};
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// How many threads are homes, once there are as many as `least`.
fn homes(least: usize) -> usize {
    let start = Instant::now();
    while threads::stats().homes < least {
        assert!(start.elapsed() < SOON, "{:?} instead of {least} homes", threads::stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    // One too many may come late.
    std::thread::sleep(Duration::from_millis(20));
    threads::stats().homes
}

/// Blocks inside a poll until the sender goes; then is pending, as a stackless goroutine is between two polls.
fn blocks_in_its_first_poll(started: Sender<()>) -> (Sender<()>, impl Future<Output = ()> + Send) {
    let (end, ends) = channel::<()>();
    let mut ends = Some(ends);
    let future = poll_fn(move |_| {
        if let Some(ends) = ends.take() {
            let started = started.clone();
            blocking(move || {
                let _ = started.send(());
                let _ = ends.recv();
            });
        }
        let _ = started.send(());
        Poll::Pending
    });
    (end, future)
}

/// An output that nobody wants.
struct BlocksInDrop(Sender<()>);

impl Drop for BlocksInDrop {
    fn drop(&mut self) {
        blocking(|| std::thread::sleep(Duration::from_millis(1)));
        let _ = self.0.send(());
    }
}

// One test: all count the homes of the process, and no other test of this binary makes one.
#[test]
fn a_thread_is_a_home_while_somebody_is_stopped_on_it_in_the_middle_of_a_poll() {
    // All at once, so that none gets a thread that is a home already.
    let [back, dropped, inside, stackful] = [(); 4].map(|()| Runtime::builder().workers(1).build().unwrap());
    let before = threads::stats().homes;
    let (started, starts) = channel();
    // It comes back from its poll before the runtime goes.
    let (end, future) = blocks_in_its_first_poll(started);
    drop(back.handle().go_async(future));
    starts.recv_timeout(SOON).unwrap();
    drop(end);
    starts.recv_timeout(SOON).unwrap();
    drop(back);
    assert_eq!(homes(before), before);
    // The same after the last poll: what it leaves is dropped on a stack, and may block too.
    let (started, starts) = channel();
    let (end, ends) = crate::chan::bounded::<()>(0);
    drop(dropped.handle().go_async(async move {
        let _ = ends.recv_async().await;
        BlocksInDrop(started)
    }));
    drop(end);
    starts.recv_timeout(SOON).unwrap();
    drop(dropped);
    assert_eq!(homes(before), before);
    // It does not. (A channel of its own: the one before may hold more, as a poll with a blocking call in it is
    // followed by another poll.)
    let (started, starts) = channel();
    let (end_inside, future) = blocks_in_its_first_poll(started);
    drop(inside.handle().go_async(future));
    starts.recv_timeout(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    drop(inside);
    assert_eq!(homes(before + 1), before + 1);
    // A stackful one is at home from its start.
    let (started, starts) = channel();
    let (end_stackful, ends) = channel::<()>();
    drop(stackful.handle().go(move || {
        blocking(move || {
            let _ = started.send(());
            let _ = ends.recv();
        })
    }));
    starts.recv_timeout(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    drop(stackful);
    assert_eq!(homes(before + 2), before + 2);
    drop((end_inside, end_stackful));
}
