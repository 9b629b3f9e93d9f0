//! One channel between those who know nothing of each other: goroutines of several runtimes, threads inside and
//! outside of one, async tasks of our scheduler and of executors that are not ours; and what is left of it when
//! a runtime goes.
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{block_on, bounded, modes};
use gosched::chan::{
    self, Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError,
};
use gosched::{JoinHandle, Runtime, blocking, go, select, select_async, wait};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// Somebody at work.
enum Worker<T> {
    Goroutine(JoinHandle<T>),
    Thread(thread::JoinHandle<T>),
}

impl<T> Worker<T> {
    fn end(self) -> T {
        match self {
            Self::Goroutine(handle) => handle.join().unwrap(),
            Self::Thread(handle) => handle.join().unwrap(),
        }
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Several tasks of a foreign executor on one thread. All have one waker, so each is polled for the others'
/// wakes too.
async fn all<T>(tasks: Vec<Boxed<T>>) -> Vec<T> {
    let mut tasks: Vec<_> = tasks.into_iter().map(|task| (Some(task), None)).collect();
    poll_fn(move |cx| {
        for (task, output) in &mut tasks {
            if let Some(running) = task
                && let Poll::Ready(value) = running.as_mut().poll(cx)
            {
                (*task, *output) = (None, Some(value));
            }
        }
        if tasks.iter().any(|(task, _)| task.is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(tasks.iter_mut().map(|(_, output)| output.take().unwrap()).collect())
    })
    .await
}

/// Where the two sides of a channel may be.
const PLACES: usize = 10;

/// Runs one party, which comes as a blocking body and as three tasks, in a place of its own.
fn put<T: Send + 'static>(
    place: usize,
    runtimes: &[Runtime],
    body: impl FnOnce() -> Vec<T> + Send + 'static,
    tasks: impl FnOnce() -> Vec<Boxed<Vec<T>>> + Send + 'static,
) -> Worker<Vec<T>> {
    let handle = runtimes[place % runtimes.len()].handle();
    let flat = |lists: Vec<Vec<T>>| lists.into_iter().flatten().collect();
    match place {
        0..=2 => Worker::Goroutine(handle.go(body)),
        // A thread of the runtime, which a goroutine waits for.
        3 => Worker::Goroutine(handle.go(move || blocking(body))),
        4 => Worker::Thread(thread::spawn(body)),
        // A thread that has entered a runtime, and is none of its workers.
        5 => Worker::Thread(thread::spawn(move || {
            let _entered = handle.enter();
            body()
        })),
        // A blocking call inside a poll.
        6 => Worker::Goroutine(handle.go_async(async move { body() })),
        7 => Worker::Goroutine(handle.go_async(async move { flat(all(tasks()).await) })),
        8 => Worker::Thread(thread::spawn(move || flat(block_on(all(tasks()))))),
        // Foreign tasks driven by a goroutine.
        _ => Worker::Goroutine(handle.go(move || flat(wait(all(tasks()))))),
    }
}

#[test]
fn C17_and_C27_one_channel_serves_goroutines_threads_and_foreign_tasks_at_once() {
    const EACH: usize = 120;
    let runtimes = Arc::new(modes().into_iter().map(|mode| mode.runtime).collect::<Vec<_>>());
    for cap in [Some(0), Some(1), Some(5), None] {
        let runtimes = runtimes.clone();
        bounded(move || {
            let (tx, rx) = cap.map_or_else(chan::unbounded, chan::bounded::<(usize, usize)>);
            let senders: Vec<_> = (0..PLACES)
                .map(|place| {
                    let (own, tx) = (tx.clone(), tx.clone());
                    let body = move || {
                        (0..EACH).for_each(|n| {
                            if n % 2 == 0 {
                                own.send((place, n))
                            } else {
                                select! { send(own, (place, n)) -> r => r }
                            }
                            .unwrap();
                        });
                        Vec::<()>::new()
                    };
                    // The first task does it all, in order; the others are there to be polled in between.
                    let task = move |first: bool, tx: Sender<_>| async move {
                        for n in (0..EACH).filter(|_| first) {
                            if n % 2 == 0 {
                                tx.send_async((place, n)).await.unwrap();
                            } else {
                                select_async! { send(tx, (place, n)) -> r => r.unwrap() }
                            }
                        }
                        Vec::new()
                    };
                    let tasks =
                        move || (0..3).map(|i| Box::pin(task(i == 0, tx.clone())) as Boxed<_>).collect();
                    put(place, &runtimes, body, tasks)
                })
                .collect();
            drop(tx);
            let (_open, quiet) = chan::bounded::<()>(0);
            let receivers: Vec<_> = (0..PLACES)
                .map(|place| {
                    let (own, rx, never) = (rx.clone(), rx.clone(), quiet.clone());
                    let body = move || {
                        let mut got = Vec::new();
                        for turn in 0.. {
                            let next = match turn % 3 {
                                0 => own.recv(),
                                1 => select! { recv(own) -> n => n, recv(never) -> _ => panic!() },
                                _ => match own.recv_timeout(Duration::from_micros(50)) {
                                    Err(RecvTimeoutError::Timeout) => continue,
                                    Err(RecvTimeoutError::Disconnected) => Err(RecvError),
                                    Ok(n) => Ok(n),
                                },
                            };
                            match next {
                                Ok(n) => got.push(n),
                                Err(RecvError) => break,
                            }
                        }
                        got
                    };
                    let task = |rx: Receiver<_>| async move {
                        let mut got = Vec::new();
                        while let Ok(n) = rx.recv_async().await {
                            got.push(n);
                        }
                        got
                    };
                    let tasks = move || (0..3).map(|_| Box::pin(task(rx.clone())) as Boxed<_>).collect();
                    put(place, &runtimes, body, tasks)
                })
                .collect();
            senders.into_iter().for_each(|sender| drop(sender.end()));
            let lists: Vec<_> = receivers.into_iter().map(Worker::end).collect();
            let all: HashSet<_> = lists.iter().flatten().collect();
            let count: usize = lists.iter().map(Vec::len).sum();
            assert_eq!((all.len(), count), (PLACES * EACH, PLACES * EACH), "{cap:?}");
            // Those with one receiver each got every sender's messages in its order.
            for list in lists.iter().take(7) {
                for place in 0..PLACES {
                    assert!(list.iter().filter(|(from, _)| *from == place).is_sorted(), "{cap:?}");
                }
            }
        });
    }
}

#[test]
fn C08_a_message_of_a_sender_whose_runtime_is_gone_is_still_received() {
    for mode in modes() {
        bounded(move || {
            let live = Arc::new(AtomicUsize::new(0));
            let blocked = [false, true].map(|timed| {
                let (tx, rx) = chan::bounded(0);
                let (own, message) = (tx.clone(), Counted::new(live.clone()));
                mode.runtime.run(|| {
                    let hour = Duration::from_secs(3600);
                    drop(go(move || {
                        if timed {
                            own.send_timeout(message, hour).is_ok()
                        } else {
                            own.send(message).is_ok()
                        }
                    }));
                    let mut watch = gosched::Select::new();
                    watch.recv(&rx);
                    watch.ready();
                    // On another worker it may still be on its way from queueing to suspending.
                    gosched::time::sleep(Duration::from_millis(2));
                });
                (tx, rx)
            });
            drop(mode.runtime);
            // They stand where they blocked, and what they hold is taken from there.
            assert_eq!(live.load(Ordering::SeqCst), 2);
            for (i, (tx, rx)) in blocked.into_iter().enumerate() {
                let message = if i == 0 {
                    rx.recv()
                } else {
                    select! { recv(rx) -> n => n, default => panic!() }
                };
                assert!(message.is_ok());
                drop(message);
                assert_eq!(live.load(Ordering::SeqCst), 1 - i);
                assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)), "its sender is still there");
                assert!(tx.close());
                assert!(rx.recv().is_err());
            }
        });
    }
}

