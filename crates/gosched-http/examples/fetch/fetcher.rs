//! Fetching one URL: within limits, and once more if that may help.

use crate::args::Arguments;
use crate::urls::Target;
use gosched::context::Context;
use gosched::pipeline::rate::{Limit, Limiter};
use gosched::time::sleep_async;
use gosched_http::Client;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nobody waits longer before a request is repeated.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

pub(crate) struct Fetcher {
    client: Client,
    limiter: Limiter,
    timeout: Duration,
    retries: u32,
    backoff: Duration,
    random: RandomState,
    /// How many URLs were taken up.
    pub(crate) begun: AtomicU64,
}

/// What became of a URL.
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) retries: u32,
    /// Of the last attempt.
    pub(crate) took: Duration,
    pub(crate) result: Result<Answer, Failure>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// Why there is no answer.
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// It may be better the next time.
    may_pass: bool,
}

impl Fetcher {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        // As many connections as there may be requests: one that was used is kept for the next URL of its host.
        let client = Client::builder().max_idle(0).max_idle_per_host(arguments.concurrency).build();
        let limiter = match arguments.rate {
            // What comes in 10 ms may go at once.
            Some(rate) => Limiter::new(Limit::per_second(rate), (rate / 100.0).ceil() as usize),
            None => Limiter::new(Limit::INF, 0),
        };
        Self {
            client,
            limiter,
            timeout: arguments.timeout(),
            retries: arguments.retries,
            backoff: arguments.backoff,
            random: RandomState::new(),
            begun: AtomicU64::new(0),
        }
    }

    /// Fetches what is at a URL; `None` if the context has ended first.
    pub(crate) fn fetch(&self, ctx: &Context, target: Target) -> Option<Page> {
        self.begun.fetch_add(1, Relaxed);
        let url = match target {
            Ok(url) => url,
            Err((name, error)) => {
                let failure = Failure { kind: "unreadable list", text: error.to_string(), may_pass: false };
                return Some(Page { url: name, retries: 0, took: Duration::ZERO, result: Err(failure) });
            }
        };
        let mut retries = 0;
        loop {
            self.limiter.wait(ctx).ok()?;
            let start = Instant::now();
            let result = self.attempt(ctx, &url);
            let took = start.elapsed();
            let again = match &result {
                Ok(answer) => matches!(answer.status, 429 | 500 | 502 | 503 | 504),
                Err(failure) => failure.may_pass,
            };
            if !again || retries == self.retries {
                // What fails because everything ends has not failed.
                return (result.is_ok() || ctx.err().is_none()).then_some(Page {
                    url,
                    retries,
                    took,
                    result,
                });
            }
            ctx.wait(sleep_async(self.rest(retries))).ok()?;
            retries += 1;
        }
    }

    fn attempt(&self, ctx: &Context, url: &str) -> Result<Answer, Failure> {
        let ctx = ctx.with_timeout(self.timeout);
        let mut response = self.client.get(&ctx, url)?;
        let mut bytes = 0;
        while let Some(chunk) = response.body_mut().next_chunk()? {
            bytes += chunk.len() as u64;
        }
        Ok(Answer { status: response.status().as_u16(), bytes })
    }

    /// How long to wait before a request is repeated: twice as long each time, and half of it by chance, so that those who
    /// have failed together do not come again together.
    fn rest(&self, retries: u32) -> Duration {
        let longest = self.backoff.saturating_mul(1 << retries.min(20)).min(LONGEST_BACKOFF);
        let chance = self.random.hash_one(Instant::now()) as f64 / u64::MAX as f64;
        longest.mul_f64(0.5 + 0.5 * chance)
    }
}

impl From<gosched_http::Error> for Failure {
    fn from(error: gosched_http::Error) -> Self {
        let (kind, may_pass) = if error.is_request() {
            ("bad URL", false)
        } else if error.is_timeout() {
            ("timed out", true)
        } else if error.is_connect() {
            ("no connection", true)
        } else {
            ("broken exchange", true)
        };
        Self { kind, text: error.to_string(), may_pass }
    }
}

/// Of reading the body.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::TimedOut { "timed out" } else { "broken exchange" };
        Self { kind, text: error.to_string(), may_pass: true }
    }
}
