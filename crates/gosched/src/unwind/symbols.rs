//! Names for addresses, and which of them to show.

use super::{Backtrace, Frame, SHOWN, Trace, native};
use crate::sys::global::{Mutex, lock};
use std::collections::HashMap;
use std::sync::Arc;

/// Backtraces that are remembered: goroutines of a few kinds are many.
const MOST_TRACES: usize = 1024;
/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 1 << 16;

type Calls = Arc<[Arc<Frame>]>;

#[derive(Default)]
struct Known {
    calls: HashMap<usize, Calls>,
    traces: HashMap<Trace, Arc<Backtrace>>,
    /// The modules this is true of.
    generation: (u64, u64),
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

pub(super) fn backtrace_of(trace: &Trace) -> Arc<Backtrace> {
    let mut known = lock(&KNOWN);
    let known = known.get_or_insert_default();
    let generation = native::generation();
    if known.generation != generation {
        *known = Known { generation, ..Known::default() };
    }
    if let Some(backtrace) = known.traces.get(trace) {
        return backtrace.clone();
    }
    let calls: Vec<Arc<Frame>> =
        trace.addresses.iter().flat_map(|&address| known.calls_at(address).to_vec()).collect();
    let backtrace = Arc::new(arrange(&calls, trace.cut, trace.running));
    if known.traces.len() >= MOST_TRACES {
        known.traces.clear();
    }
    known.traces.insert(trace.clone(), backtrace.clone());
    backtrace
}

impl Known {
    /// What was called at a return address: the innermost inlined function first.
    fn calls_at(&mut self, address: usize) -> Calls {
        if self.calls.len() >= MOST_ADDRESSES {
            self.calls.clear();
        }
        self.calls.entry(address).or_insert_with(|| native::resolve(address).into()).clone()
    }
}

/// The user's calls, and the middle left out.
fn arrange(calls: &[Arc<Frame>], cut: bool, running: bool) -> Backtrace {
    let shown = trimmed(calls, cut, running);
    let elided = shown.len().saturating_sub(2 * SHOWN);
    let (innermost, rest) = if elided == 0 { (shown, &[][..]) } else { shown.split_at(SHOWN) };
    let outermost = rest.get(elided..).unwrap_or_default();
    let library_only = !shown.iter().any(|call| owner(call) == Owner::User);
    Backtrace { innermost: innermost.to_vec(), elided, outermost: outermost.to_vec(), cut, library_only }
}

/// Whose a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    User,
    /// The part of our library that users call.
    Library,
    /// What runs goroutines, and what the standard library has in between.
    Machinery,
}

/// Without what the library has called after the user's last call, and before the goroutine's function. If nothing were
/// left (the library has goroutines of its own), the library's own calls stay; without symbols everything does.
fn trimmed(calls: &[Arc<Frame>], cut: bool, running: bool) -> &[Arc<Frame>] {
    for whose in [&[Owner::User][..], &[Owner::User, Owner::Library]] {
        let is_shown = |call: &Arc<Frame>| whose.contains(&owner(call));
        let Some(first) = calls.iter().position(is_shown) else { continue };
        // What it does just now is to be seen, whoever's code that is.
        let first = if running { 0 } else { first };
        // The outer end of a stack that was cut is not the beginning of the goroutine.
        let last = if cut { calls.len() - 1 } else { calls.iter().rposition(is_shown).unwrap_or(first) };
        return &calls[first..=last];
    }
    calls
}

/// By the function's path; where the program has only line tables, inlined functions have no path, but a file.
fn owner(call: &Frame) -> Owner {
    let by_path = call.function.as_deref().and_then(owner_of_function);
    let by_file = || call.file.as_deref().map_or(Owner::Machinery, owner_of_file);
    by_path.unwrap_or_else(by_file)
}

