//! Atomics: those of [`std::sync::atomic`], re-exported.
//!
//! Programs should take them from here: a testing mode that explores interleavings needs to see each access to
//! an atomic, and this is the place where it will come in between. Until then the types *are* std's.
//!
//! Operations of one goroutine on atomics never block it, and `Ordering` means what it means between threads:
//! goroutines are no different, since switching between them orders more, never less.
//!
//! # Example
//!
//! ```
//! use gosched::sync::atomic::{AtomicU64, Ordering};
//!
//! static HITS: AtomicU64 = AtomicU64::new(0);
//! gosched::scope(|s| {
//!     for _ in 0..4 {
//!         s.go(|| HITS.fetch_add(1, Ordering::Relaxed));
//!     }
//! });
//! assert_eq!(HITS.load(Ordering::Relaxed), 4);
//! ```
//!
//! # In Go
//!
//! `sync/atomic`. Its operations are all sequentially consistent: [`Ordering::SeqCst`] says the same here.
//! `Add` there returns the new value and `fetch_add` here the old one; `And`, `Or` and `Swap` return the old one
//! in both. `atomic.Pointer[T]` is [`AtomicPtr`], `atomic.Value` has no counterpart: share a value through
//! [`RwLock`](super::RwLock)`<Arc<T>>`, whose type is checked by the compiler. The functions on plain
//! variables (`AddInt32(&x, 1)`) are [`AtomicI32::from_ptr`] and its kin.
//!
//! A value of another type than the first, at which `atomic.Value` panics, does not compile:
//!
//! ```compile_fail,E0308
//! use gosched::sync::RwLock;
//! use std::sync::Arc;
//!
//! let value = RwLock::new(Arc::new(1_u32));
//! *value.write() = Arc::new("text");
//! ```

pub use std::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8, AtomicU16,
    AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
