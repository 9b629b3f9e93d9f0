//! Limits on how often something may happen: a token bucket, and "only sometimes".
//!
//! ```
//! use gosched::context::background;
//! use gosched::pipeline::rate::{Limit, Limiter};
//!
//! gosched::run(|| {
//!     let limiter = Limiter::new(Limit::per_second(1000.0), 5);
//!     assert!(limiter.allow_n(5)); // the bucket begins full
//!     assert!(!limiter.allow_n(5));
//!     limiter.wait(&background()).unwrap(); // about a millisecond
//! });
//! ```
//!
//! In Go: `golang.org/x/time/rate`.

mod error;
mod sometimes;

pub use error::WaitError;
pub use sometimes::Sometimes;

use crate::clock::now;
use crate::context::{Context, ContextWait};
use crate::sys::global::{Mutex, lock};
use crate::time::{Sleep, sleep_until_async};
use crate::wait::{WaitReason, wait_for};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

/// How many events per second. Zero allows none beyond the burst; [`Limit::INF`] allows all.
///
/// In Go: `rate.Limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Limit(f64);

impl Limit {
    /// No limit: all events are allowed, whatever the burst.
    pub const INF: Limit = Limit(f64::INFINITY);

    /// So many events per second. What is negative, or not a number, counts as zero.
    pub const fn per_second(events: f64) -> Limit {
        Limit(if events > 0.0 { events } else { 0.0 })
    }

    /// One event each `interval`; [`INF`](Limit::INF) if that is zero.
    ///
    /// In Go: `rate.Every`.
    pub fn every(interval: Duration) -> Limit {
        if interval.is_zero() { Limit::INF } else { Limit(1.0 / interval.as_secs_f64()) }
    }

    /// The events per second.
    pub const fn as_per_second(self) -> f64 {
        self.0
    }

    fn is_inf(self) -> bool {
        self.0 == f64::INFINITY
    }

    /// How long it takes to get so many tokens; [`Duration::MAX`] is never.
    fn time_for(self, tokens: f64) -> Duration {
        if self.0 <= 0.0 {
            return Duration::MAX;
        }
        Duration::try_from_secs_f64(tokens / self.0).unwrap_or(Duration::MAX)
    }

    fn tokens_in(self, time: Duration) -> f64 {
        if self.0 <= 0.0 || time.is_zero() { 0.0 } else { time.as_secs_f64() * self.0 }
    }
}

/// A token bucket: it begins full with `burst` tokens, gets `limit` of them per second, and holds at most `burst`.
///
/// Each event takes a token. There are three ways: [`allow`](Limiter::allow) takes it if it is there, now;
/// [`reserve`](Limiter::reserve) takes it in advance and tells when the event may happen; [`wait`](Limiter::wait)
/// waits until then. Reservations are served in the order in which they were made; through them the number of tokens
/// may be negative.
///
/// The methods whose names end in `_at` are given the time. A time before one that was given earlier adds no
/// tokens.
///
/// Share it by reference or in an `Arc`; goroutines and threads may use it at once.
///
/// In Go: `rate.Limiter`.
pub struct Limiter {
    bucket: Mutex<Bucket>,
}

/// A few lines instead of a dependency: ARCHITECTURE.md says why.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Limit,
    burst: usize,
    tokens: f64,
    /// When `tokens` was right.
    last: Option<Instant>,
    /// The latest time that was given to an event, past or to come. `None` is never, or none yet.
    last_event: Option<Instant>,
}

impl Bucket {
    /// The tokens at `now`, and the time that they are right for.
    fn at(&self, now: Instant) -> f64 {
        let elapsed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        (self.tokens + self.limit.tokens_in(elapsed)).min(self.burst as f64)
    }

    fn advance(&mut self, now: Instant) {
        self.tokens = self.at(now);
        // As Go's: a clock that goes back adds nothing, and takes the bucket along, so that it counts on from there.
        self.last = Some(now);
    }

