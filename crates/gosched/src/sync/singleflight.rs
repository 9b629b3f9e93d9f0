//! `SingleFlight`: many callers who want the same thing at the same time share one run.
//!
//! A run is a [`Call`], found by its key in a [`Map`]. Whoever stores the call runs the function; whoever finds
//! it joins, unless it is over: then it has left the map already, and the newcomer looks again.

use super::map::{Key, Map};
use crate::spawn::Goexit;
use crate::task::panics::uncaught;
use crate::wait::node::WaitNode;
use crate::wait::queue::WaitQueue;
use crate::wait::{At, WaitReason, wait_deadline, wait_for};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Suppresses duplicate work: of all who ask for the same key at the same time, one runs its function, and all
/// get what it returned. Clones share the runs.
///
/// It is no cache: when a run is over its key is forgotten, and the next caller runs its own function. Where
/// the work may fail, let `V` be a `Result`.
///
/// A function that asks for its own key waits for itself, for ever.
///
/// # Panics and `goexit`
///
/// A panic of the function is passed on to whoever ran it, with its payload, and to all who wait, with its text
/// and the place of the call that ran it (a payload cannot be cloned). If the function calls
/// [`goexit`](crate::goexit), all who wait do the same; a waiter on a thread that runs no goroutine panics
/// instead.
///
/// # User code
///
/// `Clone` and `Drop` of `V`, and `Hash` of `K`, run outside of everything. For `Eq` and `Drop` of `K` see
/// [`Map`].
///
/// # Example
///
/// ```
/// use gosched::sync::SingleFlight;
///
/// let pages = SingleFlight::new();
/// let (page, shared) = pages.run("index", || std::fs::read_to_string("index.html").map_err(|e| e.kind()));
/// assert_eq!(page, Err(std::io::ErrorKind::NotFound));
/// assert!(!shared, "nobody else asked");
/// ```
///
/// In Go: `singleflight.Group` of `golang.org/x/sync/singleflight`.
pub struct SingleFlight<K, V> {
    calls: Arc<Map<K, Call<V>>>,
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone() }
    }
}

/// One run.
struct Call<V> {
    /// How many get the result, times `RECEIVER`, and whether nobody may join any more.
    ///
    /// | receivers | `CLOSED` | meaning |
    /// |---|---|---|
    /// | n > 0 | no | the function runs, or is about to |
    /// | n > 0 | yes | it is over and the key is forgotten; `outcome` is there if n > 1, or is about to be |
    word: AtomicUsize,
    /// How many receivers have gone without the result.
    gone: AtomicUsize,
    outcome: OnceLock<Outcome<V>>,
    queue: WaitQueue,
    /// Where the call was made that runs the function.
    at: At,
}

const CLOSED: usize = 1;
const RECEIVER: usize = 2;

/// What became of the function, for those who wait.
enum Outcome<V> {
    Value(V),
    /// It panicked; the text.
    Panicked(String),
    /// It called `goexit`.
    Exited,
    /// It never ran, or was not seen to its end.
    Lost,
}

impl<V> Call<V> {
    /// One that nobody but the caller knows yet.
    fn new(at: At) -> Self {
        Self {
            word: AtomicUsize::new(RECEIVER),
            gone: AtomicUsize::new(0),
            outcome: OnceLock::new(),
            queue: WaitQueue::new(),
            at,
        }
    }

