//! Stacks for coroutines: where they come from, how they are guarded, what they give back.
//!
//! ```text
//! slab (64 MiB of address space, never unmapped)
//! +--------+---------+-----------------+---------+-----------------+--
//! | header | guard 0 | stack 0         | guard 1 | stack 1         | ...
//! +--------+---------+-----------------+---------+-----------------+--
//!                    ^limit         top^                      grows <-
//! ```
//!
//! - A stack of size class S has S usable bytes; its guard lies below and comes on top of that. Pages are
//!   committed by the kernel when they are first touched.
//! - The guard is 17 pages: C code compiled without probes jumps over a single one, and 17 makes the
//!   distance between two stacks an odd number of pages. With a power of two the tops of all stacks fall
//!   into the same few sets of the TLB and of the cache lines that hold page-table entries (2000 stacks
//!   touched in turn: 34 ns each at 64 pages, 25 ns at 80, 9 ns at 81).
//! - Where the kernel has `MADV_GUARD_INSTALL` a guard is no mapping of its own, and slabs that lie side by
//!   side merge, so a million stacks take a handful of mappings. Elsewhere the guard is `PROT_NONE` and
//!   each stack takes two mappings, which `vm.max_map_count` limits; we stop an eighth below that limit,
//!   because beyond it the rest of the process could not map memory either.
//! - Each size class has a shelf behind a mutex. Workers keep their hot stacks themselves and come here
//!   only when they have none or too many. The links of the free lists live in the slab's header, not in
//!   the stacks: taking and giving back never allocate, and a stack on the shelf may own no page at all.
//! - A stack that has just become free keeps its pages for a moment ([`retire`], [`cool`]): what was not needed again
//!   between two looks of the monitor goes back. To give pages back costs a system call that interrupts the other
//!   processors (8 us each on a virtual machine), and to touch them again a fault each; both more than a short goroutine's
//!   work. A hundred thousand that end together lie side by side, and go back with one call for each slab.
//! - A stack that is abandoned is never released: nothing then unmaps, trims or reuses its memory, on which
//!   pinned futures may live. [`StackMem`] has no `Drop` for this reason.

mod guard;

use crate::sys::global::{AtomicPtr, AtomicUsize, Mutex, Ordering, lock};
use crate::sys::mem;
use corosensei::stack::{Stack, StackPointer};
use std::io;
use std::mem::size_of;
use std::ptr;

/// The usable size of a goroutine's stack unless it asks for another.
pub(crate) const DEFAULT_SIZE: usize = 256 << 10;
/// The smallest stack: room for a handful of calls and a panic without backtrace.
pub(crate) const MIN_SIZE: usize = 16 << 10;
/// The usable size of the main goroutine's stack, as main threads have.
pub(crate) const MAIN_SIZE: usize = 8 << 20;
/// The largest stack; what asks for more is taken for a mistake.
const MAX_SIZE: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 64 << 20 };

/// Address space reserved at once for the classes up to [`SLAB_MAX_CLASS`].
const SLAB_SIZE: usize = 64 << 20;
/// Larger stacks get a slab for each.
const SLAB_MAX_CLASS: usize = 1 << 20;
const GUARD_PAGES: usize = 17;
const CLASSES: usize = (MAX_SIZE / MIN_SIZE).ilog2() as usize + 1;
/// So many stacks on a shelf keep their topmost page; those beyond give back all, so that the memory of a
/// burst of goroutines does not stay for ever.
const WARM: usize = 4096;
/// More retired stacks than this give back their memory by stretches of address space, and keep no page.
const MANY: usize = 1024;

/// Stacks that have a guard, in use or on a shelf.
static CARVED: AtomicUsize = AtomicUsize::new(0);
/// Those of them that lie on a shelf.
static POOLED: AtomicUsize = AtomicUsize::new(0);
/// Address space of all slabs.
static RESERVED: AtomicUsize = AtomicUsize::new(0);
/// All slabs, newest first. Only ever grows, so that a signal handler may walk it.
static SLABS: AtomicPtr<Slab> = AtomicPtr::new(ptr::null_mut());
static SHELVES: [Shelf; CLASSES] = [const { Shelf::new() }; CLASSES];

/// The bounds of a stack. A plain description: copying or dropping it does nothing to the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackMem {
    /// Kept here too, as every resume asks for it: one cache line less than through the record.
    top: StackPointer,
    slot: &'static Slot,
}

