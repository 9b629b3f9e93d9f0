//! The reverse affinity check of debug builds.
//!
//! A goroutine that suspends while a thread-local points into its stack lets the next goroutine on the thread
//! follow that pointer (scoped-tls and its like; rust-lang/unsafe-code-guidelines#602). That is unsound, and no
//! type forbids it. So before each suspension the thread's own TLS block, a few hundred bytes, is scanned for
//! addresses of the stack that is about to suspend, and a hit is a panic that names the goroutine (at once, or at
//! the end of a wait whose stack others use meanwhile: a scope's, a blocking call's).
//!
//! `GOSCHED_AFFINITY_CHECK=0` switches it off, for programs whose thread-locals keep stale pointers they never
//! follow.

use crate::fiber::coro::FiberRef;
use std::sync::OnceLock;

/// Bytes of the executable's TLS segment, which on x86-64 ends at the thread pointer.
fn tls_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        if std::env::var_os("GOSCHED_AFFINITY_CHECK").is_some_and(|value| value == "0") {
            return 0;
        }
        let mut size = 0usize;
        // SAFETY: the callback has the right signature and uses the pointers only while it is called.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut size).cast()) };
        size
    })
}

/// The first object reported is the executable itself.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    out: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader hands out a valid record with `dlpi_phnum` headers, and `out` is ours.
    unsafe {
        let headers = std::slice::from_raw_parts((*info).dlpi_phdr, (*info).dlpi_phnum.into());
        for header in headers.iter().filter(|header| header.p_type == libc::PT_TLS) {
            let align = (header.p_align as usize).max(1);
            *out.cast::<usize>() = (header.p_memsz as usize).next_multiple_of(align);
        }
    }
    1
}

/// Whether a thread-local points into `fiber`'s stack, on which this runs.
pub(super) fn is_pointed_at(fiber: FiberRef) -> bool {
    let words = tls_size() / size_of::<usize>();
    let thread_pointer: usize;
    // SAFETY: on x86-64 the first word of the thread's control block holds its own address.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) thread_pointer, options(nostack, preserves_flags, readonly));
    }
    let end = std::ptr::with_exposed_provenance::<usize>(thread_pointer);
    (1..=words).any(|i| {
        // SAFETY: the executable's TLS block lies right below the thread pointer and is that long. Values that
        // are not pointers are only compared. Volatile: the compiler knows nothing of these words.
        let word = unsafe { end.sub(i).read_volatile() };
        fiber.contains(word)
    })
}
