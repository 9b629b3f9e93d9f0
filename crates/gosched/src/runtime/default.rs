//! The process-wide default runtime.

use super::{Builder, Runtime};
use crate::sys::global::{Mutex, OnceLock, lock};
use crate::task::Schedule;
use std::io;
use std::sync::Arc;

static DEFAULT: OnceLock<Runtime> = OnceLock::new();
static BUILDING: Mutex<()> = Mutex::new(());

fn get_or_build(builder: impl FnOnce() -> Builder) -> io::Result<(&'static Runtime, bool)> {
    if let Some(runtime) = DEFAULT.get() {
        return Ok((runtime, false));
    }
    let _building = lock(&BUILDING);
    if let Some(runtime) = DEFAULT.get() {
        return Ok((runtime, false));
    }
    let runtime = builder().build()?;
    Ok((DEFAULT.get_or_init(|| runtime), true))
}

pub(super) fn build(builder: Builder) -> io::Result<()> {
    match get_or_build(|| builder)? {
        (_, true) => Ok(()),
        (_, false) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a default runtime already; build it before the first goroutine is started on a thread of no runtime",
        )),
    }
}

/// The upper end of `spawn::target::default_runtime`, which says why it is found by the linker.
// SAFETY: the name carries the library's version, and the signature is the one declared there.
#[unsafe(export_name = concat!("gosched_default_runtime_", env!("CARGO_PKG_VERSION")))]
fn default_runtime() -> io::Result<Arc<dyn Schedule>> {
    let (runtime, _) = get_or_build(Runtime::builder)?;
    Ok(runtime.shared.keep())
}