/// What [`stats`] tells; a snapshot without any lock, so the numbers may be a moment apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackStats {
    /// Stacks that exist, in use or not.
    pub(crate) carved: usize,
    /// Stacks waiting for their next user.
    pub(crate) pooled: usize,
    /// Bytes of address space reserved.
    pub(crate) reserved: usize,
}

/// The stack whose guard an address lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuardHit {
    /// The lowest usable address, which is where the guard ends.
    pub(crate) limit: usize,
    /// The address above the stack.
    pub(crate) top: usize,
    /// Usable bytes.
    pub(crate) size: usize,
}

/// The head of a slab, at its lowest address; its slots' records follow. Written once, then only read.
#[derive(Debug)]
struct Slab {
    next: AtomicPtr<Slab>,
    /// Where the first slot begins.
    first: usize,
    /// The distance of two slots: guard and stack.
    stride: usize,
    /// Usable bytes of each stack.
    size: usize,
    slots: &'static [Slot],
}

/// One stack's record.
#[derive(Debug)]
struct Slot {
    /// The next slot of the list this one is on; protected by the shelf's lock.
    next: AtomicPtr<Slot>,
    /// The lowest usable address.
    limit: usize,
    /// Usable bytes.
    size: usize,
}

impl StackMem {
    fn new(slot: &'static Slot) -> Self {
        let top = StackPointer::new(slot.limit + slot.size).expect("a stack does not end at address zero");
        Self { top, slot }
    }

    /// The address above the stack's highest byte; a multiple of the page size.
    #[inline]
    pub(crate) fn top(&self) -> usize {
        self.top.get()
    }

    /// The lowest usable address; the guard lies below.
    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.slot.limit
    }

    /// Usable bytes: a size class.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.slot.size
    }
}

// SAFETY: the contract asks for a guard and for `MIN_STACK_SIZE` usable bytes: `acquire` hands out no stack
// whose guard was not installed, and the smallest class is larger. Both bounds are multiples of the page
// size, hence of `STACK_ALIGNMENT`, and `limit` includes the guard.
unsafe impl Stack for StackMem {
    #[inline]
    fn base(&self) -> StackPointer {
        self.top
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.slot.limit - guard_len()).expect("a guard does not begin at address zero")
    }
}

const _: () = assert!(MIN_SIZE >= corosensei::stack::MIN_STACK_SIZE);