    fn set_limit(&mut self, now: Instant, limit: Limit) {
        self.advance(now);
        self.limit = limit;
    }

    fn set_burst(&mut self, now: Instant, burst: usize) {
        self.advance(now);
        self.burst = burst;
    }

    /// Takes `n` tokens, if they come within `patience`.
    fn reserve(&mut self, now: Instant, n: usize, patience: Duration) -> Option<Granted> {
        if self.limit.is_inf() {
            return Some(Granted { n, at: Some(now), limit: Limit::default() });
        }
        let tokens = self.at(now) - n as f64;
        let delay = if tokens < 0.0 { self.limit.time_for(-tokens) } else { Duration::ZERO };
        if n > self.burst || delay > patience {
            return None;
        }
        let at = now.checked_add(delay);
        (self.last, self.tokens, self.last_event) = (Some(now), tokens, at);
        Some(Granted { n, at, limit: self.limit })
    }

    /// Gives back what of a reservation has not been built upon by later ones.
    fn restore(&mut self, now: Instant, granted: &Granted) {
        // One for which no time could be told was made under a limit of zero: all of it comes back.
        let since = match (self.last_event, granted.at) {
            (_, Some(at)) if at < now => return,
            (Some(last), Some(at)) => last.saturating_duration_since(at),
            _ => Duration::ZERO,
        };
        let tokens = granted.n as f64 - granted.limit.tokens_in(since);
        if self.limit.is_inf() || granted.n == 0 || tokens <= 0.0 {
            return;
        }
        self.advance(now);
        self.tokens = (self.tokens + tokens).min(self.burst as f64);
        if let (Some(at), true) = (granted.at, granted.at == self.last_event) {
            let before = at.checked_sub(granted.limit.time_for(granted.n as f64));
            if before.is_some_and(|before| before >= now) {
                self.last_event = before;
            }
        }
    }
}

/// Tokens that were taken.
#[derive(Clone, Copy, Debug)]
struct Granted {
    n: usize,
    /// When the event may happen; `None` is never.
    at: Option<Instant>,
    limit: Limit,
}

impl Limiter {
    /// A limiter with a full bucket.
    ///
    /// In Go: `rate.NewLimiter`.
    pub const fn new(limit: Limit, burst: usize) -> Self {
        let bucket = Bucket { limit, burst, tokens: burst as f64, last: None, last_event: None };
        Self { bucket: Mutex::new(bucket) }
    }

    /// Whether one event may happen now; if so, a token is taken.
    ///
    /// In Go: `Allow`.
    pub fn allow(&self) -> bool {
        self.allow_n(1)
    }

    /// Whether `n` events may happen now. Takes `n` tokens, or none.
    pub fn allow_n(&self, n: usize) -> bool {
        let mut bucket = lock(&self.bucket);
        // The time is asked for under the lock here and below, so that it does not go back between two callers.
        bucket.reserve(now(), n, Duration::ZERO).is_some()
    }

    /// Whether `n` events may happen at `now`.
    pub fn allow_n_at(&self, now: Instant, n: usize) -> bool {
        lock(&self.bucket).reserve(now, n, Duration::ZERO).is_some()
    }

