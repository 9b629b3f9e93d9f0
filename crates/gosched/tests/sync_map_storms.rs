//! `sync::Map` under many hands at once (FEATURES Y31 to Y33).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, goroutines_are_threads};
use gosched::sync::{Map, WaitGroup};
use gosched::{go, go_async, yield_now};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn Y31_no_key_is_visited_twice_while_keys_come_and_go() {
    everywhere(|| {
        let (map, over, wg) = (Arc::new(Map::new()), Arc::new(AtomicBool::new(false)), WaitGroup::new());
        (0..64).for_each(|n| map.store(n, 0));
        for part in 0..2u32 {
            let (map, over) = (map.clone(), over.clone());
            wg.go(move || {
                let mut round = 0;
                while !over.load(Ordering::Relaxed) {
                    // The even keys stay; the odd ones go and come again, and the table grows and shrinks.
                    for n in (part * 32..part * 32 + 32).filter(|n| n % 2 == 1) {
                        map.delete(&n);
                        map.store(n + 64 * (round % 50), round);
                        map.store(n, round);
                    }
                    round += 1;
                    yield_now();
                }
            });
        }
        for _ in 0..150 {
            let mut visits = HashMap::new();
            map.range(|key, _| {
                *visits.entry(*key).or_insert(0) += 1;
                true
            });
            assert!(visits.values().all(|times| *times == 1), "{visits:?}");
            assert!(
                (0..64).step_by(2).all(|n| visits.contains_key(&n)),
                "one that was there all the time is missing"
            );
            yield_now();
        }
        over.store(true, Ordering::Relaxed);
        wg.wait();
    });
}

#[test]
fn Y32_a_clear_comes_before_or_after_what_overlaps_with_it() {
    everywhere(|| {
        const ROUNDS: usize = if cfg!(debug_assertions) { 300 } else { 2000 };
        let keys: Vec<u32> = (0..20).collect();
        for _ in 0..ROUNDS {
            let map = Arc::new(Map::new());
            let (clearing, storing, keys) = (map.clone(), map.clone(), keys.clone());
            let clearer = go(move || clearing.clear());
            let storer = go(move || keys.iter().for_each(|key| storing.store(*key, ())));
            clearer.join().unwrap();
            storer.join().unwrap();
            // What was stored is in order: the clear has taken a beginning of it, and nothing after that.
            let left: Vec<bool> = (0..20).map(|key| map.load(&key).is_some()).collect();
            assert!(left.is_sorted(), "{left:?}");
        }
    });
}

#[test]
fn Y32_one_clear_is_felt_once() {
    everywhere(|| {
        const ROUNDS: usize = if cfg!(debug_assertions) { 300 } else { 2000 };
        for _ in 0..ROUNDS {
            let map = Arc::new(Map::new());
            map.store("key", 0);
            let (clearing, swapping) = (map.clone(), map.clone());
            let clearer = go(move || clearing.clear());
            let swapper = go(move || {
                let mut absent = 0;
                for n in 1..20 {
                    match swapping.swap("key", n) {
                        Some(previous) => assert_eq!(previous, n - 1),
                        None => absent += 1,
                    }
                }
                absent
            });
            clearer.join().unwrap();
            let absent = swapper.join().unwrap() + usize::from(map.load("key").is_none());
            assert_eq!(absent, 1, "either a swap found nothing, or nothing is left");
        }
    });
}

