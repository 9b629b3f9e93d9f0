//! What takes a look inside: waits that are made to look old.

use super::{goroutines, groups};
use crate::task::TaskRef;
use crate::task::current::current_task;
use crate::{Runtime, chan, go, yield_now};
use std::time::{Duration, Instant};

/// A goroutine of the runtime that waits for a channel since `minutes` ago, and the sender that ends its wait.
fn waits_for(minutes: u16) -> (TaskRef, chan::Sender<u8>) {
    let (tell, told) = chan::bounded::<TaskRef>(1);
    let (tx, rx) = chan::bounded::<u8>(0);
    drop(go(move || {
        tell.send(current_task().unwrap()).unwrap();
        let _ = rx.recv();
    }));
    let task = told.recv().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !task.state.is_idle() {
        assert!(Instant::now() < deadline, "it does not park");
        yield_now();
    }
    task.since.set(task.since.get().wrapping_sub(2 * minutes));
    (task, tx)
}

#[test]
#[allow(non_snake_case)]
fn U02_minutes_are_shown_from_the_first_one_on() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let (young, _young) = waits_for(0);
        let (old, _old) = waits_for(3);
        let text = |task: TaskRef| {
            let all = goroutines();
            all.iter().find(|info| info.id == task.id.get()).expect("it is listed").to_string()
        };
        let first = |task: TaskRef| text(task).lines().next().unwrap().to_owned();
        assert_eq!(first(young), format!("goroutine {} [chan receive]:", young.id.get()));
        assert_eq!(first(old), format!("goroutine {} [chan receive, 3 minutes]:", old.id.get()));
        // The oldest of a group is what tells.
        let group =
            groups().into_iter().find(|group| group.created_at.file() == file!() && group.waits_at.is_some());
        let group = group.expect("both are in one");
        assert_eq!((group.count, group.example), (2, young.id.get().min(old.id.get())));
        assert!(group.longest >= Some(Duration::from_secs(180)), "{group}");
    });
}