/// `None` for a name without a path.
fn owner_of_function(function: &str) -> Option<Owner> {
    // The compiler's adapters around closures: the closure has a line of its own.
    if function.starts_with('<') && function.contains(" as core::ops::function::Fn") {
        return Some(Owner::Machinery);
    }
    let path = path_of(function);
    // Without type arguments, which may be anybody's.
    let path = path.split(['<', ' ']).next().unwrap_or_default();
    // What starts a thread, where each goroutine is one.
    if ["start_thread", "clone", "clone3", "__clone", "__clone3"].contains(&path) {
        return Some(Owner::Machinery);
    }
    #[cfg(test)]
    if path.contains("::tests::") {
        return Some(Owner::User);
    }
    let (krate, rest) = path.split_once("::")?;
    Some(owner_of(krate, rest.split("::").next().unwrap_or_default()))
}

fn owner_of(krate: &str, module: &str) -> Owner {
    match (krate, module) {
        ("gosched", "wait" | "fiber" | "task" | "scheduler" | "sys") => Owner::Machinery,
        ("gosched" | "lock_api", _) => Owner::Library,
        ("corosensei" | "core" | "alloc" | "std" | "backtrace", _) => Owner::Machinery,
        _ => Owner::User,
    }
}

/// Where the source of this library lies, as the compiler was told.
fn own_sources() -> &'static str {
    file!().strip_suffix("unwind/symbols.rs").unwrap_or(file!())
}

fn owner_of_file(file: &str) -> Owner {
    // The file's path is that, or ends with it behind the directory of the compilation.
    if let Some(at) = file.rfind(own_sources()) {
        let inside = &file[at + own_sources().len()..];
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        // Of a macro, in another crate, the place where it is called is noted; in its own the macro's.
        #[cfg(test)]
        if inside.ends_with("/tests.rs") || inside.ends_with("/macros.rs") {
            return Owner::User;
        }
        return owner_of("gosched", module);
    }
    if file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/") {
        return Owner::Machinery;
    }
    // `…/corosensei-0.3.4/src/lib.rs`; without the version where it was vendored.
    let krate = |directory: &str| directory.split(['-']).next().unwrap_or_default().to_owned();
    let directory = file.rsplit_once("/src/").map(|(path, _)| path).and_then(|path| path.rsplit('/').next());
    match directory.map(krate).as_deref() {
        Some(krate @ ("corosensei" | "lock_api" | "backtrace")) => owner_of(krate, ""),
        _ => Owner::User,
    }
}

