//! `#[main]` on the functions it is meant for, with a mock of the runtime that records how it was
//! built.

#![deny(warnings)]
#![allow(missing_docs, missing_debug_implementations)]

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::process::{ExitCode, Termination};
use std::task::{Context, Poll, Waker};

thread_local! {
    static BUILT: RefCell<Vec<Builder>> = const { RefCell::new(Vec::new()) };
    static SIGQUIT: Cell<Option<bool>> = const { Cell::new(None) };
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Builder {
    workers: usize,
    stack_size: usize,
    name: String,
    migrate: bool,
    os_threads: bool,
}

impl Builder {
    pub fn workers(self, workers: usize) -> Self {
        Builder { workers, ..self }
    }
    pub fn stack_size(self, stack_size: usize) -> Self {
        Builder { stack_size, ..self }
    }
    pub fn name(self, name: impl Into<String>) -> Self {
        Builder { name: name.into(), ..self }
    }
    pub fn os_threads(self) -> Self {
        Builder { os_threads: true, ..self }
    }
    /// # Safety
    /// It is a mock.
    pub unsafe fn migrate(self) -> Self {
        Builder { migrate: true, ..self }
    }
}

pub struct Runtime;
impl Runtime {
    pub fn builder() -> Builder {
        Builder::default()
    }
}

pub mod debug {
    pub mod __private {
        pub fn handle_sigquit(wanted: bool) {
            super::super::SIGQUIT.set(Some(wanted));
        }
    }
}

pub mod runtime {
    pub mod __private {
        use super::super::*;

        pub fn main<R>(builder: Builder, body: impl FnOnce() -> R) -> R {
            BUILT.with_borrow_mut(|built| built.push(builder));
            body()
        }

        pub fn main_async<F: Future>(builder: Builder, body: F) -> F::Output {
            BUILT.with_borrow_mut(|built| built.push(builder));
            match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => output,
                Poll::Pending => panic!("the mock never waits"),
            }
        }
    }
}

fn built() -> Builder {
    BUILT.with_borrow_mut(|built| built.pop()).expect("a runtime was built")
}

const WORKERS: usize = 3;

#[gosched_macros::main(crate = crate)]
fn nothing() {}

#[gosched_macros::main(crate = "crate", workers = WORKERS + 1, stack_size = 1 << 16, name = format!("{WORKERS}"))]
pub(crate) fn fallible() -> Result<u8, std::num::ParseIntError> {
    let number: u8 = "77".parse()?;
    "x".parse::<u8>()?;
    Ok(number)
}

// SAFETY: nothing migrates in a mock.
#[gosched_macros::main(unsafe(migrate), crate = self, os_threads)]
#[doc = "Kept."]
#[allow(non_snake_case, reason = "to see that attributes are kept")]
fn Terminates() -> impl Termination {
    #![allow(clippy::needless_return)]
    return ExitCode::from(3);
}

#[gosched_macros::main(crate = crate, workers = 1)]
async fn asynchronous() -> Result<String, Box<dyn std::error::Error>> {
    std::future::ready(()).await;
    let number = "5".parse::<u8>()?;
    if number > 5 {
        return Err("large".into());
    }
    Ok(number.to_string())
}

#[test]
fn plain_functions_run_inside_a_runtime() {
    nothing();
    assert_eq!(built(), Builder::default());
    assert!(fallible().is_err());
    let expected = Builder { workers: 4, stack_size: 65536, name: "3".to_owned(), ..Builder::default() };
    assert_eq!(built(), expected);
}

#[test]
fn the_signal_is_handled_unless_the_function_says_otherwise() {
    nothing();
    assert_eq!(SIGQUIT.take(), Some(true));
    #[gosched_macros::main(sigquit = WORKERS > 3, crate = crate)]
    fn leaves_it() {}
    leaves_it();
    assert_eq!(SIGQUIT.take(), Some(false));
}

#[test]
fn whatever_main_returns_comes_out() {
    assert_eq!(format!("{:?}", Terminates().report()), format!("{:?}", ExitCode::from(3)));
    assert_eq!(built(), Builder { migrate: true, os_threads: true, ..Builder::default() });
}

#[test]
fn async_functions_run_inside_a_runtime() {
    assert_eq!(asynchronous().unwrap(), "5");
    assert_eq!(built(), Builder { workers: 1, ..Builder::default() });
}

#[test]
fn calling_the_function_inside_itself_starts_no_second_runtime() {
    #[gosched_macros::main(crate = crate)]
    fn down(/* no arguments */) -> u32 {
        std::thread_local!(static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        DEPTH.set(DEPTH.get() + 1);
        if DEPTH.get() < 4 { down() } else { DEPTH.get() }
    }
    assert_eq!(down(), 4);
    built();
    assert!(BUILT.with_borrow(|built| built.is_empty()));
}
