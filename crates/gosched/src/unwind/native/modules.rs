//! The unwinding tables of the program and its libraries, where the loader has put them.

use framehop::{ExplicitModuleSectionInfo, Module};
use libc::{c_int, c_void, dl_phdr_info, size_t};
use std::borrow::Cow;
use std::ops::Range;

/// A table. The program itself is never unloaded, so its tables are used where they lie; a library may be unloaded at
/// any time, so of its tables there are copies, made while the loader holds its lock.
pub(super) type Bytes = Cow<'static, [u8]>;

/// How many modules have been loaded and unloaded so far: when this changes, others lie in memory.
pub(in crate::unwind) fn generation() -> (u64, u64) {
    unsafe extern "C" fn first(info: *mut dl_phdr_info, size: size_t, out: *mut c_void) -> c_int {
        if size >= std::mem::offset_of!(dl_phdr_info, dlpi_subs) + size_of::<u64>() {
            // SAFETY: the loader hands out a record of that size, and `out` is ours.
            unsafe { *out.cast::<(u64, u64)>() = ((*info).dlpi_adds, (*info).dlpi_subs) };
        }
        1
    }
    let mut generation = (0u64, 0u64);
    // SAFETY: the callback has the right signature and uses the pointers only while it is called.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut generation).cast()) };
    generation
}

/// The modules that are loaded now.
pub(super) fn load() -> Vec<Module<Bytes>> {
    unsafe extern "C" fn each(info: *mut dl_phdr_info, _size: size_t, out: *mut c_void) -> c_int {
        // SAFETY: `out` is the vector below, and the loader's record is valid while we are called.
        let (modules, info) = unsafe { (&mut *out.cast::<Vec<Option<Module<Bytes>>>>(), &*info) };
        // The first one reported is the program itself.
        let stays = modules.is_empty();
        // SAFETY: the record is the loader's, and it holds its lock: nothing is unloaded meanwhile.
        modules.push(unsafe { describe(info, stays) });
        0
    }
    let mut modules: Vec<Option<Module<Bytes>>> = Vec::new();
    // SAFETY: as in `generation`.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut modules).cast()) };
    modules.into_iter().flatten().collect()
}

/// A module, if it has an index of its unwinding table.
///
/// # Safety
///
/// `info` is the loader's, for a module that stays mapped while this runs; for ever if it `stays`.
unsafe fn describe(info: &dl_phdr_info, stays: bool) -> Option<Module<Bytes>> {
    // SAFETY: by the loader's contract.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let range_of = |header: &libc::Elf64_Phdr| {
        let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
        start..start.wrapping_add(header.p_memsz)
    };
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let index = range_of(headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?);
    let start = loaded().map(|header| range_of(header).start).min()?;
    let end = loaded().map(|header| range_of(header).end).max()?;
    // The header of the index: a version, how three things are written, and the first of them: where the table begins.
    // SAFETY: the loader has mapped the index.
    let head = unsafe { bytes(index.clone()) }.get(..8)?;
    const RELATIVE_TO_HERE_32: u8 = 0x1b;
    if head[0] != 1 || head[1] != RELATIVE_TO_HERE_32 {
        return None;
    }
    let distance = i32::from_ne_bytes(head[4..8].try_into().ok()?);
    let table = index.start.wrapping_add(4).wrapping_add_signed(distance.into());
    // Its length is written nowhere; it ends by itself, within its segment.
    let segment = loaded().map(range_of).find(|segment| segment.contains(&table))?;
    let table = table..segment.end;
    let own = |range: Range<u64>| {
        // SAFETY: both lie in segments of the module, which are mapped and never written.
        let bytes = unsafe { bytes(range) };
        if stays { Cow::Borrowed(bytes) } else { Cow::Owned(bytes.to_vec()) }
    };
    // Addresses as they are in memory throughout.
    let sections = ExplicitModuleSectionInfo {
        base_svma: start,
        text_svma: Some(start..end),
        eh_frame_svma: Some(table.clone()),
        eh_frame: Some(own(table)),
        eh_frame_hdr_svma: Some(index.clone()),
        eh_frame_hdr: Some(own(index)),
        ..Default::default()
    };
    Some(Module::new(String::new(), start..end, start, sections))
}

/// The memory of a range of addresses.
///
/// # Safety
///
/// It is mapped and constant for as long as the slice is used.
unsafe fn bytes<'a>(range: Range<u64>) -> &'a [u8] {
    let start = std::ptr::with_exposed_provenance::<u8>(range.start as usize);
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(start, (range.end - range.start) as usize) }
}
