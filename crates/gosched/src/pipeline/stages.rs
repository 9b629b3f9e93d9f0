//! The stages: each is one or more goroutines between receivers.

use super::link::{catch, link, start, start_many, unless_over};
use crate::chan::{self, IntoIter, Receiver, Sender};
use crate::context::Context;
use crate::spawn::go;
use crate::task::panics::{catch_uncaught, telling};
use crate::wait::{WaitReason, wait_for};
use std::any::Any;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Sends what an iterator yields, in a goroutine of its own.
///
/// A closure becomes an iterator by [`std::iter::from_fn`]. The iterator is asked for an item only while somebody
/// could receive it; one that blocks in its `next` ends after that. To begin with a receiver none is needed: it is
/// the input of a stage already.
///
/// ```
/// use gosched::{context::background, pipeline::source};
///
/// gosched::run(|| {
///     let mut n = 0;
///     let squares = source(&background(), std::iter::from_fn(move || { n += 1; Some(n * n) }));
///     assert_eq!(squares.iter().take(3).collect::<Vec<_>>(), [1, 4, 9]);
/// }); // endless, and yet gone with its receiver
/// ```
///
/// # Panics
///
/// As [`go`](crate::go) if no goroutine can be started. A panic of the iterator reaches the consumer.
///
/// In Go: a goroutine that sends in a loop, with a `select` on `ctx.Done()`.
#[track_caller]
pub fn source<I>(ctx: &Context, items: I) -> Receiver<I::Item>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Send + 'static,
{
    let (out, rx) = link(ctx, 0);
    let mut items = items.into_iter();
    start(out, move |out| {
        while !out.is_over()
            && let Some(item) = telling(|| items.next())
            && out.send(item)
        {}
    });
    rx
}

/// Applies `f` to what it receives, in `n` goroutines; results come in the order in which they are ready.
///
/// ```
/// use gosched::{context::background, pipeline::{source, stage}};
///
/// gosched::run(|| {
///     let words = source(&background(), ["one", "three", "five"]);
///     let lengths = stage(&background(), 2, words, str::len);
///     assert_eq!(lengths.iter().sum::<usize>(), 12);
/// });
/// ```
///
/// # Panics
///
/// If `n` is 0, and as [`go`](crate::go) if no goroutine can be started. A panic of `f` ends the stage and reaches
/// the consumer; what other goroutines of the stage were doing is lost.
///
/// In Go: a loop that starts `n` goroutines, a wait group, and a goroutine that closes the output.
#[track_caller]
pub fn stage<T, U, F>(ctx: &Context, n: usize, rx: Receiver<T>, f: F) -> Receiver<U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(T) -> U + Send + Sync + 'static,
{
    check(n);
    let (out, results) = link(ctx, 0);
    let f = Arc::new(f);
    for _ in 0..n {
        let (rx, f) = (rx.clone(), f.clone());
        start(out.clone(), move |out| {
            while let Some(item) = out.next(&rx) {
                if !out.send(telling(|| f(item))) {
                    return;
                }
            }
        });
    }
    results
}

