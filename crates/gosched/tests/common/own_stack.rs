//! Stacks that are not ours.

use corosensei::stack::{Stack, StackPointer};
use std::num::NonZeroUsize;

/// Memory for a coroutine of the user's, never given back.
pub(crate) struct OwnStack(usize);

const SIZE: usize = 256 << 10;

impl OwnStack {
    pub(crate) fn new() -> Self {
        // SAFETY: a new mapping, of which nobody knows yet.
        let low = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let low = libc::mmap(std::ptr::null_mut(), SIZE, access, flags, -1, 0);
            assert_ne!(low, libc::MAP_FAILED);
            // Its guard.
            assert_eq!(libc::mprotect(low, 64 << 10, libc::PROT_NONE), 0);
            low
        };
        Self(low.expose_provenance())
    }
}

// SAFETY: the mapping is page-aligned, ends in a guard, and has more room than the least there may be.
unsafe impl Stack for OwnStack {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.0 + SIZE).unwrap()
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.0).unwrap()
    }
}