    /// Takes a token in advance, and tells when the event may happen.
    ///
    /// In Go: `Reserve`.
    pub fn reserve(&self) -> Reservation<'_> {
        self.reserve_n(1)
    }

    /// Takes `n` tokens in advance, and tells when the events may happen.
    ///
    /// ```
    /// use gosched::pipeline::rate::{Limit, Limiter};
    /// use std::time::Duration;
    ///
    /// let limiter = Limiter::new(Limit::per_second(10.0), 5);
    /// assert_eq!(limiter.reserve_n(5).delay(), Duration::ZERO);
    /// let next = limiter.reserve();
    /// assert!(next.delay() <= Duration::from_millis(100));
    /// next.cancel(); // on second thoughts
    /// assert!(!limiter.reserve_n(6).is_ok());
    /// ```
    pub fn reserve_n(&self, n: usize) -> Reservation<'_> {
        let mut bucket = lock(&self.bucket);
        Reservation { limiter: self, granted: bucket.reserve(now(), n, Duration::MAX) }
    }

    /// The same at `now`.
    pub fn reserve_n_at(&self, now: Instant, n: usize) -> Reservation<'_> {
        Reservation { limiter: self, granted: lock(&self.bucket).reserve(now, n, Duration::MAX) }
    }

    /// Waits until one event may happen.
    ///
    /// # Errors
    ///
    /// As [`wait_n`](Limiter::wait_n).
    ///
    /// In Go: `Wait`.
    #[track_caller]
    pub fn wait(&self, ctx: &Context) -> Result<(), WaitError> {
        self.wait_n(ctx, 1)
    }

    /// Waits until `n` events may happen.
    ///
    /// # Errors
    ///
    /// [`ExceedsBurst`](WaitError::ExceedsBurst) and [`ExceedsDeadline`](WaitError::ExceedsDeadline) at once, without
    /// waiting, if `n` tokens never come or come too late for the context's deadline;
    /// [`Context`](WaitError::Context) if the context is done. In none of these are tokens lost.
    ///
    /// In Go: `WaitN`.
    #[track_caller]
    pub fn wait_n(&self, ctx: &Context, n: usize) -> Result<(), WaitError> {
        wait_for(WaitReason::Sleep, pin!(self.wait_n_async(ctx, n)))
    }

    /// The async form of [`wait`](Limiter::wait).
    pub fn wait_async<'a>(&'a self, ctx: &'a Context) -> LimiterWait<'a> {
        self.wait_n_async(ctx, 1)
    }

    /// The async form of [`wait_n`](Limiter::wait_n).
    ///
    /// ```
    /// use gosched::context::background;
    /// use gosched::pipeline::rate::{Limit, Limiter};
    ///
    /// let limiter = Limiter::new(Limit::per_second(1000.0), 1);
    /// gosched::wait(async {
    ///     for _ in 0..3 {
    ///         limiter.wait_n_async(&background(), 1).await.unwrap();
    ///     }
    /// });
    /// ```
    pub fn wait_n_async<'a>(&'a self, ctx: &'a Context, n: usize) -> LimiterWait<'a> {
        LimiterWait { limiter: self, ctx, n, waiting: None }
    }

    /// The tokens that are there now; negative if some were taken in advance.
    pub fn tokens(&self) -> f64 {
        let bucket = lock(&self.bucket);
        bucket.at(now())
    }

    /// The tokens at `now`.
    pub fn tokens_at(&self, now: Instant) -> f64 {
        lock(&self.bucket).at(now)
    }

    /// The limit.
    pub fn limit(&self) -> Limit {
        lock(&self.bucket).limit
    }

    /// How many tokens the bucket holds: the most events that may happen at once.
    pub fn burst(&self) -> usize {
        lock(&self.bucket).burst
    }

    /// Sets another limit. What has come in up to now came at the old one; reservations keep their times.
    pub fn set_limit(&self, limit: Limit) {
        lock(&self.bucket).set_limit(now(), limit);
    }

    /// The same at `now`.
    pub fn set_limit_at(&self, now: Instant, limit: Limit) {
        lock(&self.bucket).set_limit(now, limit);
    }

    /// Sets another burst. Tokens beyond it are lost with the next look at the time.
    pub fn set_burst(&self, burst: usize) {
        lock(&self.bucket).set_burst(now(), burst);
    }

    /// The same at `now`.
    pub fn set_burst_at(&self, now: Instant, burst: usize) {
        lock(&self.bucket).set_burst(now, burst);
    }

    /// Tokens for one who waits under `ctx`.
    fn reserve_for(&self, ctx: &Context, n: usize) -> Result<Granted, WaitError> {
        let mut bucket = lock(&self.bucket);
        let burst = bucket.burst;
        if n > burst && !bucket.limit.is_inf() {
            return Err(WaitError::ExceedsBurst { n, burst });
        }
        drop(bucket);
        if let Some(error) = ctx.err() {
            return Err(WaitError::Context(error));
        }
        let deadline = ctx.deadline();
        bucket = lock(&self.bucket);
        let now = now();
        let patience = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
        bucket.reserve(now, n, patience).ok_or(WaitError::ExceedsDeadline { n })
    }
}

