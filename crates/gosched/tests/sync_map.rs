//! `sync::Map` (FEATURES Y29 to Y33).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, goroutines_are_threads};
use gosched::sync::{Map, WaitGroup};
use gosched::{chan, go, go_async, yield_now};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn keys(map: &Map<u32, u32>) -> Vec<u32> {
    let mut keys = Vec::new();
    map.range(|key, _| {
        keys.push(*key);
        true
    });
    keys.sort_unstable();
    keys
}

/// Counts how many of it there are.
#[derive(Debug)]
struct Counted(u32, Arc<AtomicUsize>);

impl Counted {
    fn new(n: u32, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(n, live.clone())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.0, &self.1)
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn Y29_every_operation_of_Gos_map_is_there() {
    let map: Map<String, u32> = Map::new();
    map.store("a".into(), 1);
    assert_eq!(map.load("a"), Some(1));
    assert_eq!(map.load_or_store("b".into(), 2), (2, false));
    assert_eq!(map.swap("a".into(), 3), Some(1));
    assert!(map.compare_and_swap("a", &3, 4));
    assert_eq!(map.load_and_delete("a"), Some(4));
    assert!(map.compare_and_delete("b", &2));
    map.store("c".into(), 5);
    map.delete("c");
    map.store("d".into(), 6);
    assert_eq!(format!("{map:?}"), r#"{"d": 6}"#);
    map.range(|key, value| (key.as_str(), *value) == ("d", 6) || panic!("{key}"));
    map.clear();
    assert_eq!(format!("{map:?}"), "{}");
}

#[test]
fn Y30_results_say_what_was_there_before() {
    let map = Map::default();
    assert_eq!(map.load(&1), None);
    assert_eq!(map.swap(1, "new"), None);
    assert_eq!(map.swap(1, "newer"), Some("new"));
    assert_eq!(map.load_or_store(1, "other"), ("newer", true));
    assert_eq!(map.load_or_store(2, "other"), ("other", false));
    assert_eq!(map.load_and_delete(&2), Some("other"));
    assert_eq!(map.load_and_delete(&2), None);
    map.delete(&2);
    assert!(!map.compare_and_swap(&1, &"new", "x"), "another value");
    assert!(!map.compare_and_swap(&2, &"new", "x"), "no value");
    assert!(!map.compare_and_delete(&1, &"new"));
    assert!(!map.compare_and_delete(&2, &"new"), "absent");
    assert_eq!(map.load(&1), Some("newer"));
    assert!(map.compare_and_delete(&1, &"newer"));
    assert_eq!(map.load(&1), None);
}

#[test]
fn Y30_nothing_equal_is_equal_to_what_is_not_itself() {
    let map = Map::new();
    map.store(1, f64::NAN);
    assert!(!map.compare_and_swap(&1, &f64::NAN, 1.0));
    assert!(!map.compare_and_delete(&1, &f64::NAN));
}

#[test]
fn Y31_range_visits_each_key_once_and_stops_when_told() {
    let map = Map::new();
    for n in 0..1000 {
        map.store(n, n);
    }
    assert_eq!(keys(&map), (0..1000).collect::<Vec<_>>());
    let mut visited = 0;
    map.range(|_, _| {
        visited += 1;
        visited < 10
    });
    assert_eq!(visited, 10);
}

#[test]
fn Y31_the_closure_may_use_the_map() {
    let map = Map::new();
    for n in 0..100 {
        map.store(n, n);
    }
    let mut visited = 0;
    map.range(|&key, &value| {
        assert_eq!(key, value);
        visited += 1;
        // Takes its partner away before that one's turn, or after it.
        map.delete(&(key ^ 1));
        map.store(key + 1000, 0);
        map.range(|_, _| false);
        true
    });
    assert_eq!(visited, 50, "what is removed before its turn is not visited");
    map.range(|_, _| {
        map.clear();
        true
    });
    assert_eq!(keys(&map), []);
}

#[test]
fn Y31_the_value_is_one_that_the_key_had_during_the_call() {
    let map = Map::new();
    (0..10).for_each(|n| map.store(n, 0));
    let mut first = true;
    map.range(|_, &value| {
        if std::mem::take(&mut first) {
            (0..10).for_each(|n| map.store(n, 1));
        } else {
            assert_eq!(value, 1, "0 is gone");
        }
        true
    });
}

#[test]
fn Y31_goroutines_may_block_inside_range_without_blocking_others() {
    everywhere(|| {
        let map = Arc::new(Map::new());
        (0..20).for_each(|n| map.store(n, n));
        let (to, from) = chan::bounded(0);
        let (back, answers) = chan::bounded(0);
        let ranging = map.clone();
        let ranger = go(move || {
            ranging.range(|_, &value| {
                to.send(value).unwrap();
                answers.recv().unwrap()
            });
        });
        let mut sum = 0;
        for value in from.iter() {
            sum += value;
            // Meanwhile everything works, on the same worker too.
            map.store(value, 100);
            map.store(1000 + value, value);
            map.delete(&(1000 + value));
            back.send(sum < 190).unwrap();
            if sum == 190 {
                break;
            }
        }
        ranger.join().unwrap();
        assert_eq!(sum, 190);
    });
}

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
fn Y32_clear_removes_everything() {
    let (map, live) = (Map::new(), Arc::new(AtomicUsize::new(0)));
    for n in 0..500 {
        map.store(n, Counted::new(n, &live));
    }
    map.clear();
    assert_eq!(live.load(Ordering::SeqCst), 0, "the values are gone with it");
    assert_eq!(map.load_and_delete(&3), None);
    assert!(!map.compare_and_swap(&3, &Counted::new(3, &live), Counted::new(4, &live)));
    assert_eq!(map.swap(3, Counted::new(5, &live)), None);
    assert!(!map.load_or_store(4, Counted::new(6, &live)).1);
    map.range(|key, _| *key == 3 || *key == 4 || panic!("{key}"));
    assert_eq!(live.load(Ordering::SeqCst), 2);
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
fn values_are_dropped_when_they_are_removed() {
    let (map, live) = (Map::new(), Arc::new(AtomicUsize::new(0)));
    let now = || live.load(Ordering::SeqCst);
    map.store(1, Counted::new(1, &live));
    map.store(1, Counted::new(2, &live));
    assert_eq!(now(), 1, "replaced");
    drop(map.load(&1));
    assert_eq!(map.load_or_store(1, Counted::new(3, &live)).0.0, 2);
    assert_eq!(now(), 1, "not stored");
    let old = Counted::new(2, &live);
    assert!(map.compare_and_swap(&1, &old, Counted::new(4, &live)));
    assert!(!map.compare_and_swap(&1, &old, Counted::new(5, &live)));
    drop(old);
    assert_eq!(now(), 1);
    map.delete(&1);
    assert_eq!(now(), 0, "deleted");
    (0..100).for_each(|n| map.store(n, Counted::new(n, &live)));
    assert_eq!(map.load_and_delete(&7).unwrap().0, 7);
    assert_eq!(now(), 99);
    drop(map);
    assert_eq!(now(), 0, "the map is gone");
}

#[test]
fn a_deleted_sender_closes_its_channel() {
    bounded(|| {
        let map = Map::new();
        let (tx, rx) = chan::bounded::<()>(0);
        map.store("subscriber", tx);
        let other = Arc::new(map);
        let deleting = other.clone();
        let deleter = go(move || deleting.delete("subscriber"));
        assert!(rx.recv().is_err());
        deleter.join().unwrap();
    });
}

#[test]
fn values_may_block_and_use_the_map_wherever_their_code_runs() {
    /// Blocks in all its code.
    #[derive(Debug)]
    struct Slow(u32, Arc<Map<u32, u32>>);
    impl Slow {
        fn nap(&self) {
            self.1.store(self.0, 1);
            gosched::time::sleep(Duration::from_micros(100));
            self.1.delete(&self.0);
        }
    }
    impl Clone for Slow {
        fn clone(&self) -> Self {
            self.nap();
            Self(self.0, self.1.clone())
        }
    }
    impl PartialEq for Slow {
        fn eq(&self, other: &Self) -> bool {
            self.nap();
            self.0 == other.0
        }
    }
    impl Drop for Slow {
        fn drop(&mut self) {
            self.nap();
        }
    }
    everywhere(|| {
        let (map, used, wg) = (Arc::new(Map::new()), Arc::new(Map::new()), WaitGroup::new());
        for n in 0..6u32 {
            let (map, used) = (map.clone(), used.clone());
            wg.go(move || {
                for round in 0..5 {
                    let key = (n + round) % 3;
                    map.store(key, Slow(n, used.clone()));
                    let was = map.load(&key);
                    if let Some(was) = was {
                        map.compare_and_swap(&key, &was, Slow(n + 10, used.clone()));
                    }
                    drop(map.load_and_delete(&key));
                }
            });
        }
        wg.wait();
    });
}

#[test]
fn keys_may_block_in_hash_and_eq() {
    #[derive(Debug, Eq, Clone)]
    struct Slow(u32);
    impl PartialEq for Slow {
        fn eq(&self, other: &Self) -> bool {
            gosched::time::sleep(Duration::from_micros(200));
            self.0 == other.0
        }
    }
    impl Hash for Slow {
        fn hash<H: Hasher>(&self, state: &mut H) {
            yield_now();
            // All of one hash, so that others' keys are compared too.
            0.hash(state);
        }
    }
    everywhere(|| {
        let (map, wg) = (Arc::new(Map::new()), WaitGroup::new());
        for n in 0..4 {
            let map = map.clone();
            wg.go(move || {
                for round in 0..5u32 {
                    assert_eq!(map.swap(Slow(n), round), round.checked_sub(1));
                    assert_eq!(map.load(&Slow(n)), Some(round));
                }
            });
        }
        wg.wait();
        map.range(|_, round| *round == 4 || panic!("{round}"));
    });
}

#[test]
fn a_panic_in_a_keys_eq_is_passed_on_and_changes_nothing() {
    #[derive(Debug, Eq, Clone)]
    struct Touchy(bool);
    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            assert!(!(self.0 ^ other.0), "do not compare me");
            true
        }
    }
    impl Hash for Touchy {
        fn hash<H: Hasher>(&self, state: &mut H) {
            0.hash(state);
        }
    }
    let map = Map::new();
    map.store(Touchy(false), 1);
    assert!(common::panic_text(|| map.store(Touchy(true), 2)).contains("do not compare me"));
    assert!(common::panic_text(|| map.load(&Touchy(true))).contains("do not compare me"));
    assert_eq!(map.swap(Touchy(false), 3), Some(1));
    assert_eq!(map.load(&Touchy(false)), Some(3));
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
