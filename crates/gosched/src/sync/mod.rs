//! What goroutines share besides channels: locks, condition variables, wait groups.
//!
//! Every type here works between goroutines, plain threads and async tasks of any executor, mixed on one
//! object: a blocking method is `wait` on the future that the `_async` method returns.

pub mod atomic;
#[cfg(any(not(loom), test))]
mod raw_mutex;
#[cfg(any(not(loom), test))]
mod raw_rwlock;
#[cfg(any(not(loom), test))]
mod rw_word;
mod waitgroup;

// lock_api wants the initial value as a constant, which loom's atomics cannot give. The models check the
// raw mutex itself.
#[cfg(not(loom))]
mod condvar;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod rwlock;

#[cfg(not(loom))]
pub use condvar::{Condvar, WaitAsync, WaitTimeoutResult};
#[cfg(not(loom))]
pub use mutex::{LockAsync, LockFuture, MappedMutexGuard, Mutex, MutexGuard};
#[cfg(not(loom))]
pub use raw_mutex::RawMutex;
#[cfg(not(loom))]
pub use raw_rwlock::RawRwLock;
#[cfg(not(loom))]
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockAsync, RwLockReadFuture, RwLockReadGuard,
    RwLockWriteFuture, RwLockWriteGuard,
};
pub use waitgroup::{WaitGroup, WaitGroupFuture};