/// Checks a size that a user asked for and rounds it up to its class, the next power of two.
///
/// # Errors
///
/// `InvalidInput` for a size below [`MIN_SIZE`] or beyond what any program needs (1 GiB).
pub(crate) fn check_size(size: usize) -> io::Result<usize> {
    if !(MIN_SIZE..=MAX_SIZE).contains(&size) {
        let bound = if size < MIN_SIZE {
            format!("at least {} KiB are needed", MIN_SIZE >> 10)
        } else {
            format!("at most {} MiB are possible", MAX_SIZE >> 20)
        };
        let text = format!("a stack of {size} bytes was asked for; {bound}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(size.next_power_of_two().max(mem::page_size()))
}

/// A stack of at least `size` usable bytes. Its content is unspecified.
///
/// # Errors
///
/// `InvalidInput` as [`check_size`]; `OutOfMemory` when no address space, no memory or no memory mapping is
/// left. A later call may succeed, as soon as stacks are released.
pub(crate) fn acquire(size: usize) -> io::Result<StackMem> {
    let size = check_size(size)?;
    let shelf = Shelf::of(size);
    let slot = match shelf.take(size)? {
        Taken::Guarded(slot) => slot,
        // The guard is installed outside the lock: it costs a system call, and it may fail.
        Taken::Bare(slot) => {
            if let Err(error) = guard::install(slot.limit - guard_len(), guard_len()) {
                shelf.put_bare(slot);
                return Err(error);
            }
            CARVED.fetch_add(1, Ordering::Relaxed);
            slot
        }
    };
    Ok(StackMem::new(slot))
}

/// Puts a stack on its shelf, for the next who acquires one. It gives back all memory but its topmost page,
/// and that one too when many are waiting already.
///
/// # Safety
///
/// The stack was acquired once and is released once; nothing runs on it and nothing points into it.
pub(crate) unsafe fn release(stack: StackMem) {
    let shelf = Shelf::of(stack.size());
    let keep = if shelf.pooled.load(Ordering::Relaxed) < WARM { mem::page_size() } else { 0 };
    // SAFETY: nothing points into the stack, says the caller.
    unsafe { trim(&stack, keep) };
    shelf.put(stack.slot);
}

/// [`release`] of a stack that is likely to be used again soon: [`cool`] gives its memory back if it is not.
///
/// # Safety
///
/// As for [`release`].
pub(crate) unsafe fn retire(stack: StackMem) {
    if stack.size() <= DEFAULT_SIZE {
        Shelf::of(stack.size()).put_hot(stack.slot);
    } else {
        // SAFETY: passed on.
        unsafe { release(stack) }
    }
}

/// Gives back the memory of retired stacks that nobody has wanted since the last call; of `all` of them, if nobody will
/// call soon.
pub(crate) fn cool(all: bool) {
    for shelf in &SHELVES {
        let spared = shelf.spared(all);
        let mut slots = Vec::new();
        // One by one: workers wait for the lock.
        while slots.len() < spared
            && let Some(slot) = shelf.take_hot()
        {
            slots.push(slot);
        }
        if slots.len() <= MANY {
            // SAFETY: they were retired, and are on no list.
            slots.into_iter().for_each(|slot| unsafe { release(StackMem::new(slot)) });
        } else {
            // SAFETY: as above.
            unsafe { discard_all(&mut slots) };
            slots.into_iter().rev().for_each(|slot| shelf.put(slot));
        }
    }
}

/// Gives back all memory of stacks of one class, with one call for those that lie side by side. Guards between them stay.
///
/// # Safety
///
/// Nobody counts on what the stacks hold.
unsafe fn discard_all(slots: &mut [&'static Slot]) {
    slots.sort_unstable_by_key(|slot| slot.limit);
    for run in slots.chunk_by(|a, b| b.limit == a.limit + a.size + guard_len()) {
        let (first, last) = (run[0], run[run.len() - 1]);
        // A failure leaves the pages where they are, as in `trim`.
        // SAFETY: from the first stack to the end of the last one lie only these and the guards between them, all in one slab
        // (between two lies at least a header, too); the caller gives up what is written there.
        let _ = unsafe { mem::discard(first.limit, last.limit + last.size - first.limit) };
    }
}

/// [`release`] without giving any memory back, for tests of what a reused stack keeps.
///
/// # Safety
///
/// As for [`release`].
#[cfg(test)]
pub(crate) unsafe fn release_hot(stack: StackMem) {
    Shelf::of(stack.size()).put(stack.slot);
}

/// Gives back every page of the stack but those of its topmost `keep` bytes.
///
/// One system call. Asking first with `mincore` which pages are there would cost more than giving back
/// nothing (1.3 µs against 0.6 µs for 188 KiB), and would miss pages that are swapped out.
///
/// # Safety
///
/// Nobody counts on what the stack holds below its topmost `keep` bytes.
pub(crate) unsafe fn trim(stack: &StackMem, keep: usize) {
    let len = stack.size().saturating_sub(mem::round_up(keep));
    if len > 0 {
        // A failure (locked memory, for one) leaves the pages where they are, which harms nobody.
        // SAFETY: the range lies in a slab, above the guard, and the caller gives up what is written there.
        let _ = unsafe { mem::discard(stack.limit(), len) };
    }
}

/// How many stacks there are, and how much address space they take.
pub(crate) fn stats() -> StackStats {
    StackStats {
        carved: CARVED.load(Ordering::Relaxed),
        pooled: POOLED.load(Ordering::Relaxed),
        reserved: RESERVED.load(Ordering::Relaxed),
    }
}

/// How many bytes of all stacks are in memory, as far as the system tells. Asks it for each slab: 0.1 ms or so for one
/// that is in use.
pub(crate) fn resident() -> usize {
    let mut pages = 0;
    let mut next = SLABS.load(Ordering::Acquire);
    // SAFETY: as in `find_guard`.
    while let Some(slab) = unsafe { next.as_ref() } {
        let start = slab.first & !(mem::page_size() - 1);
        pages += mem::resident_pages(start, slab.stride * slab.slots.len()).unwrap_or(0);
        next = slab.next.load(Ordering::Acquire);
    }
    pages * mem::page_size()
}

/// Tells whether an address lies in a guard, and in whose. Async-signal-safe: it takes no lock, allocates
/// nothing, and reads only memory that never changes once it can be reached.
pub(crate) fn find_guard(addr: usize) -> Option<GuardHit> {
    let mut next = SLABS.load(Ordering::Acquire);
    // SAFETY: the list holds slabs whose heads were written before they were linked (the acquire pairs with
    // the release in `Slab::publish`) and which are never unmapped.
    while let Some(slab) = unsafe { next.as_ref() } {
        if let Some(offset) = addr.checked_sub(slab.first).filter(|at| at / slab.stride < slab.slots.len()) {
            let guard = slab.stride - slab.size;
            let limit = addr - offset % slab.stride + guard;
            let hit = GuardHit { limit, top: limit + slab.size, size: slab.size };
            return (addr < limit).then_some(hit);
        }
        // Relaxed: written before this slab was linked.
        next = slab.next.load(Ordering::Relaxed);
    }
    None
}

fn guard_len() -> usize {
    GUARD_PAGES * mem::page_size()
}

impl Slab {
    /// Reserves a slab for stacks of `size` bytes, smaller than usual when address space is short.
    fn reserve(size: usize) -> io::Result<&'static Slab> {
        let stride = size + guard_len();
        let mut slots = if size > SLAB_MAX_CLASS { 1 } else { (SLAB_SIZE / stride).max(1) };
        loop {
            // The records come out of the slab too. A full slab has exactly the usual size, which the
            // kernel places next to the one before, so that the two merge.
            while slots > 1 && Self::header_len(slots) + slots * stride > SLAB_SIZE {
                slots -= 1;
            }
            let needed = Self::header_len(slots) + slots * stride;
            let full = (slots + 1) * stride > SLAB_SIZE;
            let len = if full { needed.max(SLAB_SIZE) } else { needed };
            match mem::reserve(len) {
                Ok(memory) => {
                    mem::avoid_huge_pages(memory, len);
                    RESERVED.fetch_add(len, Ordering::Relaxed);
                    return Ok(Self::publish(memory, size, slots));
                }
                Err(_) if slots > 1 => slots /= 2,
                Err(cause) => return Err(exhausted("reserve address space for", "", &cause)),
            }
        }
    }

    fn header_len(slots: usize) -> usize {
        mem::round_up(size_of::<Slab>() + slots * size_of::<Slot>())
    }

    /// Writes the header of a fresh slab and makes it known to [`find_guard`].
    fn publish(memory: ptr::NonNull<u8>, size: usize, slots: usize) -> &'static Slab {
        let stride = size + guard_len();
        // The addresses of stacks are numbers; whoever makes pointers of them again relies on this.
        let first = memory.as_ptr().expose_provenance() + Self::header_len(slots);
        let head = memory.cast::<Slab>();
        // SAFETY: the mapping is fresh, page-aligned, writable, known to nobody else and never unmapped; it
        // holds the header that `header_len` counted: one `Slab`, then `slots` records, whose alignment
        // divides the size of `Slab`. The slice is made when all its records are written.
        let slab: &'static Slab = unsafe {
            let records = head.add(1).cast::<Slot>();
            for index in 0..slots {
                let limit = first + index * stride + guard_len();
                records.add(index).write(Slot { next: AtomicPtr::default(), limit, size });
            }
            let slots = std::slice::from_raw_parts(records.as_ptr(), slots);
            head.write(Slab { next: AtomicPtr::default(), first, stride, size, slots });
            head.as_ref()
        };
        let mut newest = SLABS.load(Ordering::Relaxed);
        loop {
            slab.next.store(newest, Ordering::Relaxed);
            // Release: whoever finds the slab in the list finds its head written.
            match SLABS.compare_exchange_weak(newest, head.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return slab,
                Err(other) => newest = other,
            }
        }
    }
}

