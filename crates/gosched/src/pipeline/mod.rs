//! Pipelines: stages of goroutines connected by channels, pools of workers, and limits on rates.
//!
//! A stage is a function that takes [`Receiver`](crate::chan::Receiver)s and returns others. There is no object that
//! holds a pipeline together: stages compose with each other, with plain channels, with `select!`, and with streams.
//!
//! ```
//! use gosched::{context::background, pipeline::{merge, source, stage}};
//!
//! gosched::run(|| {
//!     let ctx = background().with_cancel();
//!     let numbers = source(&ctx, 1..=10);
//!     let squares = stage(&ctx, 4, numbers, |n| n * n);
//!     let cubes = stage(&ctx, 4, source(&ctx, 1..=10), |n| n * n * n);
//!     assert_eq!(merge(&ctx, [squares, cubes]).iter().sum::<i32>(), 385 + 3025);
//! });
//! ```
//!
//! # How stages end
//!
//! Every goroutine of a stage ends, and lets its own inputs go, as soon as
//!
//! - its input has ended,
//! - *its consumer has gone*: the receivers of its output have been dropped,
//! - its context is done ([`background`](crate::context::background) for none), or
//! - its function has panicked.
//!
//! In this way the end of a consumer travels up to the sources, and nothing that was made here can be left behind
//! blocked. Only a function, or an iterator, that is in the middle of its own work is not interrupted: the goroutine
//! ends when it returns.
//!
//! A receiver that has ended does not say why. Whoever passes a context asks it, after the last item, whether what
//! was received is all there was: [`Context::err`](crate::context::Context::err).
//!
//! # Panics in stages
//!
//! A panic of a stage's function closes the stage's output, and *the receive that would have reported the end
//! raises it again*, once: in the next stage, which passes it on, and finally in the consumer, in whatever way that
//! receives. So no consumer mistakes half of a stream for all of it. If nobody receives any more it is printed on
//! standard error. Of several panics the first to come is passed on. (A function that calls [`goexit`](crate::goexit)
//! ends its goroutine without a panic, as in Go: what the consumer sees then is an end like any other.)
//!
//! # Buffers
//!
//! The channels between stages have none: a stage works ahead by one item per goroutine, and no more
//! ([`stage_ordered`] by what it says). This is what keeps a fast source from filling the memory.
//!
//! In Go: the patterns of "Go Concurrency Patterns: Pipelines and cancellation", and `sourcegraph/conc`.

#![forbid(unsafe_code)]

mod each;
mod link;
mod pool;
pub mod rate;
mod stages;

pub use each::{for_each, map};
pub use pool::{
    AsCompleted, InOrder, Job, JobError, PoolBuilder, PoolWait, Stats, SubmitFuture, TrySubmitError,
    WorkerPool,
};
pub use stages::{fan_out, merge, par_map, par_map_unordered, source, stage, stage_ordered, tee};
