//! The select macros, as users see them. Each is a shell around one procedural macro, to which it
//! hands its `$crate`: that is how they work when another crate re-exports them.

/// Waits until one of several channel operations can proceed, and performs it.
///
/// ```
/// use gosched::chan::unbounded;
/// use gosched::select;
///
/// let (tx, jobs) = unbounded();
/// let (done, results) = unbounded();
/// tx.send(20).unwrap();
///
/// select! {
///     recv(jobs) -> job => assert_eq!(job, Ok(20)),
///     recv(results) -> result => {
///         let _: Result<(), _> = result;
///         unreachable!("nobody sent a result")
///     }
/// }
/// # drop(done);
/// ```
///
/// # Cases
///
/// - `recv(receiver) -> pattern => body` receives; the pattern gets a `Result<T, RecvError>`.
/// - `send(sender, message) -> pattern => body` sends; the pattern gets a `Result<(), SendError<T>>`.
/// - `default => body` (or `default() => body`) runs when no other case is ready: the select does
///   not wait.
/// - `default(timeout) => body` runs when no other case became ready within a `Duration`.
///
/// A body that is a block needs no comma after it. All bodies have one type, that of the whole
/// expression. `select! {}` without cases waits forever.
///
/// A channel is a `Receiver` or `Sender`, a reference to one, anything that derefs to one, or an
/// `Option` of one, where `None` is never ready.
///
/// An operation is ready when it would not block, also when it would fail because the channel is
/// closed. Readiness is judged at one instant: `default` never runs while some case was ready
/// all the time. Among several ready cases one is chosen at random, each with equal chances;
/// [`select_biased!`](crate::select_biased) takes the first. Exactly one case is ever performed.
///
/// # What is evaluated when
///
/// The channel expressions, each once, in the order of the cases; then the timeout. A message only
/// when its case has been chosen, before the body; the other cases are given up before it is
/// evaluated. What a channel expression creates, such as a guard or `after(…)`, lives until the
/// end of the whole `select!`, as in the head of a `match`. The borrows of the channels
/// themselves end before the body begins, so that a body may set `receiver = None`.
///
/// Messages and bodies are ordinary expressions of the function around: `break`, `continue`,
/// `return` and `?` work. A message that leaves this way, or panics, gives its place in the channel
/// back, and a receiver which already waited for it goes back to the head of its queue.
///
/// ```
/// use gosched::chan::{bounded, tick};
/// use gosched::select;
/// use std::time::Duration;
///
/// fn poll_twice() -> Result<u32, gosched::chan::RecvError> {
///     let (tx, rx) = bounded(1);
///     let ticks = tick(Duration::from_millis(1));
///     let mut sum = 0;
///     loop {
///         select! {
///             recv(rx) -> number => sum += number?,
///             send(tx, if sum == 4 { break } else { 2 }) -> sent => sent.unwrap(),
///             recv(ticks) -> _ => {}
///         }
///     }
///     Ok(sum)
/// }
/// assert_eq!(poll_twice(), Ok(4));
/// ```
///
/// # Panics
///
/// Like every wait: never by itself.
///
/// # Errors at compile time
///
/// Every case of `recv` and `send` names its result, if only by `_`:
///
/// ```compile_fail
/// # let (_tx, rx) = gosched::chan::bounded::<i32>(1);
/// gosched::select! { recv(rx) => {} }
/// ```
///
/// There is one `default` at most:
///
/// ```compile_fail
/// gosched::select! { default => {} default => {} }
/// ```
///
/// The operands are channels, in the right direction:
///
/// ```compile_fail,E0599
/// # let (tx, _rx) = gosched::chan::bounded::<i32>(1);
/// gosched::select! { recv(tx) -> _ => {} }
/// ```
///
/// In Go: `select { case v, ok := <-rx: … }`. There all messages are evaluated up front, and a
/// `break` in a body leaves the select; here it leaves the loop around.
#[macro_export]
macro_rules! select {
    ($($cases:tt)*) => {
        $crate::__select::select_impl! { $crate select $($cases)* }
    };
}

/// [`select!`](crate::select), but among several ready cases it takes the first.
///
/// Use it where order means something: a stop signal before more work.
///
/// ```
/// use gosched::chan::unbounded;
/// use gosched::select_biased;
///
/// let (stop, stopped) = unbounded();
/// let (tx, work) = unbounded();
/// tx.send(1).unwrap();
/// stop.send(()).unwrap();
/// let next = select_biased! {
///     recv(stopped) -> _ => None,
///     recv(work) -> item => item.ok(),
/// };
/// assert_eq!(next, None);
/// ```
///
/// In Go: there is none; nested selects are written instead.
#[macro_export]
macro_rules! select_biased {
    ($($cases:tt)*) => {
        $crate::__select::select_impl! { $crate select_biased $($cases)* }
    };
}

/// [`select!`](crate::select) for `async` code: awaits instead of blocking.
///
/// The syntax and the rules are the same; messages and bodies may `.await`. It runs in tasks of
/// any executor. Dropping the future around it gives up all cases; a value that was already handed
/// to a `recv` case is received by someone else.
///
/// ```
/// use gosched::chan::unbounded;
/// use gosched::select_async;
///
/// let (tx, rx) = unbounded();
/// tx.send(5).unwrap();
/// let value = gosched::wait(async {
///     select_async! {
///         recv(rx) -> value => value.unwrap(),
///         default => 0,
///     }
/// });
/// assert_eq!(value, 5);
/// ```
///
/// In Go: every function may block, so there is only `select`.
#[macro_export]
macro_rules! select_async {
    ($($cases:tt)*) => {
        $crate::__select::select_impl! { $crate select_async $($cases)* }
    };
}

/// [`select_async!`](crate::select_async), but among several ready cases it takes the first, as
/// [`select_biased!`](crate::select_biased) does.
///
/// ```
/// use gosched::chan::unbounded;
/// use gosched::select_async_biased;
///
/// let (tx, rx) = unbounded();
/// tx.send(5).unwrap();
/// let value = gosched::wait(async {
///     select_async_biased! {
///         recv(rx) -> value => value.unwrap(),
///         send(tx, 6) -> _ => 0,
///     }
/// });
/// assert_eq!(value, 5);
/// ```
///
/// In Go: there is none.
#[macro_export]
macro_rules! select_async_biased {
    ($($cases:tt)*) => {
        $crate::__select::select_impl! { $crate select_async_biased $($cases)* }
    };
}