    /// Becomes one more receiver; false if it is over.
    #[must_use]
    fn join(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & CLOSED == 0 {
            // Relaxed: what matters is the outcome, which is published by itself.
            let joined =
                self.word.compare_exchange_weak(word, word + RECEIVER, Ordering::Relaxed, Ordering::Relaxed);
            match joined {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Lets nobody join any more.
    fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// Whether several get the outcome. Final once the call is closed.
    fn is_shared(&self) -> bool {
        // Relaxed: who asks has closed the call, or has seen the outcome, which was published after that.
        self.word.load(Ordering::Relaxed) / RECEIVER > 1
    }

    /// Whether all who would get the outcome have given up. Asked once the call is closed.
    fn is_unwanted(&self) -> bool {
        self.gone.load(Ordering::Relaxed) == self.word.load(Ordering::Relaxed) / RECEIVER
    }

    /// Publishes the outcome and wakes who waits for it.
    fn publish(&self, outcome: Outcome<V>) {
        if let Err(surplus) = self.outcome.set(outcome) {
            drop(surplus);
        }
        // Takes the queue's lock: a waiter that is queueing now sees the outcome under it, or is woken.
        self.queue.notify_all_if(|| true);
    }
}

impl<V: Clone> Call<V> {
    /// What a waiter gets, once the outcome is there.
    fn deliver(&self) -> (V, bool) {
        match self.outcome.get() {
            Some(Outcome::Value(value)) => (value.clone(), self.is_shared()),
            // Without the panic hook, which has told of it when it happened.
            Some(Outcome::Panicked(text)) => {
                resume_unwind(Box::new(format!("{text}, in the SingleFlight call made at {}", self.at)))
            }
            Some(Outcome::Exited) if crate::spawn::current().id() != 0 => crate::spawn::goexit(),
            Some(Outcome::Exited) => {
                panic!("the function of the SingleFlight call made at {} called goexit", self.at)
            }
            Some(Outcome::Lost) | None => {
                panic!("the function of the SingleFlight call made at {} did not run to its end", self.at)
            }
        }
    }
}

/// Whoever is to run the function. If it is dropped without having done so, the waiters hear of it.
struct Leader<K: Eq + Hash, V> {
    calls: Arc<Map<K, Call<V>>>,
    key: Key<K>,
    call: Arc<Call<V>>,
    /// The key is forgotten and nobody can join any more.
    over: bool,
}

impl<K: Eq + Hash, V: Clone> Leader<K, V> {
    /// Runs the function for a caller who is a receiver.
    fn run(mut self, f: impl FnOnce() -> V) -> (V, bool) {
        match self.run_caught(f) {
            Ok(value) => {
                if !self.call.is_shared() {
                    return (value, false);
                }
                self.call.publish(Outcome::Value(value.clone()));
                (value, true)
            }
            Err(payload) => {
                self.call.publish(outcome_of(&*payload));
                resume_unwind(payload);
            }
        }
    }

    /// Runs it in a goroutine of its own.
    fn run_apart(mut self, f: impl FnOnce() -> V) {
        match self.run_caught(f) {
            Ok(value) => self.call.publish(Outcome::Value(value)),
            // With nobody there to hear of it, the goroutine's own report tells.
            Err(payload) if self.call.is_unwanted() => resume_unwind(payload),
            Err(payload) => {
                uncaught(&*payload);
                self.call.publish(outcome_of(&*payload));
            }
        }
    }

    /// Runs it and forgets the key.
    fn run_caught(&mut self, f: impl FnOnce() -> V) -> std::thread::Result<V> {
        // What `f` shared follows the rules of `Send`, as in `thread::spawn`: no broken value comes back to us.
        let result = catch_unwind(AssertUnwindSafe(f));
        self.end();
        result
    }
}

impl<K: Eq + Hash, V> Leader<K, V> {
    /// Forgets the key, then closes the call: who finds it closed and looks again does not find it again.
    fn end(&mut self) {
        // Only the call itself: after a `forget` the key may belong to a newer one.
        self.calls.delete_shared(&self.key, &self.call);
        self.call.close();
        self.over = true;
    }
}

impl<K: Eq + Hash, V> Drop for Leader<K, V> {
    fn drop(&mut self) {
        if !self.over {
            self.end();
        }
        // Also if cloning the value has panicked. Without waiters nobody looks at it.
        if self.call.outcome.get().is_none() {
            self.call.publish(Outcome::Lost);
        }
    }
}

fn outcome_of<V>(payload: &(dyn Any + Send)) -> Outcome<V> {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ if payload.is::<Goexit>() => return Outcome::Exited,
        _ => "a panic with a value that is not a text".to_owned(),
    };
    Outcome::Panicked(text)
}

/// What a newcomer finds.
enum Role<K: Eq + Hash, V> {
    Leader(Leader<K, V>),
    Waiter(Arc<Call<V>>),
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    /// One with nothing under way.
    pub fn new() -> Self {
        Self { calls: Arc::new(Map::new()) }
    }

    /// Lets the next caller for `key` run its function, also if one is under way: that one ends as it would,
    /// for those who wait for it.
    ///
    /// ```
    /// use gosched::sync::SingleFlight;
    ///
    /// let pages = SingleFlight::new();
    /// let (page, _) = pages.run("index", || {
    ///     // From now on others do not wait for this run any more.
    ///     pages.forget("index");
    ///     assert_eq!(pages.run("index", || "new"), ("new", false));
    ///     "old"
    /// });
    /// assert_eq!(page, "old");
    /// ```
    ///
    /// In Go: `Forget`.
    pub fn forget<Q>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.calls.delete(key);
    }

    fn enter(&self, key: &Key<K>, at: At) -> Role<K, V> {
        loop {
            if let Some(call) = self.calls.load_shared(key) {
                if call.join() {
                    return Role::Waiter(call);
                }
                // It is over, and left the map before that: look again.
                continue;
            }
            let call = Arc::new(Call::new(at));
            match self.calls.load_or_store_shared(key, &call) {
                Some(other) if other.join() => return Role::Waiter(other),
                Some(_) => {}
                None => {
                    let calls = self.calls.clone();
                    return Role::Leader(Leader { calls, key: key.clone(), call, over: false });
                }
            }
        }
    }
}

impl<K: Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// Runs `f`, or waits for the run of the same key that is under way. Returns what that run returned, and
    /// whether several callers got it.
    ///
    /// `f` runs on the caller's own stack, and may borrow from it.
    ///
    /// # Panics
    ///
    /// With what the run panics with; see the type.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(group.run_async(key, f))` can.
    ///
    /// ```
    /// let squares = gosched::sync::SingleFlight::new();
    /// assert_eq!(squares.run(7, || 49), (49, false));
    /// ```
    ///
    /// In Go: `Do`.
    #[track_caller]
    pub fn run(&self, key: K, f: impl FnOnce() -> V) -> (V, bool) {
        match self.enter(&self.calls.key(key), Location::caller()) {
            Role::Leader(leader) => leader.run(f),
            Role::Waiter(call) => {
                let waiting = pin!(Outcomes { call: &call, node: WaitNode::new() });
                wait_for(WaitReason::SingleFlightWait, waiting);
                call.deliver()
            }
        }
    }

