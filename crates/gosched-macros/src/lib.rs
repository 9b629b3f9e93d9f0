//! The procedural macros of gosched: what is behind `select!` and its three sisters,
//! `#[gosched::main]` and `#[gosched::test]`.
//!
//! Use them through the `gosched` crate. The select macros of that crate are `macro_rules!` shells
//! which hand their `$crate` to [`select_impl`] here, so that they work under whatever name, and
//! through whatever re-export, a program reaches them.
//!
//! Parsing and expansion are two modules each with plain functions over token streams, tested
//! without a compiler around them.

mod entry;
mod select;

use proc_macro::TokenStream;

/// What the select macros expand to: `select_impl!($crate select …cases…)`.
///
/// The second word is the name of the macro that was called; it decides between blocking and
/// async, fair and biased, and appears in error messages. Not for direct use.
#[doc(hidden)]
#[proc_macro]
pub fn select_impl(input: TokenStream) -> TokenStream {
    select::select(input.into()).into()
}

/// Runs the function inside a gosched runtime: `#[gosched::main] fn main() { … }`.
///
/// The function may be a plain one, whose body becomes the first goroutine, or an `async fn`, whose
/// body becomes the first stackless one. It may return whatever `main` may return. It is usually
/// `main`, but any function without parameters and generics will do: calling it starts a runtime,
/// runs the body and returns its value. Attributes and visibility stay as they are.
///
/// # Arguments
///
/// All are optional, in any order, each at most once:
///
/// - `workers = N`: the number of worker threads;
/// - `stack_size = BYTES`: the default stack size of goroutines;
/// - `name = "…"`: the name of the runtime, with which its threads' names begin;
/// - `sigquit = false`: leave the signal SIGQUIT (Ctrl-\ in a terminal) alone. Otherwise it makes the program print what
///   all its goroutines do and end with code 2, as `gosched::debug::on_sigquit` says;
/// - `os_threads`: every goroutine is an OS thread of its own (for diagnosis);
/// - `unsafe(migrate)`: started goroutines may move between workers. The word `unsafe` is the
///   program's promise to keep the contract of `runtime::Builder::migrate`;
/// - `crate = path`: where the `gosched` crate is, for crates that re-export it.
///
/// `N`, `BYTES`, the name and what `sigquit` is set to are expressions, so constants and function calls work as well.
///
/// In Go: the runtime is part of every program; `func main` is the first goroutine.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::main(arguments.into(), item.into()).into()
}

/// A test that runs inside a gosched runtime of its own: `#[gosched::test] fn works() { … }`.
///
/// The function may be a plain one or an `async fn`, and may return whatever a test may return. It fails as any test
/// does, and also if
///
/// - goroutines of its runtime are left when it has returned (and it has not failed anyway): see
///   `gosched::debug::leak`;
/// - it takes too long: then it prints what all goroutines do and fails, while the rest of it is left behind.
///
/// `#[ignore]`, `#[should_panic]` and other attributes work as with `#[test]`.
///
/// # Arguments
///
/// Those of [`macro@main`] but `sigquit`, and
///
/// - `timeout = DURATION`: how long it may take, a `std::time::Duration`; ten minutes, as with `go test`, if nothing is
///   said;
/// - `leak_check = false`: goroutines may be left.
///
/// The runtime has the test's name if it is given no other.
///
/// In Go: `func TestWorks(t *testing.T)`, with `goleak.VerifyNone`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::test(arguments.into(), item.into()).into()
}
