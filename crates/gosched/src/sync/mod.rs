//! What goroutines share besides channels: locks, condition variables, wait groups, barriers, semaphores, what
//! happens once, pools, maps and atomics.
//!
//! Every type here works between goroutines, plain threads and async tasks of any executor, mixed on one
//! object: a blocking method is `wait` on the future that the `_async` method returns.
//!
//! # Cancellation
//!
//! A blocking method has no way to be told to stop. Where a goroutine may have to give up, use a method with a time
//! limit (`_timeout`, `_deadline`, `_for`, `_until`), or wait for the `_async` form of the method under a context:
//!
//! ```
//! use gosched::context::{ContextError, background};
//! use gosched::sync::Semaphore;
//! use std::time::Duration;
//!
//! let full = Semaphore::new(0);
//! let ctx = background().with_timeout(Duration::from_millis(1));
//! assert_eq!(ctx.wait(full.acquire_async(1)), Err(ContextError::DeadlineExceeded));
//! ```
//!
//! What is lost when a waiting future is dropped, each type says under "Cancellation". As a rule: nothing.

#[cfg(any(not(loom), test))]
mod arriving;
pub mod atomic;
mod barrier;
#[cfg(any(not(loom), test))]
mod raw_mutex;
#[cfg(any(not(loom), test))]
mod raw_once;
#[cfg(any(not(loom), test))]
mod raw_rwlock;
#[cfg(any(not(loom), test))]
mod rw_word;
mod semaphore;
mod waitgroup;

// lock_api wants the initial value as a constant, which loom's atomics cannot give. The models check the
// raw locks themselves.
#[cfg(not(loom))]
mod condvar;
#[cfg(not(loom))]
mod lazy;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod once;
#[cfg(not(loom))]
mod once_cell;
#[cfg(not(loom))]
mod rwlock;

// On papaya, thread numbers and goroutines: nothing that a model could see.
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod pool;
#[cfg(not(loom))]
mod singleflight;

pub use barrier::{Barrier, BarrierWait, BarrierWaitResult};
#[cfg(not(loom))]
pub use condvar::{Condvar, WaitAsync, WaitTimeoutResult};
#[cfg(not(loom))]
pub use lazy::{ForceLazy, LazyLock, once_func, once_value};
#[cfg(not(loom))]
pub use map::Map;
#[cfg(not(loom))]
pub use mutex::{LockAsync, LockFuture, MappedMutexGuard, Mutex, MutexGuard};
#[cfg(not(loom))]
pub use once::{CallOnce, Once};
#[cfg(not(loom))]
pub use once_cell::{GetOrInit, GetOrTryInit, OnceCell};
#[cfg(not(loom))]
pub use pool::{Pool, PoolGuard};
#[cfg(not(loom))]
pub use raw_mutex::RawMutex;
#[cfg(not(loom))]
pub use raw_rwlock::RawRwLock;
#[cfg(not(loom))]
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockAsync, RwLockReadFuture, RwLockReadGuard,
    RwLockWriteFuture, RwLockWriteGuard,
};
pub use semaphore::{Semaphore, SemaphoreFuture, SemaphoreGuard, SemaphoreGuardFuture};
#[cfg(not(loom))]
pub use singleflight::{SingleFlight, SingleFlightFuture};
pub use waitgroup::{WaitGroup, WaitGroupFuture};
