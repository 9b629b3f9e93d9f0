//! The dice of select: a cheap generator per thread, seeded differently on each.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// An odd number near 2^64 divided by the golden ratio: its multiples are spread evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the entropy of one number over all its bits (the finalizer of splitmix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number.
///
/// Never inlined, and it returns a value: a goroutine may be on another thread at its next call, so no address
/// of a thread-local may survive in its caller.
#[inline(never)]
pub(super) fn random() -> u64 {
    static SEEDS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        // Without a destructor: selects in the destructors of other thread-locals still find it.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let mut now = state.get();
        if now == 0 {
            let time = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.subsec_nanos());
            now = mix(SEEDS.fetch_add(GOLDEN, Ordering::Relaxed) ^ u64::from(time)) | 1;
        }
        // xorshift64*
        now ^= now >> 12;
        now ^= now << 25;
        now ^= now >> 27;
        state.set(now);
        now.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// A sequence of random numbers, grown from one of [`random`]'s.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        // The high half of a 32 by 32 bit product: uniform but for less than n in 2^32. The first throw uses the
        // seed's own high bits, which are as good as any.
        let below = (((self.0 >> 32) * u64::from(n)) >> 32) as u32;
        self.0 = mix(self.0.wrapping_add(GOLDEN));
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_different_seeds() {
        let here = random();
        let there = std::thread::spawn(random).join().unwrap();
        assert_ne!(here, there);
    }

    #[test]
    fn below_is_uniform_enough() {
        let mut hits = [0u32; 5];
        for _ in 0..50_000 {
            hits[Dice::new(random()).below(5) as usize] += 1;
        }
        // Ten standard deviations of a binomial with p = 1/5.
        assert!(hits.iter().all(|&h| h.abs_diff(10_000) < 900), "{hits:?}");
    }
}
