//! A library built on gosched that passes gosched's macros on, as frameworks do.
//!
//! Its users depend on it alone, so whatever the macros expand to has to find its way by `$crate` (and by the
//! argument `crate` of the attribute). The tests beside this file are such a user. That the name `gosched` means
//! nothing to them is what makes them tests:
//!
//! ```compile_fail,E0433
//! gosched::go(|| ());
//! ```
//!
//! ```
//! gosched_reexport_test::gosched::run(|| gosched_reexport_test::go(|| ()).join().unwrap());
//! ```

/// The whole library under its own name, but not at the root of the crates.
pub use library as gosched;

pub use library::{go, goroutine_local, main, run, select, select_biased};

/// The same one level deeper, and under other names.
pub mod prelude {
    pub use library::chan::{bounded, never};
    pub use library::goroutine_local as per_goroutine;
    pub use library::main as program;
    pub use library::select as choose;
    pub use library::{select_async, select_async_biased, wait};
}
