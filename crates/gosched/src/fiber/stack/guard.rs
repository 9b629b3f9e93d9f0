//! How the guard below a stack is made: by an advice of newer kernels, or as a forbidden mapping.

use super::exhausted;
use crate::sys::global::{AtomicU32, AtomicUsize, OnceLock, Ordering};
use crate::sys::mem;
use std::io;

/// `GOSCHED_STACK_GUARD=mprotect` forces the fallback, which thus can be tested on any kernel.
const SWITCH: &str = "GOSCHED_STACK_GUARD";

const UNKNOWN: u32 = 0;
const ADVISED: u32 = 1;
const PROTECTED: u32 = 2;

/// The kind in use. It goes from unknown to advised to protected, never back.
static KIND: AtomicU32 = AtomicU32::new(UNKNOWN);
/// Guards that are mappings.
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

fn kind() -> u32 {
    match KIND.load(Ordering::Relaxed) {
        UNKNOWN => {
            let forced = std::env::var_os(SWITCH).is_some_and(|value| value == "mprotect");
            let kind = if forced { PROTECTED } else { ADVISED };
            // Another thread read the same environment, but may have learnt more from the kernel since.
            KIND.fetch_max(kind, Ordering::Relaxed).max(kind)
        }
        kind => kind,
    }
}

/// Makes every access to a range of a fresh slot a fault.
pub(super) fn install(addr: usize, len: usize) -> io::Result<()> {
    if kind() == ADVISED {
        match advise(addr, len) {
            Ok(()) => return Ok(()),
            // This kernel does not know the advice: never ask again.
            Err(error) if is_missing(&error) => KIND.store(PROTECTED, Ordering::Relaxed),
            Err(error) => return Err(exhausted("guard", "", &error)),
        }
    }
    protect(addr, len)
}

fn advise(addr: usize, len: usize) -> io::Result<()> {
    let mut tries = 0;
    loop {
        // SAFETY: the range is the guard of a slot that was not handed out yet.
        match unsafe { mem::install_guard(addr, len) } {
            // A signal came, or the kernel lost a race against itself.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) && tries < 100 => {
                tries += 1;
            }
            result => return result,
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL) || error.kind() == io::ErrorKind::Unsupported
}

fn protect(addr: usize, len: usize) -> io::Result<()> {
    // Counted before it is made, so that many threads together stay below the limit too.
    let full = MAPPINGS.fetch_add(1, Ordering::Relaxed) >= budget();
    let result = if full {
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    } else {
        // SAFETY: the range is the guard of a slot that was not handed out yet.
        unsafe { mem::forbid(addr, len) }
    };
    result.map_err(|error| {
        MAPPINGS.fetch_sub(1, Ordering::Relaxed);
        let why = format!(
            ", and each takes two of the {} memory mappings that vm.max_map_count allows this process \
             (before Linux 6.13; later kernels need none)",
            max_map_count(),
        );
        exhausted("guard", &why, &error)
    })
}

/// How many stacks we let take two mappings each: so many that an eighth is left to the process.
fn budget() -> usize {
    let max = max_map_count();
    (max - max / 8) / 2
}

fn max_map_count() -> usize {
    static READ: OnceLock<usize> = OnceLock::new();
    *READ.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse().unwrap_or(65530)
    })
}
