//! The registers of a suspended fiber, read from outside.
//!
//! A suspension stores nothing for this. The switch has saved what it needs to come back: on the fiber's stack the
//! instruction pointer and the frame pointer, at the stack pointer that `corosensei` keeps in its `Coroutine`. That field
//! is private, and its place in the structure is the compiler's choice, so it is found by trying: it is the one word that
//! a suspension changes ([`Reader::get`]). How the saved registers lie on the stack is written in `corosensei`'s `arch`
//! modules; that this is so is checked by whoever unwinds from them (`unwind::self_test`).

use super::coro::{Coro, FiberRef};
use super::stack;
use crate::sys::global::OnceLock;
use corosensei::Yielder;
use std::hint::black_box;
use std::mem::ManuallyDrop;

/// Where a suspended fiber will go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The instruction after the switch.
    pub(crate) ip: usize,
    /// The stack pointer there.
    pub(crate) sp: usize,
    /// The frame pointer there, or whatever the register is used for.
    pub(crate) fp: usize,
    /// The address above the part of the stack that calls use.
    pub(crate) top: usize,
}

/// The words that the switch pushes, counted from the stack pointer it saves.
struct Pushed {
    ip: usize,
    fp: usize,
    count: usize,
}

#[cfg(target_arch = "x86_64")]
const PUSHED: Pushed = Pushed { ip: 0, fp: 2, count: 3 };
#[cfg(target_arch = "aarch64")]
const PUSHED: Pushed = Pushed { ip: 2, fp: 1, count: 4 };

const WORD: usize = size_of::<usize>();
const WORDS: usize = size_of::<Coro>() / WORD;

/// Knows where a suspended coroutine keeps its stack pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    index: usize,
}

impl Reader {
    /// `None` if this `corosensei` does not do what we know of it, or if there is no stack to try it on just now.
    pub(crate) fn get() -> Option<Reader> {
        static INDEX: OnceLock<Option<usize>> = OnceLock::new();
        let index = match INDEX.get() {
            Some(index) => *index,
            None => {
                let stack = stack::acquire(stack::MIN_SIZE).ok()?;
                let index = find(&stack);
                // SAFETY: acquired here; the coroutine that ran on it was forgotten.
                unsafe { stack::release(stack) };
                *INDEX.get_or_init(|| index)
            }
        };
        Some(Reader { index: index? })
    }

    /// The registers of a fiber. `None` if it has no stack of its own, or was suspended on another stack: a user's own
    /// coroutine that blocks.
    ///
    /// # Safety
    ///
    /// The fiber was suspended in the middle of a job, and nobody resumes it meanwhile.
    pub(crate) unsafe fn read(self, fiber: FiberRef) -> Option<Saved> {
        let (coroutine, stack) = fiber.parts()?;
        // SAFETY: a word of the coroutine, which nobody changes while the fiber is suspended, says the caller.
        let at = unsafe { coroutine.cast::<usize>().add(self.index).read_volatile() };
        // SAFETY: that word is the stack pointer; it is checked to lie on the fiber's stack, which is as it was left.
        unsafe { pushed_at(at, stack) }
    }
}

/// The registers pushed at `at`, if that lies inside the stack.
///
/// # Safety
///
/// The stack's memory is mapped, and nobody runs on it.
unsafe fn pushed_at(at: usize, (limit, top): (usize, usize)) -> Option<Saved> {
    let sp = at.checked_add(PUSHED.count * WORD)?;
    if at < limit || sp > top || !at.is_multiple_of(WORD) {
        return None;
    }
    let words = std::ptr::with_exposed_provenance::<usize>(at);
    // SAFETY: aligned and inside the stack, as checked; volatile, since the compiler knows nothing of these words.
    let word = |i: usize| unsafe { words.add(i).read_volatile() };
    Some(Saved { ip: word(PUSHED.ip), sp, fp: word(PUSHED.fp), top })
}

/// Which word of a coroutine is its saved stack pointer: the one that two suspensions change, each time to an address on
/// the stack, the second time to a lower one.
fn find(stack: &stack::StackMem) -> Option<usize> {
    let body = |yielder: &Yielder<*mut (), ()>, _: *mut ()| {
        yielder.suspend(());
        suspend_deeper(yielder);
        unreachable!("it is not resumed a third time");
    };
    // Forgotten in its second suspension: there is nothing on its stack that wants dropping.
    let mut coroutine = ManuallyDrop::new(Coro::with_stack(super::coro::Below::whole(stack), body));
    let mut seen = [[0; WORDS]; 3];
    seen[0] = words_of(&coroutine);
    for words in &mut seen[1..] {
        coroutine.resume(std::ptr::null_mut());
        *words = words_of(&coroutine);
    }
    let [fresh, first, second] = seen;
    let mut changed = (0..WORDS).filter(|&i| fresh[i] != first[i] || first[i] != second[i]);
    let index = changed.next()?;
    let bounds = (stack.limit(), stack.top());
    // SAFETY: the stack is mapped, and nobody runs on it now.
    let saved = |at| unsafe { pushed_at(at, bounds) };
    // What the first suspension pushed has been popped and overwritten by now.
    let good = changed.next().is_none()
        && saved(first[index]).is_some()
        && saved(second[index]).is_some_and(|saved| saved.ip != 0)
        && second[index] < first[index];
    good.then_some(index)
}

#[inline(never)]
fn suspend_deeper(yielder: &Yielder<*mut (), ()>) {
    let room = black_box([0u8; 256]);
    yielder.suspend(());
    black_box(&room);
}

fn words_of(coroutine: &Coro) -> [usize; WORDS] {
    let words = std::ptr::from_ref(coroutine).cast::<usize>();
    // SAFETY: the structure consists of words only (pointers and addresses), all of them written.
    std::array::from_fn(|i| unsafe { words.add(i).read_volatile() })
}

const _: () = assert!(size_of::<Coro>().is_multiple_of(WORD) && align_of::<Coro>() == WORD);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_saved_stack_pointer_is_found() {
        let reader = Reader::get().expect("corosensei is as we know it");
        assert!(reader.index < WORDS);
        assert_eq!(Reader::get().unwrap().index, reader.index);
    }
}
