//! A copy of what a parked goroutine stands on.

use crate::fiber::coro::FiberRef;
use crate::fiber::saved::{Reader, Saved};
use crate::sys::global::{Mutex, lock};
use crate::task::TaskRef;

pub(super) const WORD: usize = size_of::<usize>();
/// What is copied of a stack: all of one of the default size.
pub(super) const MOST_WORDS: usize = (256 << 10) / WORD;

/// Memory of the last copy, for the next. Most of it is never touched.
static SPARE: Mutex<Option<Vec<usize>>> = Mutex::new(None);

/// Registers, and the stack above the stack pointer.
#[derive(Debug)]
pub(super) struct StackCopy {
    pub(super) saved: Saved,
    /// The link register, where there is one: lost in a switch, as the function that suspends has saved it on its stack.
    pub(super) link: usize,
    words: Vec<usize>,
}

impl StackCopy {
    /// Looks at goroutine `id`, if it is parked: with what `header` reads meanwhile, and a copy of its stack if it is
    /// parked on one.
    pub(super) fn take<R>(task: TaskRef, id: u64, header: impl FnOnce() -> R) -> Option<(R, Option<Self>)> {
        // All that may wait or allocate comes before the look.
        let reader = Reader::get();
        let mut words = room();
        let looked = task.inspect(id, || {
            // One that has not started may have its stack already.
            let fiber = task.fiber.get().filter(|fiber| fiber.is_busy());
            // SAFETY: the task is parked in the middle of a job on this fiber, and stays so while we look at it.
            let saved = fiber.zip(reader).and_then(|(fiber, reader)| unsafe { reader.read(fiber) });
            if let Some(saved) = saved {
                // SAFETY: as above; `read` has checked that the saved stack pointer lies on the fiber's stack.
                unsafe { copy_words(saved, &mut words) };
            }
            (header(), saved)
        });
        match looked {
            Some((header, Some(saved))) => Some((header, Some(Self { saved, link: saved.ip, words }))),
            other => {
                keep(words);
                other.map(|(header, _)| (header, None))
            }
        }
    }

    /// Copies the stack of a suspended fiber.
    ///
    /// # Safety
    ///
    /// It was suspended in the middle of a job, and nobody resumes it meanwhile.
    pub(super) unsafe fn of(fiber: FiberRef) -> Option<Self> {
        // SAFETY: by the caller's promise.
        let saved = unsafe { Reader::get()?.read(fiber) }?;
        let mut words = room();
        // SAFETY: by the caller's promise, and as `read` has checked.
        unsafe { copy_words(saved, &mut words) };
        Some(Self { saved, link: saved.ip, words })
    }

    /// What a thread has copied of its own stack.
    pub(super) fn of_running(saved: Saved, link: usize, copied: impl Iterator<Item = usize>) -> Self {
        let mut words = room();
        words.extend(copied.take(MOST_WORDS));
        Self { saved, link, words }
    }

    /// A word of the stack, by its address there.
    pub(super) fn read(&self, address: u64) -> Result<u64, ()> {
        let offset =
            usize::try_from(address).ok().and_then(|address| address.checked_sub(self.saved.sp)).ok_or(())?;
        let aligned = offset.is_multiple_of(WORD);
        self.words.get(offset / WORD).filter(|_| aligned).map(|&word| word as u64).ok_or(())
    }

    /// Whether the stack was longer than a copy may be.
    pub(super) fn is_cut(&self) -> bool {
        self.saved.top - self.saved.sp > self.words.len() * WORD
    }

    /// Keeps the memory for the next copy.
    pub(super) fn keep(self) {
        keep(self.words);
    }
}

fn room() -> Vec<usize> {
    let mut words = lock(&SPARE).take().unwrap_or_default();
    words.clear();
    words.reserve(MOST_WORDS);
    words
}

fn keep(words: Vec<usize>) {
    *lock(&SPARE) = Some(words);
}

/// Copies the stack from the stack pointer on, as far as `words` has room.
///
/// # Safety
///
/// `saved` are the registers of a fiber that stays suspended, and lie on its stack.
unsafe fn copy_words(saved: Saved, words: &mut Vec<usize>) {
    let from = std::ptr::with_exposed_provenance::<usize>(saved.sp);
    let count = ((saved.top - saved.sp) / WORD).min(MOST_WORDS);
    // Volatile, as a debugger would: the compiler knows nothing of these words. Some were never written, and in some
    // another thread may be writing (a wait node, a result that the goroutine waits for); those are not addresses of
    // frames, and a torn one harms nobody.
    // SAFETY: aligned, and inside the stack, which is mapped; `words` has room, so nothing is allocated here.
    words.extend((0..count).map(|i| unsafe { from.add(i).read_volatile() }));
}
