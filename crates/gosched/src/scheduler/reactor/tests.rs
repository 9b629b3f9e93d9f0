use super::*;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

#[test]
fn I04_events_of_a_descriptor_that_is_gone_are_not_the_next_ones() {
    let mut sources = Sources::default();
    let (first, second) = (Arc::new(Source::new()), Arc::new(Source::new()));
    let old = sources.add(first.clone());
    assert!(Arc::ptr_eq(sources.find(old).unwrap(), &first));
    assert!(sources.remove(old).is_some_and(|source| Arc::ptr_eq(&source, &first)));
    assert!(sources.find(old).is_none());
    let new = sources.add(second.clone());
    assert_eq!(slot(new), slot(old), "the slot is used again");
    assert!(sources.find(old).is_none(), "but not by late events");
    assert!(Arc::ptr_eq(sources.find(new).unwrap(), &second));
    assert!(sources.find(WAKE).is_none());
}

#[test]
fn a_wake_that_comes_before_the_poll_ends_it() {
    let reactor = Reactor::new().unwrap();
    let mut woken = Vec::new();
    assert!(reactor.sit_down());
    assert!(!reactor.sit_down(), "one at a time");
    reactor.wake();
    reactor.sleep(None, &mut woken);
    assert!(woken.is_empty());
    assert!(reactor.sit_down(), "the seat is free again");
}

#[test]
fn a_short_wait_is_not_rounded_up() {
    let reactor = Reactor::new().unwrap();
    let shortest = (0..50)
        .map(|_| {
            let start = real_now();
            assert!(reactor.sit_down());
            reactor.sleep(Some(Duration::from_micros(100)), &mut Vec::new());
            start.elapsed()
        })
        .min();
    // Not a statement about all of them: this thread may be kept from running.
    assert!((100..900).contains(&shortest.unwrap().as_micros()), "{shortest:?}");
}

#[test]
fn readiness_before_the_first_look_is_remembered() {
    let (mut near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let reactor = Reactor::new().unwrap();
    let (token, source) = reactor.add(far.as_raw_fd()).unwrap();
    std::io::Write::write_all(&mut near, b"x").unwrap();
    assert!(reactor.sit_down());
    let mut woken = Vec::new();
    reactor.sleep(None, &mut woken);
    assert!(woken.is_empty(), "nobody waits");
    let mut timer = None;
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let polled = source.read.poll(&mut cx, &mut timer, || Ok(source::Done::with(7)));
    assert!(matches!(polled, std::task::Poll::Ready(Ok(7))));
    drop(lock(&reactor.sources).remove(token));
}

#[test]
fn D03_who_is_about_to_be_woken_for_a_descriptor_is_not_taken_for_dead() {
    let (mut near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let reactor = Reactor::new().unwrap();
    let (token, source) = reactor.add(far.as_raw_fd()).unwrap();
    let mut timer = None;
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let nothing = || Err::<source::Done<()>, _>(io::ErrorKind::WouldBlock.into());
    assert!(source.read.poll(&mut cx, &mut timer, nothing).is_pending());
    assert!(source.is_awaited());
    std::io::Write::write_all(&mut near, b"x").unwrap();
    let mut woken = Vec::new();
    while woken.is_empty() {
        assert!(reactor.sit_down());
        reactor.sleep(None, &mut woken);
    }
    // The worker that has polled counts as asleep until it has left the seat.
    assert!(!source.is_awaited() && census::awaits_outside());
    assert!(wake_all(&mut woken));
    drop(lock(&reactor.sources).remove(token));
}