#[test]
fn Y33_a_storm_counts_exactly() {
    everywhere(|| {
        const ROUNDS: usize = if cfg!(debug_assertions) { 150 } else { 1000 };
        const KEYS: usize = 5;
        let map: Arc<Map<usize, usize>> = Arc::default();
        let (wg, taken) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        // Adds one, `ROUNDS` times, by way of whatever operation fits. The value never shrinks but by a removal,
        // whose result is accounted for.
        let add = |map: &Map<usize, usize>, taken: &AtomicUsize, round: usize| {
            let key = round % KEYS;
            loop {
                match round % 11 {
                    0 => {
                        let was = map.load_and_delete(&key);
                        taken.fetch_add(was.unwrap_or(0) + 1, Ordering::SeqCst);
                        return;
                    }
                    1 => {
                        let was = map.swap(key, 1);
                        taken.fetch_add(was.unwrap_or(0), Ordering::SeqCst);
                        return;
                    }
                    2 => {
                        let Some(was) = map.load(&key) else {
                            taken.fetch_add(1, Ordering::SeqCst);
                            return;
                        };
                        if map.compare_and_delete(&key, &was) {
                            taken.fetch_add(was + 1, Ordering::SeqCst);
                            return;
                        }
                    }
                    _ => match map.load_or_store(key, 1) {
                        (_, false) => return,
                        (was, true) if map.compare_and_swap(&key, &was, was + 1) => return,
                        (_, true) => {}
                    },
                }
                yield_now();
            }
        };
        for i in 0..3 {
            let (map, taken) = (map.clone(), taken.clone());
            wg.go(move || (0..ROUNDS).for_each(|round| add(&map, &taken, round + i)));
        }
        let (done, async_map, async_taken) = (wg.clone(), map.clone(), taken.clone());
        wg.add(1);
        go_async(async move {
            for round in 0..ROUNDS {
                add(&async_map, &async_taken, round);
                gosched::time::sleep(Duration::ZERO);
            }
            done.done();
        });
        let (thread_map, thread_taken) = (map.clone(), taken.clone());
        let thread =
            thread::spawn(move || (0..ROUNDS).for_each(|round| add(&thread_map, &thread_taken, round)));
        wg.wait();
        thread.join().unwrap();
        let mut sum = taken.load(Ordering::SeqCst);
        map.range(|_, value| {
            sum += value;
            true
        });
        assert_eq!(sum, 5 * ROUNDS);
    });
}

#[test]
fn Y30_of_several_who_compare_and_swap_at_once_one_succeeds() {
    bounded(|| {
        const ROUNDS: u32 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
        let map = Map::new();
        map.store("key", 0);
        let add = || {
            for _ in 0..ROUNDS {
                loop {
                    let was = map.load("key").expect("nobody removes it");
                    if map.compare_and_swap("key", &was, was + 1) {
                        break;
                    }
                }
            }
        };
        thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(add))));
        assert_eq!(map.load("key"), Some(3 * ROUNDS));
    });
}

#[test]
fn Y30_of_several_who_remove_or_store_first_at_once_one_succeeds() {
    bounded(|| {
        const ROUNDS: u32 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
        let (map, stored, removed) = (Map::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let take_turns = || {
            for round in 0..ROUNDS {
                if !map.load_or_store("key", round).1 {
                    stored.fetch_add(1, Ordering::SeqCst);
                }
                if map.load_and_delete("key").is_some() {
                    removed.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(take_turns))));
        assert_eq!(map.load("key"), None);
        assert_eq!(stored.load(Ordering::SeqCst), removed.load(Ordering::SeqCst));
    });
}

#[test]
fn Y33_what_is_stored_before_is_seen_after() {
    everywhere(|| {
        let (map, over) = (Arc::new(Map::new()), Arc::new(AtomicBool::new(false)));
        map.store("first", 0);
        map.store("second", 0);
        let (writing, done) = (map.clone(), over.clone());
        let writer = go(move || {
            for n in 1..2000 {
                writing.store("first", n);
                writing.store("second", n);
                if n % 50 == 0 {
                    yield_now();
                }
            }
            done.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            let second = map.load("second").unwrap();
            let first = map.load("first").expect("a value that is replaced is never absent in between");
            assert!(first >= second, "{first} was stored before {second}");
            yield_now();
        }
        writer.join().unwrap();
    });
}

#[test]
fn many_goroutines_and_short_threads_use_one_map() {
    everywhere(|| {
        let (map, wg) = (Arc::new(Map::new()), WaitGroup::new());
        let n = if goroutines_are_threads() { 100 } else { 1000 };
        for i in 0..n {
            let map = map.clone();
            wg.go(move || {
                map.store(i, i);
                yield_now();
                assert_eq!(map.load(&i), Some(i));
            });
        }
        for _ in 0..20 {
            let map = map.clone();
            thread::spawn(move || map.store(n, n)).join().unwrap();
        }
        wg.wait();
        assert_eq!(keys_of(&map).len(), n + 1);
    });
}

fn keys_of(map: &Map<usize, usize>) -> Vec<usize> {
    let mut keys = Vec::new();
    map.range(|key, _| {
        keys.push(*key);
        true
    });
    keys
}
