//! The word of the reader-writer lock, and every transition that it can make.

use crate::sys::prim::{AtomicUsize, Ordering};

/// A writer has the lock.
const WRITING: usize = 1;
/// The list of writers is not empty. Changes only under the lists' lock.
const WRITERS_WAIT: usize = 2;
/// The list of readers is not empty. Changes only under the lists' lock.
const READERS_WAIT: usize = 4;
/// One writer was told to compete and has not done so yet. Set only under the lists' lock.
const WOKEN: usize = 8;
/// What becomes free goes to the first writer instead of to whoever comes. Only with `WRITERS_WAIT`, or with
/// a holder that got the lock so. Never with `WOKEN`.
const STARVING: usize = 16;
/// One reader. The upper bits count those that have the lock.
const READER: usize = 32;

/// Any of these keeps new readers out: a writer has the lock or waits for it (Go's writer preference).
const CLOSED_TO_READERS: usize = WRITING | WRITERS_WAIT | WOKEN | STARVING;

/// More readers than this are refused, by a panic. Guards can be forgotten in a loop, so on a machine of 32
/// bits the count could run over. Half of what fits: the other half is for those that were let in together.
const MOST_READERS: usize = usize::MAX / READER / 2;

/// The word of the lock: five bits and the number `n` of readers.
///
/// | word                                    | meaning                                                     |
/// |-----------------------------------------|-------------------------------------------------------------|
/// | 0                                       | free, nobody waits                                          |
/// | n                                       | read by n; lock and unlock are one read-modify-write each   |
/// | `WRITING`                               | written by one; lock and unlock are one CAS each            |
/// | `WRITING` + waits                       | somebody waits: the unlock sees to them                     |
/// | n `WRITERS_WAIT` [`READERS_WAIT`]       | new readers are kept out; the last reader sees to the rest  |
/// | `WRITERS_WAIT` [`STARVING`] + waits     | free; whoever released it is about to see to those waiting  |
/// | `WOKEN` + waits                         | free; one writer is on its way                              |
/// | `WRITING` or n, `WOKEN` + waits         | others were faster; the woken writer will queue again       |
/// | `WRITING` or n, `STARVING` + waits      | a release hands the lock to the first writer (readers that  |
/// |                                         | waited for a writer to end go before it, as always)         |
///
/// "waits" are `WRITERS_WAIT` and `READERS_WAIT`, each as its list says. `READERS_WAIT` is never alone: readers
/// wait for a writer that has the lock, waits for it or is on the way to it, and when the last such goes, it
/// lets them in.
///
/// # Why no wake-up is lost
///
/// (1) A writer queues only by a CAS that finds the lock held (or about to be handed over), a reader only by
/// one that finds it closed to readers. (2) A writer's release that finds neither `READERS_WAIT` nor
/// `STARVING` frees the lock and, like the release of the last reader, has a writer woken if `WRITERS_WAIT` is
/// set and `WOKEN` is not. Else it decides under the lists' lock, with the lock still in its hands, who is
/// next. (3) The woken writer takes the lock, and its release is (2); or it queues again (1); or it is
/// dropped, and decides in its last act who is next, unless there is a holder for (2). (4) A waiting writer
/// that gives up decides likewise: the readers behind it may enter now.
///
/// # Ordering
///
/// Taking is Acquire, releasing is Release, and every other change is a read-modify-write, which continues
/// the release sequences of the releases before it. Who is let in by another synchronises through its node;
/// the one that lets in has acquired, by the AcqRel of its decision, what all releases before had released.
pub(super) struct Word(AtomicUsize);

/// Who waits, as the lists say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) readers: usize,
    pub(super) writers: usize,
    /// How many of the readers came before the first of the writers: all, if no writer waits.
    pub(super) early: usize,
}

/// What became of somebody who asked under the lists' lock.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// The lock is theirs after all.
    Taken,
    /// They must put their node into the list.
    Queue,
}