const _: () = assert!(size_of::<Slab>().is_multiple_of(align_of::<Slot>()));

/// The stacks of one size class that nobody uses.
#[derive(Debug)]
struct Shelf {
    stock: Mutex<Stock>,
    /// How many stacks the lists of released ones hold, readable without the lock.
    pooled: AtomicUsize,
    /// How many of them are hot.
    hot: AtomicUsize,
}

#[derive(Debug)]
struct Stock {
    /// Retired stacks, with all their pages.
    hot: List,
    /// How many there were at least since [`cool`] looked: that many were not needed.
    hot_least: usize,
    /// Released stacks; the last released is the first taken, as its memory is the warmest.
    free: List,
    /// Slots whose guard could not be installed; tried again when nothing is free.
    bare: List,
    /// Slots of the newest slab that were never used.
    fresh: &'static [Slot],
}

/// Slots chained through their records.
#[derive(Debug)]
struct List(Option<&'static Slot>);

#[derive(Debug)]
enum Taken {
    Guarded(&'static Slot),
    Bare(&'static Slot),
}

impl Shelf {
    const fn new() -> Self {
        let stock = Stock { hot: List(None), hot_least: 0, free: List(None), bare: List(None), fresh: &[] };
        Self { stock: Mutex::new(stock), pooled: AtomicUsize::new(0), hot: AtomicUsize::new(0) }
    }

    /// The shelf of a size that [`check_size`] returned.
    fn of(size: usize) -> &'static Self {
        &SHELVES[(size / MIN_SIZE).ilog2() as usize]
    }

    fn take(&self, size: usize) -> io::Result<Taken> {
        let mut stock = lock(&self.stock);
        if let Some(slot) = self.pop_hot(&mut stock).or_else(|| stock.free.pop()) {
            self.count_out();
            return Ok(Taken::Guarded(slot));
        }
        if let Some(slot) = stock.bare.pop() {
            return Ok(Taken::Bare(slot));
        }
        // Under the lock, or each of many who find it empty at once would reserve a slab of its own.
        if stock.fresh.is_empty() {
            stock.fresh = Slab::reserve(size)?.slots;
        }
        let (slot, rest) = stock.fresh.split_first().expect("a slab has at least one slot");
        stock.fresh = rest;
        Ok(Taken::Bare(slot))
    }

    fn put(&self, slot: &'static Slot) {
        let mut stock = lock(&self.stock);
        stock.free.push(slot);
        self.count_in();
    }

    fn put_hot(&self, slot: &'static Slot) {
        let mut stock = lock(&self.stock);
        stock.hot.push(slot);
        // Written under the lock.
        self.hot.store(self.hot.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.count_in();
    }

    fn take_hot(&self) -> Option<&'static Slot> {
        let slot = self.pop_hot(&mut lock(&self.stock))?;
        self.count_out();
        Some(slot)
    }

    fn pop_hot(&self, stock: &mut Stock) -> Option<&'static Slot> {
        let slot = stock.hot.pop()?;
        let hot = self.hot.load(Ordering::Relaxed) - 1;
        self.hot.store(hot, Ordering::Relaxed);
        stock.hot_least = stock.hot_least.min(hot);
        Some(slot)
    }

    /// How many of the hot ones were not needed since the last call; or how many there are.
    fn spared(&self, all: bool) -> usize {
        // Shelves of classes that nobody uses are not locked.
        if self.hot.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut stock = lock(&self.stock);
        let hot = self.hot.load(Ordering::Relaxed);
        let spared = if all { hot } else { stock.hot_least };
        stock.hot_least = hot - spared;
        spared
    }

    fn count_in(&self) {
        self.pooled.fetch_add(1, Ordering::Relaxed);
        POOLED.fetch_add(1, Ordering::Relaxed);
    }

    fn count_out(&self) {
        self.pooled.fetch_sub(1, Ordering::Relaxed);
        POOLED.fetch_sub(1, Ordering::Relaxed);
    }

    fn put_bare(&self, slot: &'static Slot) {
        lock(&self.stock).bare.push(slot);
    }
}

impl List {
    fn push(&mut self, slot: &'static Slot) {
        let next = self.0.map_or(ptr::null_mut(), |next| ptr::from_ref(next).cast_mut());
        slot.next.store(next, Ordering::Relaxed);
        self.0 = Some(slot);
    }

    fn pop(&mut self) -> Option<&'static Slot> {
        let slot = self.0?;
        // SAFETY: `push` wrote null or a record, and records live for ever. It ran under the same lock.
        self.0 = unsafe { slot.next.load(Ordering::Relaxed).as_ref() };
        Some(slot)
    }
}

fn exhausted(what: &str, why: &str, cause: &io::Error) -> io::Error {
    let StackStats { carved, reserved, .. } = stats();
    let text = format!(
        "cannot {what} another goroutine stack: {carved} stacks exist, {} MiB of address space are \
         reserved{why}: {cause}",
        reserved >> 20,
    );
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

#[cfg(test)]
mod tests;