    /// [`run`](SingleFlight::run) for at most `timeout`: `None` if the run has not ended by then. It goes on, for
    /// others may wait for it; so `f`, if it comes to it, runs in a goroutine of its own, as that of
    /// [`run_async`](SingleFlight::run_async) does. A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use gosched::sync::SingleFlight;
    /// use gosched::time::sleep;
    /// use std::time::Duration;
    ///
    /// let flight = SingleFlight::new();
    /// let slow = || sleep(Duration::from_millis(50));
    /// assert_eq!(flight.run_timeout("key", slow, Duration::from_millis(1)), None);
    /// let ((), shared) = flight.run("key", || ()); // joins the run that goes on
    /// assert!(shared);
    /// ```
    ///
    /// # Panics
    ///
    /// With what the run panics with; see the type. If no goroutine can be started, as [`go`](crate::go).
    ///
    /// In Go: `DoChan` and a select with `time.After`.
    #[track_caller]
    pub fn run_timeout<F>(&self, key: K, f: F, timeout: Duration) -> Option<(V, bool)>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        F: FnOnce() -> V + Send + 'static,
    {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.run_deadline(key, f, deadline),
            None => Some(wait_for(WaitReason::SingleFlightWait, pin!(self.run_async(key, f)))),
        }
    }

    /// [`run_timeout`](SingleFlight::run_timeout) with a point in time.
    ///
    /// # Panics
    ///
    /// As [`run_timeout`](SingleFlight::run_timeout).
    #[track_caller]
    pub fn run_deadline<F>(&self, key: K, f: F, deadline: Instant) -> Option<(V, bool)>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        F: FnOnce() -> V + Send + 'static,
    {
        wait_deadline(WaitReason::SingleFlightWait, pin!(self.run_async(key, f)), deadline)
    }

    /// The async form of [`run`](SingleFlight::run). The run that is under way is joined at the first poll; if
    /// there is none, a goroutine is started that runs `f`.
    ///
    /// # Cancellation
    ///
    /// Dropped before the first poll, the future has done nothing. Dropped later, it stops waiting: the run goes
    /// on to its end, for others may wait for it.
    ///
    /// ```
    /// use gosched::sync::SingleFlight;
    ///
    /// let squares = SingleFlight::new();
    /// gosched::run(move || {
    ///     assert_eq!(gosched::wait(squares.run_async(7, || 49)), (49, false));
    /// });
    /// ```
    ///
    /// In Go: `DoChan`.
    #[track_caller]
    pub fn run_async<F>(&self, key: K, f: F) -> SingleFlightFuture<K, V, F>
    where
        F: FnOnce() -> V + Send + 'static,
    {
        SingleFlightFuture {
            flights: self.clone(),
            at: Location::caller(),
            start: Some((key, f)),
            call: None,
            node: WaitNode::new(),
        }
    }
}