/// What is left to do after a writer's release.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// Nothing.
    Quietly,
    /// Free, with writers waiting: ask for the next turn.
    Decide,
    /// It was not released, since it must be passed on.
    PassOn,
}

/// Whose turn it is. Decided under the lists' lock, and carried out before that is released.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody's: somebody has the lock or is on the way to it, or nobody waits.
    Nobody,
    /// The first so many readers': they are counted in.
    Readers(usize),
    /// The first writer may compete.
    WakeWriter,
    /// The first writer has the lock.
    HandToWriter,
}

fn readers(word: usize) -> usize {
    word / READER
}

/// Whether a writer may take it, waiters or not.
fn is_free(word: usize) -> bool {
    word & (WRITING | STARVING) == 0 && readers(word) == 0
}

/// The word with the bits that say who waits. Nobody starves when no writer waits.
fn with_waits(word: usize, readers_wait: bool, writers_wait: bool) -> usize {
    let mut new = word & !(READERS_WAIT | WRITERS_WAIT);
    if readers_wait {
        new |= READERS_WAIT;
    }
    match writers_wait {
        true => new | WRITERS_WAIT,
        false => new & !STARVING,
    }
}

#[cold]
fn too_many_readers() -> ! {
    panic!("sync: too many readers of one RwLock")
}

