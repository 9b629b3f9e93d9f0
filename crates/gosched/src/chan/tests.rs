//! What only the inside shows: after all is over no queue holds anything.

use super::state::State;
use super::{Receiver, Sender, bounded};
use crate::select::__private::{Arm, RecvArm, SendArm, Wait, run, select_async};
use crate::select::Select;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread::scope;
use std::time::Duration;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_quiet<T>(ends: &(Sender<T>, Receiver<T>)) -> bool {
    ends.0.chan().inspect(State::queues_are_empty)
}

#[test]
fn C30_queues_are_empty_after_100_000_selects_on_a_quiet_channel() {
    let (quiet, busy) = (bounded::<i32>(0), bounded(0));
    for i in 0..100_000 {
        let mut select = pin!(select_async(
            false,
            Wait::Forever,
            (RecvArm::new(&quiet.1), (RecvArm::new(&busy.1), (SendArm::new(&quiet.0), ())))
        ));
        assert!(poll_once(select.as_mut()).is_pending());
        busy.0.try_send(i).unwrap();
        let Poll::Ready((Some(1), (_, (arm, _)))) = poll_once(select) else { panic!("{i}") };
        assert_eq!(arm.take(), Ok(i));
    }
    assert!(is_quiet(&quiet) && is_quiet(&busy));
}

#[test]
fn all_ways_to_leave_leave_nothing_behind() {
    for cap in [0, 1] {
        let ends = bounded::<i32>(cap);
        // Time-outs, of plain operations, selects and watchers.
        while ends.0.try_send(0).is_ok() {}
        ends.0.send_timeout(1, Duration::from_millis(1)).unwrap_err();
        let mut watch = Select::new();
        watch.send(&ends.0);
        watch.ready_timeout(Duration::from_millis(1)).unwrap_err();
        watch.select_timeout(Duration::from_millis(1)).map(|_| ()).unwrap_err();
        while ends.1.try_recv().is_ok() {}
        ends.1.recv_timeout(Duration::from_millis(1)).unwrap_err();
        let mut watch = Select::new();
        watch.recv(&ends.1);
        watch.ready_timeout(Duration::from_millis(1)).unwrap_err();
        // Dropped while it waits.
        drop({
            let mut future = Box::pin(ends.1.recv_async());
            assert!(poll_once(future.as_mut()).is_pending());
            future
        });
        // Chosen, and given back by the operation and by the arm.
        drop(ends.1.stream());
        let mut select = Box::pin(select_async(false, Wait::Forever, (RecvArm::new(&ends.1), ())));
        assert!(poll_once(select.as_mut()).is_pending());
        ends.0.try_send(1).unwrap();
        drop(select);
        let mut arm = RecvArm::new(&ends.1);
        assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
        drop(arm);
        assert_eq!(ends.1.try_recv(), Ok(1));
        assert!(is_quiet(&ends));
    }
}

#[test]
fn a_storm_of_everything_ends_quietly() {
    let channels: Vec<_> = [0, 0, 1].map(bounded::<usize>).into();
    scope(|s| {
        for id in 0..4 {
            let channels = &channels;
            s.spawn(move || {
                for i in 0..3_000 {
                    let ends = &channels[(i + id) % 3];
                    match (i + id) % 5 {
                        0 => drop(ends.0.send_timeout(i, Duration::from_micros(20))),
                        1 => drop(ends.1.recv_timeout(Duration::from_micros(20))),
                        2 => drop(ends.1.try_recv()),
                        _ => {
                            let mut recvs: Vec<_> = channels.iter().map(|c| RecvArm::new(&c.1)).collect();
                            let mut sends: Vec<_> = channels.iter().map(|c| SendArm::new(&c.0)).collect();
                            let mut arms: Vec<&mut dyn Arm> = Vec::new();
                            arms.extend(recvs.iter_mut().map(|arm| arm as &mut dyn Arm));
                            arms.extend(sends.iter_mut().map(|arm| arm as &mut dyn Arm));
                            match run(&mut arms, false, Wait::Timeout(Duration::from_micros(50))) {
                                Some(at) if at < 3 => drop(recvs.swap_remove(at).take()),
                                // Every second message is never made.
                                Some(at) if i % 2 == 0 => drop(sends.swap_remove(at - 3).finish(i)),
                                _ => {}
                            }
                        }
                    }
                }
            });
        }
    });
    for ends in &channels {
        while ends.1.try_recv().is_ok() {}
        assert!(is_quiet(ends));
    }
}
