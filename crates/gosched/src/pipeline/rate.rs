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
mod reservation;
mod sometimes;

pub use error::WaitError;
pub use reservation::Reservation;
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
/// ```
/// use gosched::pipeline::rate::Limit;
/// use std::time::Duration;
///
/// assert_eq!(Limit::every(Duration::from_millis(100)), Limit::per_second(10.0));
/// assert!(Limit::per_second(10.0) < Limit::INF);
/// ```
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
/// The time is that of [`time::now`](crate::time::now), by which its waits sleep, too; the methods whose names end in
/// `_at` are given it. A time before one that was given earlier adds no tokens.
///
/// Share it by reference or in an `Arc`; goroutines and threads may use it at once.
///
/// # Cancellation
///
/// A wait that is given up, because its context is done or its future dropped, gives the tokens back that it
/// waited for.
///
/// # Example
///
/// ```
/// use gosched::pipeline::rate::{Limit, Limiter};
/// use std::sync::Arc;
///
/// let limiter = Arc::new(Limiter::new(Limit::per_second(0.0), 2));
/// let passed = (0..5).filter(|_| limiter.allow()).count();
/// assert_eq!(passed, 2, "the burst, and no more comes");
/// ```
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
    /// ```
    /// use gosched::pipeline::rate::{Limit, Limiter};
    ///
    /// let limiter = Limiter::new(Limit::per_second(0.0), 1);
    /// assert!(limiter.allow());
    /// assert!(!limiter.allow());
    /// ```
    ///
    /// In Go: `Allow`.
    pub fn allow(&self) -> bool {
        self.allow_n(1)
    }

    /// Whether `n` events may happen now. Takes `n` tokens, or none.
    ///
    /// In Go: `AllowN` with the time of now.
    pub fn allow_n(&self, n: usize) -> bool {
        let mut bucket = lock(&self.bucket);
        // The time is asked for under the lock here and below, so that it does not go back between two callers.
        bucket.reserve(now(), n, Duration::ZERO).is_some()
    }

    /// Whether `n` events may happen at `now`.
    ///
    /// ```
    /// use gosched::{pipeline::rate::{Limit, Limiter}, time::now};
    /// use std::time::Duration;
    ///
    /// let (limiter, start) = (Limiter::new(Limit::per_second(10.0), 2), now());
    /// assert!(limiter.allow_n_at(start, 2));
    /// assert!(!limiter.allow_n_at(start, 1));
    /// assert!(limiter.allow_n_at(start + Duration::from_millis(100), 1));
    /// ```
    ///
    /// In Go: `AllowN`.
    pub fn allow_n_at(&self, now: Instant, n: usize) -> bool {
        lock(&self.bucket).reserve(now, n, Duration::ZERO).is_some()
    }

    /// Takes a token in advance, and tells when the event may happen.
    ///
    /// ```
    /// use gosched::pipeline::rate::{Limit, Limiter};
    ///
    /// let limiter = Limiter::new(Limit::per_second(1000.0), 1);
    /// for _ in 0..3 {
    ///     gosched::time::sleep(limiter.reserve().delay());
    /// }
    /// ```
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
    ///
    /// In Go: `ReserveN` with the time of now.
    pub fn reserve_n(&self, n: usize) -> Reservation<'_> {
        let mut bucket = lock(&self.bucket);
        Reservation { limiter: self, granted: bucket.reserve(now(), n, Duration::MAX) }
    }

    /// The same at `now`.
    ///
    /// In Go: `ReserveN`.
    pub fn reserve_n_at(&self, now: Instant, n: usize) -> Reservation<'_> {
        Reservation { limiter: self, granted: lock(&self.bucket).reserve(now, n, Duration::MAX) }
    }

    /// Waits until one event may happen.
    ///
    /// # Errors
    ///
    /// As [`wait_n`](Limiter::wait_n).
    ///
    /// # Cancellation
    ///
    /// By the context.
    ///
    /// ```
    /// use gosched::context::{ContextError, background};
    /// use gosched::pipeline::rate::{Limit, Limiter, WaitError};
    ///
    /// let limiter = Limiter::new(Limit::per_second(1.0), 1);
    /// let ctx = background().with_cancel();
    /// assert!(limiter.wait(&ctx).is_ok());
    /// ctx.cancel();
    /// assert_eq!(limiter.wait(&ctx), Err(WaitError::Context(ContextError::Canceled)));
    /// ```
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
    /// # Cancellation
    ///
    /// By the context.
    ///
    /// ```
    /// use gosched::context::background;
    /// use gosched::pipeline::rate::{Limit, Limiter, WaitError};
    ///
    /// let limiter = Limiter::new(Limit::per_second(1000.0), 5);
    /// assert!(limiter.wait_n(&background(), 5).is_ok());
    /// assert_eq!(limiter.wait_n(&background(), 6), Err(WaitError::ExceedsBurst { n: 6, burst: 5 }));
    /// ```
    ///
    /// In Go: `WaitN`.
    #[track_caller]
    pub fn wait_n(&self, ctx: &Context, n: usize) -> Result<(), WaitError> {
        wait_for(WaitReason::Sleep, pin!(self.wait_n_async(ctx, n)))
    }

    /// The async form of [`wait`](Limiter::wait).
    ///
    /// In Go: nothing; `Wait` blocks.
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
    ///
    /// In Go: `Tokens`.
    pub fn tokens(&self) -> f64 {
        let bucket = lock(&self.bucket);
        bucket.at(now())
    }

    /// The tokens at `now`.
    ///
    /// In Go: `TokensAt`.
    pub fn tokens_at(&self, now: Instant) -> f64 {
        lock(&self.bucket).at(now)
    }

    /// The limit.
    ///
    /// In Go: `Limit`.
    pub fn limit(&self) -> Limit {
        lock(&self.bucket).limit
    }

    /// How many tokens the bucket holds: the most events that may happen at once.
    ///
    /// In Go: `Burst`.
    pub fn burst(&self) -> usize {
        lock(&self.bucket).burst
    }

    /// Sets another limit. What has come in up to now came at the old one; reservations keep their times.
    ///
    /// ```
    /// use gosched::pipeline::rate::{Limit, Limiter};
    ///
    /// let limiter = Limiter::new(Limit::per_second(0.0), 0);
    /// assert!(!limiter.allow());
    /// limiter.set_limit(Limit::INF);
    /// assert!(limiter.allow());
    /// ```
    ///
    /// In Go: `SetLimit`.
    pub fn set_limit(&self, limit: Limit) {
        lock(&self.bucket).set_limit(now(), limit);
    }

    /// The same at `now`.
    ///
    /// In Go: `SetLimitAt`.
    pub fn set_limit_at(&self, now: Instant, limit: Limit) {
        lock(&self.bucket).set_limit(now, limit);
    }

    /// Sets another burst. Tokens beyond it are lost with the next look at the time.
    ///
    /// In Go: `SetBurst`.
    pub fn set_burst(&self, burst: usize) {
        lock(&self.bucket).set_burst(now(), burst);
    }

    /// The same at `now`.
    ///
    /// In Go: `SetBurstAt`.
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

/// Waits for tokens; from [`Limiter::wait_n_async`].
///
/// # Cancellation
///
/// Dropping it gives the tokens that it waits for back, as [`Reservation::cancel`] does. One that was never polled
/// has taken none.
///
/// # Example
///
/// ```
/// use gosched::{context::background, time::{Elapsed, timeout}};
/// use gosched::pipeline::rate::{Limit, Limiter};
/// use std::time::Duration;
///
/// let hourly = Limit::every(Duration::from_secs(3600));
/// let (limiter, ctx) = (Limiter::new(hourly, 1), background());
/// assert!(limiter.allow());
/// assert!(matches!(timeout(Duration::from_millis(1), limiter.wait_async(&ctx)), Err(Elapsed)));
/// assert!(limiter.tokens() >= 0.0, "what it waited for has been given back");
/// ```
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
