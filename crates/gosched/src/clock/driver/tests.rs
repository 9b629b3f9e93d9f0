//! Tests of the fallback thread. Its idle limit is a parameter, so that its end can be met.

use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;

const SOON: Duration = Duration::from_secs(30);

fn driver(idle: Duration) -> &'static Driver {
    Box::leak(Box::new(Driver::new(idle)))
}

/// A waker that sends a number.
struct Ring(Sender<u32>, u32);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(self.1);
    }
}

fn bell() -> (impl Fn(u32) -> Waker, Receiver<u32>) {
    let (sender, receiver) = channel();
    (move |number| Waker::from(Arc::new(Ring(sender.clone(), number))), receiver)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn timers_ring_in_order_and_not_early() {
    let driver = driver(IDLE);
    let (ring, rung) = bell();
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    driver.insert(at(60), ring(60)).unwrap();
    driver.insert(at(20), ring(20)).unwrap();
    driver.insert(at(40), ring(40)).unwrap();
    driver.insert(start, ring(0)).unwrap();
    for expected in [0, 20, 40, 60] {
        assert_eq!(rung.recv_timeout(SOON), Ok(expected));
        assert!(start.elapsed() >= Duration::from_millis(expected.into()));
    }
    assert!(driver.running());
}

#[test]
fn an_earlier_timer_wakes_the_sleeping_thread() {
    let driver = driver(IDLE);
    let (ring, rung) = bell();
    let hour = Instant::now() + Duration::from_secs(3600);
    let key = driver.insert(hour, ring(1)).unwrap();
    thread::sleep(Duration::from_millis(20));
    driver.insert(Instant::now() + Duration::from_millis(5), ring(2)).unwrap();
    assert_eq!(rung.recv_timeout(SOON), Ok(2));
    // The same by an update.
    assert!(driver.update(key, Instant::now() + Duration::from_millis(5), &ring(3)));
    assert_eq!(rung.recv_timeout(SOON), Ok(3));
    assert!(!driver.update(key, hour, &ring(4)));
}

#[test]
fn a_cancelled_timer_does_not_ring() {
    let driver = driver(IDLE);
    let (ring, rung) = bell();
    let at = Instant::now() + Duration::from_millis(20);
    let key = driver.insert(at, ring(1)).unwrap();
    driver.insert(at + Duration::from_millis(1), ring(2)).unwrap();
    assert!(driver.cancel(key).is_some());
    assert!(driver.cancel(key).is_none());
    assert_eq!(rung.recv_timeout(SOON), Ok(2));
    assert!(rung.try_recv().is_err());
}

#[test]
fn the_thread_ends_without_timers_and_starts_again() {
    let driver = driver(Duration::from_millis(5));
    let (ring, rung) = bell();
    for round in 0..5 {
        driver.insert(Instant::now(), ring(round)).unwrap();
        assert_eq!(rung.recv_timeout(SOON), Ok(round));
        wait_until("the thread ends", || !driver.running());
    }
    let late = driver.insert(Instant::now() + Duration::from_secs(3600), ring(9)).unwrap();
    thread::sleep(Duration::from_millis(30));
    assert!(driver.running(), "it stays as long as there is a timer");
    drop(driver.cancel(late));
}

#[test]
fn no_timer_is_lost_to_a_thread_that_is_about_to_end() {
    // The thread ends as soon as it has nothing to do, again and again, while others insert.
    let driver = driver(Duration::ZERO);
    thread::scope(|scope| {
        for me in 0..3u64 {
            scope.spawn(move || {
                let (ring, rung) = bell();
                for round in 0..300 {
                    let wait = Duration::from_micros((u64::from(round) * 7 + me * 31) % 300);
                    driver.insert(Instant::now() + wait, ring(round)).unwrap();
                    assert_eq!(rung.recv_timeout(SOON), Ok(round), "thread {me}");
                    thread::sleep(Duration::from_micros(u64::from(round) % 50));
                }
            });
        }
    });
    wait_until("the thread ends", || !driver.running());
}

#[test]
fn the_thread_does_not_end_on_a_timer_that_came_as_its_time_was_up() {
    let driver = driver(Duration::from_millis(20));
    let (ring, rung) = bell();
    driver.insert(Instant::now(), ring(1)).unwrap();
    assert_eq!(rung.recv_timeout(SOON), Ok(1));
    // The thread's time runs out while we hold the lock that it needs to end. Meanwhile somebody inserts,
    // as far as the store, and has not come to the nudge.
    let awake = lock(&driver.awake);
    driver.timers.insert(Instant::now(), Instant::now(), ring(2));
    thread::sleep(Duration::from_millis(100));
    drop(awake);
    assert_eq!(rung.recv_timeout(SOON), Ok(2));
}

#[test]
fn a_waker_that_panics_does_not_stop_the_others() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            // No message: the panic hook belongs to all tests of the process.
            std::panic::resume_unwind(Box::new("a waker panics"));
        }
    }
    let driver = driver(IDLE);
    let (ring, rung) = bell();
    let now = Instant::now();
    driver.insert(now, Waker::from(Arc::new(Bomb))).unwrap();
    driver.insert(now + Duration::from_millis(1), ring(1)).unwrap();
    assert_eq!(rung.recv_timeout(SOON), Ok(1));
}

#[test]
fn one_thread_serves_the_process() {
    let (ring, rung) = bell();
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..8 {
            let waker = ring(number);
            scope.spawn(move || {
                fallback().insert(Instant::now() + Duration::from_millis(2), waker).unwrap();
                RUNNING.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let mut numbers: Vec<_> = (0..8).map(|_| rung.recv_timeout(SOON).unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    assert_eq!(RUNNING.load(Ordering::Relaxed), 8);
    assert!(fallback().running());
}