impl<K: Eq + Hash, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

/// Polls for a call's outcome with a node of its own.
///
/// # Safety
///
/// As [`WaitQueue::poll`].
unsafe fn poll_outcome<V>(call: &Call<V>, node: Pin<&WaitNode>, cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: passed on from our caller. Under the queue's lock an atomic is read.
    unsafe { call.queue.poll(node, cx, || call.outcome.get().is_none()) }.map(drop)
}

/// Ready when a call's outcome is there.
struct Outcomes<'c, V> {
    call: &'c Call<V>,
    node: WaitNode,
}

impl<V> Future for Outcomes<'_, V> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the node is ours, pinned with us, used with this queue only, and `Drop` takes it out.
        unsafe { poll_outcome(self.call, Pin::new_unchecked(&self.node), cx) }
    }
}

impl<V> Drop for Outcomes<'_, V> {
    fn drop(&mut self) {
        // SAFETY: as in `poll`. What was signalled was for all, so nothing is passed on.
        unsafe { self.call.queue.cancel(Pin::new_unchecked(&self.node)) };
    }
}

/// Waits for a run of a [`SingleFlight`]; from [`SingleFlight::run_async`]. Its output is that of
/// [`run`](SingleFlight::run).
///
/// # Cancellation
///
/// Dropped before the first poll, it has done nothing. Dropped later, it stops waiting, and the run goes on to
/// its end.
///
/// # Example
///
/// ```
/// use gosched::{chan, sync::SingleFlight, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let (release, hold) = chan::bounded::<()>(0);
/// let slow = SingleFlight::new();
/// let run = slow.run_async("report", move || hold.recv().is_err());
/// assert!(matches!(timeout(Duration::from_millis(1), run), Err(Elapsed)));
/// drop(release); // it goes on, whether somebody waits or not
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct SingleFlightFuture<K, V, F> {
    flights: SingleFlight<K, V>,
    at: At,
    /// Until the first poll.
    start: Option<(K, F)>,
    /// From the first poll until it is ready.
    call: Option<Arc<Call<V>>>,
    /// In the queue of `call`.
    node: WaitNode,
}

impl<K, V, F> Future for SingleFlightFuture<K, V, F>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    F: FnOnce() -> V + Send + 'static,
{
    type Output = (V, bool);

    /// # Panics
    ///
    /// With what the run panics with, when no goroutine can be started, and when polled again after it was
    /// ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(V, bool)> {
        // SAFETY: the node is not moved; the rest does not care.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some((key, f)) = this.start.take() {
            let call = match this.flights.enter(&this.flights.calls.key(key), this.at) {
                Role::Waiter(call) => call,
                Role::Leader(leader) => {
                    let call = leader.call.clone();
                    this.call = Some(call.clone());
                    // If it is dropped unrun, with its runtime, the leader says so.
                    crate::spawn::go_at(this.at, move || leader.run_apart(f));
                    call
                }
            };
            this.call = Some(call);
        }
        let call = this.call.as_ref().expect("a SingleFlightFuture was polled after it was ready");
        // SAFETY: the node is ours, pinned with us, used with this call's queue only, and `Drop` takes it out.
        let polled = unsafe { poll_outcome(call, Pin::new_unchecked(&this.node), cx) };
        if polled.is_pending() {
            return Poll::Pending;
        }
        // The node has left the queue.
        let call = this.call.take().expect("it was there just now");
        Poll::Ready(call.deliver())
    }
}

impl<K, V, F> Drop for SingleFlightFuture<K, V, F> {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            // SAFETY: as in `poll`.
            unsafe { call.queue.cancel(Pin::new_unchecked(&self.node)) };
            call.gone.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<K, V, F> fmt::Debug for SingleFlightFuture<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlightFuture").field("node", &self.node).finish_non_exhaustive()
    }
}