#[test]
fn C10_and_C29_channels_stay_usable_with_abandoned_goroutines_in_their_queues() {
    for mode in modes() {
        bounded(move || {
            let (name, live) = (mode.name, Arc::new(AtomicUsize::new(0)));
            let (tx, rx) = chan::bounded::<Counted>(0);
            let (full, drain) = chan::bounded::<Counted>(1);
            full.send(Counted::new(live.clone())).unwrap();
            let (started, waits) = (Arc::new(AtomicUsize::new(0)), 6);
            mode.runtime.run(|| {
                for kind in 0..waits {
                    let (rx, full, started) = (rx.clone(), full.clone(), started.clone());
                    let (message, quiet) = (Counted::new(live.clone()), chan::never::<()>());
                    drop(go(move || {
                        started.fetch_add(1, Ordering::SeqCst);
                        match kind {
                            0 => drop(rx.recv()),
                            1 => drop(rx.recv_timeout(Duration::from_secs(3600))),
                            2 => select! { recv(rx) -> _ => {}, recv(quiet) -> _ => {} },
                            3 => select! {
                                recv(rx) -> _ => {}
                                recv(chan::after(Duration::from_secs(3600))) -> _ => {}
                            },
                            4 => drop(full.send(message)),
                            _ => drop(wait(full.send_async(message))),
                        }
                    }));
                }
                common::eventually("all are blocked", || started.load(Ordering::SeqCst) == waits);
                gosched::time::sleep(Duration::from_millis(5));
            });
            drop(mode.runtime);
            // Futures that nobody polls any more have left their queues; what stands on a stack is still there,
            // and cannot tell that nobody will ever run it.
            let begin = Instant::now();
            let receivers =
                (0..waits).take_while(|_| tx.try_send(Counted::new(live.clone())).is_ok()).count();
            assert!(receivers <= 4, "{name}: {receivers}");
            let messages = drain.try_iter().count();
            assert!((1..=3).contains(&messages), "{name}: {messages}");
            // Nothing blocks on them, and nothing of theirs is dropped twice.
            let late = tx.send_timeout(Counted::new(live.clone()), Duration::from_millis(1));
            assert!(late.is_err_and(|error| error.is_timeout()));
            assert!(tx.close() && full.close());
            assert!(matches!(rx.recv(), Err(RecvError)) && matches!(drain.recv(), Err(RecvError)));
            assert!(matches!(tx.try_send(Counted::new(live.clone())), Err(TrySendError::Disconnected(_))));
            assert!(begin.elapsed() < Duration::from_secs(10));
            // Other goroutines use the same channels, and the headers of those that are gone.
            gosched::run(|| {
                let handles: Vec<_> = (0..20)
                    .map(|_| {
                        let (rx, full, message) = (rx.clone(), full.clone(), Counted::new(live.clone()));
                        go(move || {
                            matches!(rx.recv(), Err(RecvError))
                                && matches!(full.send(message), Err(SendError(_)))
                        })
                    })
                    .collect();
                assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
            });
            assert!(live.load(Ordering::SeqCst) <= 2 * waits, "{name}");
        });
    }
}
