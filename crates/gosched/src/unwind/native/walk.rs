//! Unwinding a copied stack.

use super::copy::StackCopy;
use super::modules::{self, Bytes};
use crate::sys::global::{Mutex, lock};
use crate::unwind::Trace;
use framehop::{CacheNative, FrameAddress, MayAllocateDuringUnwind, Unwinder, UnwinderNative};

/// Calls that are counted at most.
pub(super) const MOST: usize = 20_000;
/// The outermost frame, which starts a fiber, is not larger than this; what would be its caller is the worker that resumed
/// the fiber last, on a stack that is none of ours.
const OUTERMOST: usize = 64;

/// The tables of the modules, and the rules found in them so far.
struct Walker {
    unwinder: UnwinderNative<Bytes, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    generation: (u64, u64),
}

static WALKER: Mutex<Option<Walker>> = Mutex::new(None);

/// The calls on a copied stack.
pub(super) fn trace(copy: &StackCopy) -> Trace {
    let mut walker = lock(&WALKER);
    let generation = modules::generation();
    let walker = match &mut *walker {
        Some(walker) if walker.generation == generation => walker,
        stale => stale.insert(Walker::load(generation)),
    };
    walker.walk(copy)
}

impl Walker {
    fn load(generation: (u64, u64)) -> Self {
        let mut unwinder = UnwinderNative::new();
        modules::load().into_iter().for_each(|module| unwinder.add_module(module));
        Self { unwinder, cache: CacheNative::new_in(), generation }
    }

    /// From the switch outwards, until the fiber's bottom, or as far as the tables and the copy reach.
    fn walk(&mut self, copy: &StackCopy) -> Trace {
        let saved = copy.saved;
        let mut regs = registers(copy);
        let mut at = FrameAddress::from_instruction_pointer(saved.ip as u64);
        let mut addresses = vec![saved.ip];
        let mut whole = false;
        while addresses.len() < MOST {
            let next = self.unwinder.unwind_frame(at, &mut regs, &mut self.cache, &mut |at| copy.read(at));
            let Ok(Some(address)) = next else { break };
            if regs.sp() as usize + OUTERMOST >= saved.top {
                whole = true;
                break;
            }
            let Some(caller) = FrameAddress::from_return_address(address) else { break };
            at = caller;
            addresses.push(address as usize);
        }
        let cut = !whole && (copy.is_cut() || addresses.len() == MOST);
        Trace { addresses: addresses.into(), cut, running: false }
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(copy: &StackCopy) -> framehop::UnwindRegsNative {
    let saved = copy.saved;
    framehop::UnwindRegsNative::new(saved.ip as u64, saved.sp as u64, saved.fp as u64)
}

#[cfg(target_arch = "aarch64")]
fn registers(copy: &StackCopy) -> framehop::UnwindRegsNative {
    let saved = copy.saved;
    framehop::UnwindRegsNative::new(copy.link as u64, saved.sp as u64, saved.fp as u64)
}