/// The same with the results in the order of the input.
///
/// At most `n` calls of `f` run at a time, and at most `2 * n` items are between input and output: so many results
/// wait for one that takes longer. A panic of `f` comes in its place: the results before it are received first.
///
/// ```
/// use gosched::{context::background, pipeline::{source, stage_ordered}};
///
/// gosched::run(|| {
///     let ctx = background();
///     let doubled = stage_ordered(&ctx, 4, source(&ctx, 0..100), |n| n * 2);
///     assert!(doubled.iter().eq((0..100).map(|n| n * 2)));
/// });
/// ```
///
/// # Panics
///
/// As [`stage`].
///
/// In Go: `conc/stream`.
#[track_caller]
pub fn stage_ordered<T, U, F>(ctx: &Context, n: usize, rx: Receiver<T>, f: F) -> Receiver<U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(T) -> U + Send + Sync + 'static,
{
    type Computed<U> = Result<U, Box<dyn Any + Send>>;
    check(n);
    // Item `i` has the slot `i % window`. The dispatcher takes a permit for each item before it receives it; the
    // collector gives that back after it has emptied the item's slot. So a slot is empty when it is used again.
    let window = n.checked_mul(2).expect("a number of goroutines that can be");
    let (slots, filled): (Vec<_>, Vec<_>) = (0..window).map(|_| chan::bounded::<Computed<U>>(1)).unzip();
    let slots: Arc<[Sender<Computed<U>>]> = slots.into();
    let (permits, permitted) = link::<()>(ctx, window);
    let (jobs, given) = chan::bounded::<(usize, T)>(0);
    let (out, results) = link(ctx, 0);
    let f = Arc::new(f);

    for _ in 0..n {
        let (given, slots, f) = (given.clone(), slots.clone(), f.clone());
        go(move || {
            while let Ok((slot, item)) = given.recv() {
                if slots[slot].is_closed() {
                    return;
                }
                // Whatever ends `f` is told in its place, or the collector would wait for it.
                let computed = catch_uncaught(|| f(item));
                let failed = computed.is_err();
                if slots[slot].send(computed).is_err() || failed {
                    return;
                }
            }
        });
    }
    drop(given);
    // The dispatcher. It ends when the collector does, which receives its permits.
    start(permits, move |permits| {
        for slot in (0..window).cycle() {
            if !permits.send(()) {
                return;
            }
            let item = match catch(|| permits.next(&rx)) {
                Ok(Some(item)) => item,
                Ok(None) => return,
                Err(payload) => return drop(slots[slot].send(Err(payload))),
            };
            if !permits.send_to(&jobs, (slot, item)) {
                return;
            }
        }
    });
    // The collector. When dispatcher and workers have gone the slots are closed.
    start(out, move |out| {
        for slot in filled.iter().cycle() {
            let computed = match out.next(slot) {
                Some(Ok(computed)) => computed,
                Some(Err(payload)) => resume_unwind(payload),
                None => return,
            };
            let _ = permitted.recv();
            if !out.send(computed) {
                return;
            }
        }
    });
    results
}

/// Applies `f` to the items of an iterator, `n` at a time, ahead of the consumer: an iterator over the results in
/// the order of the items.
///
/// It is [`source`] and [`stage_ordered`]; dropping the iterator ends both.
///
/// ```
/// use gosched::{context::background, pipeline::par_map};
///
/// gosched::run(|| {
///     let lengths = par_map(&background(), 4, ["a", "list", "of", "words"], str::len);
///     assert_eq!(lengths.collect::<Vec<_>>(), [1, 4, 2, 5]);
/// });
/// ```
///
/// # Panics
///
/// As [`stage`].
///
/// In Go: `conc/iter.Map`, which has no context and works through a slice.
#[track_caller]
pub fn par_map<I, U, F>(ctx: &Context, n: usize, items: I, f: F) -> IntoIter<U>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Send + 'static,
    U: Send + 'static,
    F: Fn(I::Item) -> U + Send + Sync + 'static,
{
    check(n);
    stage_ordered(ctx, n, source(ctx, items), f).into_iter()
}

/// [`par_map`] with the results in the order in which they are ready.
///
/// ```
/// use gosched::{context::background, pipeline::par_map_unordered};
///
/// gosched::run(|| {
///     let lengths = par_map_unordered(&background(), 4, ["a", "list", "of", "words"], str::len);
///     assert_eq!(lengths.sum::<usize>(), 12);
/// });
/// ```
///
/// # Panics
///
/// As [`stage`](stage()).
#[track_caller]
pub fn par_map_unordered<I, U, F>(ctx: &Context, n: usize, items: I, f: F) -> IntoIter<U>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Send + 'static,
    U: Send + 'static,
    F: Fn(I::Item) -> U + Send + Sync + 'static,
{
    check(n);
    stage(ctx, n, source(ctx, items), f).into_iter()
}

/// Brings many receivers together in one, which ends when all of them have.
///
/// ```
/// use gosched::{context::background, pipeline::{merge, source}};
///
/// gosched::run(|| {
///     let ctx = background();
///     let both = merge(&ctx, [source(&ctx, 0..3), source(&ctx, 10..13)]);
///     assert_eq!(both.iter().sum::<i32>(), 36);
/// });
/// ```
///
/// # Panics
///
/// As [`go`](crate::go) if no goroutine can be started. The first panic from above ends it and reaches the consumer.
///
/// In Go: the fan-in of the blog's article on pipelines.
#[track_caller]
pub fn merge<T: Send + 'static>(ctx: &Context, inputs: impl IntoIterator<Item = Receiver<T>>) -> Receiver<T> {
    let (out, results) = link(ctx, 0);
    for rx in inputs {
        start(out.clone(), move |out| {
            while let Some(item) = out.next(&rx) {
                if !out.send(item) {
                    return;
                }
            }
        });
    }
    results
}

