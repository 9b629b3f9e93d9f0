//! `sync::atomic` (FEATURES A01 to A06; for A04, `Value`, a lock and an `Arc`).
#![cfg(not(loom))]
#![allow(non_snake_case)]

use gosched::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use gosched::sync::{RwLock, WaitGroup};
use std::sync::Arc;

mod common;
use common::everywhere;

#[test]
fn A01_the_types_are_stds_and_their_default_is_zero() {
    assert!(!AtomicBool::default().into_inner());
    assert_eq!(AtomicI32::default().into_inner(), 0);
    assert_eq!(AtomicU32::default().into_inner(), 0);
    assert_eq!(AtomicUsize::default().into_inner(), 0);
    assert!(AtomicPtr::<u8>::default().into_inner().is_null());
    let shared: &std::sync::atomic::AtomicU64 = &AtomicU64::new(1);
    assert_eq!(shared.load(Ordering::SeqCst), 1);
}

#[test]
fn A02_each_operation_returns_the_old_value() {
    let n = AtomicI64::new(6);
    assert_eq!(n.swap(7, Ordering::SeqCst), 6);
    assert_eq!(n.fetch_add(1, Ordering::SeqCst), 7, "Go's Add returns the new one");
    assert_eq!(n.fetch_and(12, Ordering::SeqCst), 8);
    assert_eq!(n.fetch_or(3, Ordering::SeqCst), 8);
    assert_eq!(n.compare_exchange(11, 1, Ordering::SeqCst, Ordering::SeqCst), Ok(11));
    assert_eq!(n.compare_exchange(11, 2, Ordering::SeqCst, Ordering::SeqCst), Err(1));
}

#[test]
fn A02_additions_of_goroutines_are_not_lost() {
    everywhere(|| {
        let (n, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
        for _ in 0..8 {
            let n = n.clone();
            wg.go(move || {
                for i in 0..500 {
                    n.fetch_add(1, Ordering::Relaxed);
                    if i % 50 == 0 {
                        gosched::yield_now();
                    }
                }
            });
        }
        wg.wait();
        assert_eq!(n.load(Ordering::Relaxed), 4000);
    });
}

#[test]
fn A03_two_that_store_and_look_do_not_both_miss_each_other() {
    // Dekker's: with SeqCst one of them must see the other's store.
    everywhere(|| {
        for _ in 0..200 {
            let flags: Arc<[AtomicBool; 2]> = Arc::default();
            let sides = [0, 1].map(|own| {
                let flags = flags.clone();
                gosched::go(move || {
                    flags[own].store(true, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    flags[1 - own].load(Ordering::SeqCst)
                })
            });
            let saw = sides.map(|side| side.join().unwrap());
            assert!(saw[0] || saw[1]);
        }
    });
}

#[test]
fn A04_a_shared_value_is_seen_whole_and_absent_before_it_is_stored() {
    // What `atomic.Value` is for: a configuration that is replaced while others look at it. Its type is the compiler's
    // business (the module's docs have what does not compile).
    everywhere(|| {
        let value: Arc<RwLock<Option<Arc<[u64; 16]>>>> = Arc::default();
        let load = |value: &RwLock<Option<Arc<[u64; 16]>>>| value.read().clone();
        assert_eq!(load(&value), None, "load before store");
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let value = value.clone();
                gosched::go(move || {
                    let mut last = 0;
                    while last < 300 {
                        if let Some(seen) = load(&value) {
                            assert!(seen.iter().all(|n| *n == seen[0]) && seen[0] >= last, "{seen:?}");
                            last = seen[0];
                        }
                        gosched::yield_now();
                    }
                })
            })
            .collect();
        for n in 1..=300 {
            // Swap returns the old one; compare-and-swap is a look and a store under one guard.
            let old = value.write().replace(Arc::new([n; 16]));
            assert_eq!(old.map_or(0, |old| old[0]), n - 1);
            gosched::yield_now();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn A05_a_plain_variable_can_be_reached_atomically() {
    let mut n = 1;
    // SAFETY: valid for this line, and nothing else touches it meanwhile.
    unsafe { AtomicI32::from_ptr(&raw mut n) }.fetch_add(1, Ordering::SeqCst);
    assert_eq!(n, 2);
}

#[test]
fn A06_words_of_64_bits_are_aligned() {
    assert_eq!((align_of::<AtomicU64>(), align_of::<AtomicI64>()), (8, 8));
}