impl Default for Limiter {
    /// One that allows nothing, as Go's zero value.
    fn default() -> Self {
        Self::new(Limit::default(), 0)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = *lock(&self.bucket);
        f.debug_struct("Limiter")
            .field("limit", &bucket.limit)
            .field("burst", &bucket.burst)
            .field("tokens", &bucket.at(now()))
            .finish()
    }
}

/// Tokens that were taken in advance; from [`Limiter::reserve`].
///
/// Dropping it keeps them taken: the event is expected to happen. [`cancel`](Reservation::cancel) gives them back.
///
/// In Go: `rate.Reservation`.
#[derive(Clone, Debug)]
#[must_use = "it tells when the event may happen"]
pub struct Reservation<'a> {
    limiter: &'a Limiter,
    granted: Option<Granted>,
}

impl Reservation<'_> {
    /// Whether tokens were taken: they are not if there are more to take than the bucket holds.
    pub fn is_ok(&self) -> bool {
        self.granted.is_some()
    }

    /// How long to wait until the event may happen; [`Duration::MAX`] is for ever.
    pub fn delay(&self) -> Duration {
        self.delay_from(now())
    }

    /// How long to wait from `now` on.
    pub fn delay_from(&self, now: Instant) -> Duration {
        match self.granted {
            Some(Granted { at: Some(at), .. }) => at.saturating_duration_since(now),
            _ => Duration::MAX,
        }
    }

    /// The event will not happen: gives the tokens back, as far as later reservations were not made on the ground
    /// that they are taken. Does nothing once the event could have happened.
    pub fn cancel(self) {
        self.cancel_at(now());
    }

    /// The same at `now`.
    pub fn cancel_at(self, now: Instant) {
        if let Some(granted) = &self.granted {
            lock(&self.limiter.bucket).restore(now, granted);
        }
    }
}

/// Waits for tokens; from [`Limiter::wait_n_async`].
///
/// # Cancellation
///
/// Dropping it gives the tokens that it waits for back, as [`Reservation::cancel`] does. One that was never polled
/// has taken none.
#[must_use = "a future does nothing until it is polled"]
pub struct LimiterWait<'a> {
    limiter: &'a Limiter,
    ctx: &'a Context,
    n: usize,
    /// In a box, since it need not be made if the tokens are there.
    waiting: Option<(Granted, Pin<Box<ContextWait<'a, Forever>>>)>,
}

impl Future for LimiterWait<'_> {
    type Output = Result<(), WaitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let granted = this.limiter.reserve_for(this.ctx, this.n)?;
            if granted.at.is_some_and(|at| at <= now()) {
                return Poll::Ready(Ok(()));
            }
            let sleep = Forever(granted.at.map(sleep_until_async));
            this.waiting = Some((granted, Box::pin(this.ctx.wait_async(sleep))));
        }
        let (_, waiting) = this.waiting.as_mut().expect("it was just made");
        match ready!(waiting.as_mut().poll(cx)) {
            Ok(()) => {
                this.waiting = None;
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                this.give_back();
                Poll::Ready(Err(WaitError::Context(error)))
            }
        }
    }
}

impl LimiterWait<'_> {
    fn give_back(&mut self) {
        if let Some((granted, waiting)) = self.waiting.take() {
            drop(waiting);
            lock(&self.limiter.bucket).restore(now(), &granted);
        }
    }
}

impl Drop for LimiterWait<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for LimiterWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterWait").field("n", &self.n).finish_non_exhaustive()
    }
}

/// A sleep, or for ever.
struct Forever(Option<Sleep>);

impl Future for Forever {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => Pin::new(sleep).poll(cx),
            None => Poll::Pending,
        }
    }
}