/// Makes one receiver into `n`: each item goes to one of them, to whoever asks first.
///
/// The `n` receivers are of one channel, as clones are; what this adds to cloning is the context, and that the input
/// is let go when all of them have gone. A panic from above is raised in one of them.
///
/// ```
/// use gosched::{context::background, go, pipeline::{fan_out, source}};
///
/// gosched::run(|| {
///     let shares = fan_out(&background(), 3, source(&background(), 1..=100));
///     let sums: Vec<_> = shares.into_iter().map(|rx| go(move || rx.iter().sum::<i32>())).collect();
///     assert_eq!(sums.into_iter().map(|sum| sum.join().unwrap()).sum::<i32>(), 5050);
/// });
/// ```
///
/// # Panics
///
/// As [`go`](crate::go) if no goroutine can be started.
///
/// In Go: several goroutines that receive from one channel.
#[track_caller]
pub fn fan_out<T: Send + 'static>(ctx: &Context, n: usize, rx: Receiver<T>) -> Vec<Receiver<T>> {
    let one = merge(ctx, [rx]);
    std::iter::repeat_n(one, n).collect()
}

/// Makes one receiver into `n`, each of which gets every item.
///
/// The slowest holds the others: no item is received before all have the one before it. The order in which the
/// receivers are asked does not matter. One that is dropped is left out from then on; without any the stage ends.
///
/// ```
/// use gosched::{context::background, go, pipeline::{source, tee}};
///
/// gosched::run(|| {
///     let mut copies = tee(&background(), 2, source(&background(), 1..=10));
///     let (a, b) = (copies.remove(0), copies.remove(0));
///     let sum = go(move || a.iter().sum::<i32>());
///     assert_eq!(b.iter().count(), 10);
///     assert_eq!(sum.join().unwrap(), 55);
/// });
/// ```
///
/// # Panics
///
/// As [`go`](crate::go) if no goroutine can be started. A panic from above, or of `clone`, is raised by the first of
/// the receivers; the others raise its text.
///
/// In Go: nothing; a goroutine with a `select` for each copy.
#[track_caller]
pub fn tee<T: Clone + Send + 'static>(ctx: &Context, n: usize, rx: Receiver<T>) -> Vec<Receiver<T>> {
    let ctx = ctx.clone();
    let (outs, copies): (Vec<_>, Vec<_>) = (0..n).map(|_| chan::bounded(0)).unzip();
    start_many(outs, move |outs| {
        while ctx.err().is_none() {
            let mut operation = pin!(rx.recv_async());
            let received = unless_over(&ctx, all_closed(outs), operation.as_mut());
            let Some(Ok(item)) = wait_for(WaitReason::ChanReceive, pin!(received)) else { return };
            if !send_to_all(&ctx, outs, item) {
                return;
            }
        }
    });
    copies
}

async fn all_closed<T>(outs: &[Sender<T>]) {
    for tx in outs {
        tx.closed_async().await;
    }
}

/// Sends to all that are open, at once. False when the context is done.
fn send_to_all<T: Clone>(ctx: &Context, outs: &[Sender<T>], item: T) -> bool {
    let open: Vec<&Sender<T>> = outs.iter().filter(|tx| !tx.is_closed()).collect();
    let items = std::iter::repeat_n(item, open.len());
    let sends = open.into_iter().zip(items).map(|(tx, item)| Some(Box::pin(tx.send_async(item))));
    let mut sends: Vec<_> = telling(|| sends.collect());
    // Kept until after the wait: users' values are not dropped in a poll.
    let mut rejected = Vec::new();
    let all = poll_fn(|cx| {
        for send in &mut sends {
            if let Some(future) = send
                && let Poll::Ready(result) = future.as_mut().poll(cx)
            {
                rejected.extend(result.err());
                *send = None;
            }
        }
        if sends.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    });
    wait_for(WaitReason::ChanSend, pin!(ctx.wait_async(all))).is_ok()
}

#[track_caller]
fn check(n: usize) {
    assert!(n > 0, "gosched::pipeline: a stage needs at least one goroutine");
}
