//! The operating system's memory calls, as far as stacks need them.
//!
//! Thin: one system call each, errors as [`io::Error`], every length in bytes and a multiple of the page.
//! The unsafe ones take memory away or forbid it; what they ask of the caller is that nobody counts on it.

use super::global::{AtomicUsize, Ordering};
use std::io;
use std::ptr::{self, NonNull};

/// Installs guard markers in the page tables of a range (Linux 6.13): as good as `PROT_NONE`, but without
/// a mapping of its own. libc does not name it on all targets yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// The size of a page.
#[inline]
pub(crate) fn page_size() -> usize {
    static CACHED: AtomicUsize = AtomicUsize::new(0);
    match CACHED.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: sysconf reads a number and has no requirement.
            let asked = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let size = usize::try_from(asked).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096);
            CACHED.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

/// Asks the processor for the cache lines of `len` bytes, which need not even be mapped: a hint that changes nothing.
#[inline]
pub(crate) fn prefetch(at: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch accesses nothing; an address it cannot reach is ignored.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, len);
}

/// The next multiple of the page size; saturates at the last one.
#[inline]
pub(crate) fn round_up(len: usize) -> usize {
    let mask = page_size() - 1;
    len.saturating_add(mask) & !mask
}

/// Reserves fresh, zeroed, readable and writable memory that nobody shares. It is committed page by page
/// on first touch and never counted against the overcommit limit before.
pub(crate) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    #[cfg(target_os = "openbsd")]
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_STACK;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "openbsd")))]
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;

    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let addr = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if addr == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(addr.cast()).ok_or_else(|| io::Error::other("the system mapped memory at address zero"))
}

/// Gives a mapping back.
///
/// # Safety
///
/// `[addr, addr + len)` comes from [`reserve`], and nothing uses it any more.
pub(crate) unsafe fn unmap(addr: NonNull<u8>, len: usize) -> io::Result<()> {
    // SAFETY: the caller owns the range and has given up every use of it.
    check(unsafe { libc::munmap(addr.as_ptr().cast(), len) })
}

/// Gives the pages of a range back; they read as zero when touched again. On systems whose advice is only
/// a hint the old content may stay.
///
/// # Safety
///
/// `[addr, addr + len)` lies in memory of [`reserve`], and nobody counts on what is written there.
pub(crate) unsafe fn discard(addr: usize, len: usize) -> io::Result<()> {
    // SAFETY: the caller gives up the content of the range, which is all that this advice changes.
    check(unsafe { libc::madvise(ptr::with_exposed_provenance_mut(addr), len, libc::MADV_DONTNEED) })
}

/// Makes every access to a range a fault, at the price of a memory mapping of its own.
///
/// # Safety
///
/// `[addr, addr + len)` lies in memory of [`reserve`], and nobody uses it.
pub(crate) unsafe fn forbid(addr: usize, len: usize) -> io::Result<()> {
    // SAFETY: nobody uses the range, so nobody notices that it cannot be used.
    check(unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(addr), len, libc::PROT_NONE) })
}

/// Makes every access to a range a fault, without a mapping of its own. Fails with `EINVAL` where the
/// kernel cannot (or the memory is locked), and with `Unsupported` on other systems.
///
/// # Safety
///
/// `[addr, addr + len)` lies in memory of [`reserve`], and nobody uses it.
pub(crate) unsafe fn install_guard(addr: usize, len: usize) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: nobody uses the range, so nobody notices that its content is gone and it cannot be used.
        check(unsafe { libc::madvise(ptr::with_exposed_provenance_mut(addr), len, MADV_GUARD_INSTALL) })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (addr, len);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Keeps huge pages out of a range. Only advice: a system without them has nothing to be told.
pub(crate) fn avoid_huge_pages(addr: NonNull<u8>, len: usize) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: this advice changes how memory is backed and nothing that a program can observe; on a range
    // that is not mapped it fails.
    let _ = unsafe { libc::madvise(addr.as_ptr().cast(), len, libc::MADV_NOHUGEPAGE) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (addr, len);
}

/// Asks for huge pages in a range that will be used densely. Only advice, too.
pub(crate) fn want_huge_pages(addr: NonNull<u8>, len: usize) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: as for `avoid_huge_pages`.
    let _ = unsafe { libc::madvise(addr.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (addr, len);
}

/// How many pages of a range are in memory.
pub(crate) fn resident_pages(addr: usize, len: usize) -> io::Result<usize> {
    let mut pages = vec![0u8; len.div_ceil(page_size())];
    // SAFETY: the kernel only looks at the range, and the vector has a byte for each of its pages.
    check(unsafe { libc::mincore(ptr::with_exposed_provenance_mut(addr), len, pages.as_mut_ptr().cast()) })?;
    Ok(pages.iter().filter(|page| **page & 1 != 0).count())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_memory_is_committed_on_touch_and_discarded_to_zero() {
        let len = 8 * page_size();
        let memory = reserve(len).unwrap();
        let addr = memory.as_ptr().expose_provenance();
        assert_eq!(resident_pages(addr, len).unwrap(), 0);
        // SAFETY: the first byte of a fresh mapping that only this test knows.
        unsafe { memory.as_ptr().write_volatile(7) };
        assert_eq!(resident_pages(addr, len).unwrap(), 1);
        // SAFETY: as above; the content is given up.
        unsafe { discard(addr, len).unwrap() };
        assert_eq!(resident_pages(addr, len).unwrap(), 0);
        // SAFETY: the mapping is still there, and reads as zero.
        assert_eq!(unsafe { memory.as_ptr().read_volatile() }, 0);
        // SAFETY: the mapping ends here.
        unsafe { unmap(memory, len).unwrap() };
        assert!(resident_pages(addr, len).is_err());
    }

    #[test]
    fn a_reservation_beyond_the_address_space_is_an_error() {
        assert!(reserve(usize::MAX & !(page_size() - 1)).is_err());
        assert!(reserve(0).is_err());
    }

    #[test]
    fn round_up_saturates() {
        let page = page_size();
        assert_eq!(round_up(0), 0);
        assert_eq!(round_up(1), page);
        assert_eq!(round_up(page), page);
        assert_eq!(round_up(usize::MAX), usize::MAX & !(page - 1));
    }
}