// What anybody may do.
impl Word {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// open -> one reader more.
    #[inline]
    pub(super) fn try_read(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & CLOSED_TO_READERS == 0 {
            if readers(word) >= MOST_READERS {
                too_many_readers();
            }
            match self.0.compare_exchange_weak(word, word + READER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// free -> written, for a newcomer. Also past waiters, but never while one starves.
    #[inline]
    pub(super) fn try_write(&self) -> bool {
        let mut word = 0;
        loop {
            match self.0.compare_exchange_weak(word, word | WRITING, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) if !is_free(now) => return false,
                Err(now) => word = now,
            }
        }
    }

    /// free -> written, for the writer on its way.
    pub(super) fn try_write_woken(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while is_free(word) {
            let new = (word | WRITING) & !WOKEN;
            match self.0.compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// One reader less. True if the caller must ask for the next turn.
    #[inline]
    pub(super) fn release_read(&self) -> bool {
        let before = self.0.fetch_sub(READER, Ordering::Release);
        readers(before) == 1 && before & (WRITERS_WAIT | WOKEN) == WRITERS_WAIT
    }

    /// written -> free, if nobody waits.
    #[inline]
    pub(super) fn try_release_write(&self) -> bool {
        self.0.compare_exchange(WRITING, 0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// written -> free, unless somebody must get it.
    pub(super) fn release_write(&self) -> Released {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & (READERS_WAIT | STARVING) != 0 {
                return Released::PassOn;
            }
            match self.0.compare_exchange_weak(word, word & !WRITING, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if word & (WRITERS_WAIT | WOKEN) == WRITERS_WAIT => return Released::Decide,
                Ok(_) => return Released::Quietly,
                Err(now) => word = now,
            }
        }
    }

    /// written -> one reader, if nobody waits.
    pub(super) fn try_downgrade(&self) -> bool {
        self.0.compare_exchange(WRITING, READER, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// By a writer that was handed the lock.
    pub(super) fn end_starvation(&self) {
        self.0.fetch_and(!STARVING, Ordering::Relaxed);
    }

    pub(super) fn writers_wait(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WRITERS_WAIT != 0
    }

    /// Whether others wait already, so that there is no short wait to be had.
    #[cfg(not(loom))]
    pub(super) fn is_queued_for(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (WRITERS_WAIT | READERS_WAIT | WOKEN | STARVING) != 0
    }

    pub(super) fn is_written(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WRITING != 0
    }

    pub(super) fn is_taken(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        word & WRITING != 0 || readers(word) > 0
    }

    pub(super) fn readers(&self) -> usize {
        readers(self.0.load(Ordering::Relaxed))
    }
}

// What happens under the lists' lock.
impl Word {
    /// Replaces the word by what `change` makes of it.
    fn change<R>(&self, mut change: impl FnMut(usize) -> (usize, R)) -> R {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (new, result) = change(word);
            match self.0.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => word = now,
            }
        }
    }

    /// One reader more, or a reader that waits.
    pub(super) fn read_or_queue(&self) -> Entered {
        self.change(|word| match word & CLOSED_TO_READERS {
            0 if readers(word) >= MOST_READERS => too_many_readers(),
            0 => (word + READER, Entered::Taken),
            _ => (word | READERS_WAIT, Entered::Queue),
        })
    }

    /// Written, or a writer that waits. `woken`: it was on its way; `starving`: for too long.
    pub(super) fn write_or_queue(&self, woken: bool, starving: bool) -> Entered {
        self.change(|word| {
            let base = if woken { word & !WOKEN } else { word };
            match is_free(word) {
                true => (base | WRITING, Entered::Taken),
                false if starving => (base | WRITERS_WAIT | STARVING, Entered::Queue),
                false => (base | WRITERS_WAIT, Entered::Queue),
            }
        })
    }

    /// The writer on its way has been dropped; the caller asks for the next turn.
    pub(super) fn forget_woken(&self) {
        self.change(|word| (word & !WOKEN, ()));
    }

    /// The last waiting reader has given up.
    pub(super) fn no_reader_waits(&self) {
        self.change(|word| (word & !READERS_WAIT, ()));
    }

    /// Whose turn it is, after a release or when a writer has given up. The caller has no part in the lock.
    pub(super) fn next_turn(&self, waiting: Waiting) -> Turn {
        let Waiting { readers: waiting_readers, writers, early } = waiting;
        self.change(|word| {
            let as_listed = with_waits(word, waiting_readers > 0, writers > 0);
            if word & (WRITING | WOKEN) != 0 {
                return (as_listed, Turn::Nobody);
            }
            if early > 0 {
                let new = with_waits(word, waiting_readers > early, writers > 0) + early * READER;
                return (new, Turn::Readers(early));
            }
            if writers == 0 || readers(word) > 0 {
                return (as_listed, Turn::Nobody);
            }
            let new = with_waits(word, waiting_readers > 0, writers > 1);
            match word & STARVING {
                0 => (new | WOKEN, Turn::WakeWriter),
                _ => (new | WRITING, Turn::HandToWriter),
            }
        })
    }

    /// written -> passed on: to all readers that wait, else to the first writer, else free.
    pub(super) fn pass_on_write(&self, waiting: Waiting) -> Turn {
        let Waiting { readers: waiting_readers, writers, .. } = waiting;
        self.change(|word| match (waiting_readers, writers) {
            (0, 0) => (with_waits(word, false, false) & !WRITING, Turn::Nobody),
            (0, _) => (with_waits(word, false, writers > 1), Turn::HandToWriter),
            _ => {
                let new = with_waits(word, false, writers > 0) & !WRITING;
                (new + waiting_readers * READER, Turn::Readers(waiting_readers))
            }
        })
    }

    /// written -> one reader, and with it all that wait.
    pub(super) fn downgrade(&self, waiting: Waiting) -> Turn {
        let Waiting { readers: waiting_readers, writers, .. } = waiting;
        self.change(|word| {
            let new = with_waits(word, false, writers > 0) & !WRITING;
            let turn = if waiting_readers > 0 { Turn::Readers(waiting_readers) } else { Turn::Nobody };
            (new + (1 + waiting_readers) * READER, turn)
        })
    }

    /// One reader less; if it was the last, the first writer has the lock.
    pub(super) fn pass_on_read(&self, waiting: Waiting) -> Turn {
        let Waiting { readers: waiting_readers, writers, .. } = waiting;
        self.change(|word| match readers(word) == 1 && writers > 0 {
            true => {
                let new = with_waits(word, waiting_readers > 0, writers > 1);
                ((new - READER) | WRITING, Turn::HandToWriter)
            }
            false => (word - READER, Turn::Nobody),
        })
    }
}