/// The path in `<&mut path::Type as path::Trait>::method`, or the whole of a plain one.
fn path_of(function: &str) -> &str {
    let mut path = function;
    loop {
        let bare = path.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
        let bare = ["mut ", "const ", "dyn "].iter().find_map(|word| bare.strip_prefix(word)).unwrap_or(bare);
        if bare.len() == path.len() {
            break;
        }
        path = bare;
    }
    // `fn(..) -> ..` is a type too.
    if path.starts_with("fn(") { "fn" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &str) -> Arc<Frame> {
        let function = Some(function.into()).filter(|_| !function.is_empty());
        Arc::new(Frame { function, file: None, line: None, column: None, address: 1, offset: None })
    }

    fn shown(functions: &[&str], cut: bool) -> Vec<String> {
        let calls: Vec<_> = functions.iter().map(|function| call(function)).collect();
        trimmed(&calls, cut, false)
            .iter()
            .map(|call| call.function.as_deref().unwrap_or("?").to_owned())
            .collect()
    }

    #[test]
    fn functions_belong_to_their_crate_however_the_compiler_writes_them() {
        for (function, whose) in [
            ("user::work::{{closure}}", Owner::User),
            ("<user::Job as core::future::future::Future>::poll", Owner::User),
            ("<&mut user::Job as std::io::Read>::read", Owner::User),
            ("gosched_http::serve", Owner::User),
            ("gosched::chan::receiver::Receiver<T>::recv", Owner::Library),
            ("<gosched::chan::receiver::Receiver<user::Job>>::recv", Owner::Library),
            ("<lock_api::mutex::Mutex<gosched::sync::raw_mutex::RawMutex, u32>>::lock", Owner::Library),
            ("gosched::wait::block::wait_for::<user::Job>", Owner::Machinery),
            ("gosched::wait::block::wait_for::<gosched::unwind::tests::Job>", Owner::Machinery),
            ("<*const dyn core::any::Any as alloc::borrow::ToOwned>::x", Owner::Machinery),
            ("<user::main::{closure#0} as core::ops::function::FnOnce<()>>::call_once", Owner::Machinery),
            ("<fn(u32) -> u32 as user::Trait>::call", Owner::Machinery),
            ("std::panicking::catch_unwind::do_call", Owner::Machinery),
            ("__rust_try", Owner::Machinery),
            ("start_thread", Owner::Machinery),
            ("backtrace::backtrace::trace", Owner::Machinery),
            ("", Owner::Machinery),
        ] {
            assert_eq!(owner(&call(function)), whose, "{function}");
        }
    }

    #[test]
    fn functions_without_a_path_belong_to_their_file() {
        let of_file = |inside: &str| format!("/home/me/{}{inside}", own_sources());
        let registry = "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        for (file, whose) in [
            (of_file("chan/receiver.rs"), Owner::Library),
            (of_file("lib.rs"), Owner::Library),
            (of_file("wait/block.rs"), Owner::Machinery),
            ("/home/me/user/src/wait/block.rs".into(), Owner::User),
            ("/rustc/59807616e1fa/library/std/src/panic.rs".into(), Owner::Machinery),
            ("/home/me/.rustup/lib/rustlib/src/rust/library/std/src/panic.rs".into(), Owner::Machinery),
            (format!("{registry}/corosensei-0.3.4/src/unwind.rs"), Owner::Machinery),
            (format!("{registry}/lock_api-0.5.0/src/mutex.rs"), Owner::Library),
            (format!("{registry}/backtrace-0.3.77/src/backtrace/mod.rs"), Owner::Machinery),
            (format!("{registry}/serde-1.0.0/src/lib.rs"), Owner::User),
            ("/home/me/vendor/corosensei/src/unwind.rs".into(), Owner::Machinery),
        ] {
            let frame = Frame { file: Some(file.as_str().into()), ..(*call("recv<u8>")).clone() };
            assert_eq!(owner(&frame), whose, "{file}");
            let frame = Frame { function: Some("user::work".into()), ..frame };
            assert_eq!(owner(&frame), Owner::User, "the path counts");
        }
    }

    #[test]
    fn what_is_the_librarys_is_left_out_at_both_ends_only() {
        let calls = [
            "gosched::wait::x",
            "gosched::chan::x",
            "user::a",
            "core::x",
            "gosched::sync::once",
            "user::b",
            "std::x",
            "gosched::task::x",
        ];
        assert_eq!(shown(&calls, false), calls[2..6]);
        // Further calls of the user may follow beyond the cut.
        assert_eq!(shown(&calls, true), calls[2..]);
        // What was interrupted is shown as far as it went.
        let all: Vec<_> = calls.iter().map(|function| call(function)).collect();
        assert_eq!(trimmed(&all, false, true), &all[..6]);
        // A goroutine of the library's own.
        let calls = ["corosensei::x", "gosched::wait::x", "gosched::pipeline::x", "std::x"];
        assert_eq!(shown(&calls, false), calls[2..3]);
        // No symbols.
        assert_eq!(shown(&["", ""], false), ["?", "?"]);
        assert!(shown(&[], false).is_empty());
    }

    #[test]
    fn a_hundred_calls_are_shown_and_the_rest_counted() {
        for (count, elided) in [(0, 0), (1, 0), (99, 0), (100, 0), (101, 1), (250, 150)] {
            let calls: Vec<_> = (0..count).map(|i| call(&format!("user::f{i}"))).collect();
            let backtrace = arrange(&calls, false, false);
            assert_eq!(backtrace.elided, elided);
            let shown: Vec<_> = backtrace.innermost.iter().chain(&backtrace.outermost).cloned().collect();
            assert_eq!(shown.len() + elided, count);
            assert_eq!(shown.first(), calls.first());
            assert_eq!(shown.last(), calls.last());
            assert!(elided == 0 || backtrace.innermost.len() == SHOWN);
        }
    }
}
