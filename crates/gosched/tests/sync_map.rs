//! `sync::Map` (FEATURES Y29 to Y33).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{bounded, everywhere};
use gosched::sync::{Map, WaitGroup};
use gosched::{chan, go, yield_now};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// A number that is counted while it lives.
#[derive(Clone, Debug)]
struct Number(u32, #[allow(dead_code)] Counted);

impl Number {
    fn new(n: u32, live: &Arc<AtomicUsize>) -> Self {
        Self(n, Counted::new(live.clone()))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
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
fn Y32_clear_removes_everything() {
    let (map, live) = (Map::new(), Arc::new(AtomicUsize::new(0)));
    for n in 0..500 {
        map.store(n, Number::new(n, &live));
    }
    map.clear();
    assert_eq!(live.load(Ordering::SeqCst), 0, "the values are gone with it");
    assert_eq!(map.load_and_delete(&3), None);
    assert!(!map.compare_and_swap(&3, &Number::new(3, &live), Number::new(4, &live)));
    assert_eq!(map.swap(3, Number::new(5, &live)), None);
    assert!(!map.load_or_store(4, Number::new(6, &live)).1);
    map.range(|key, _| *key == 3 || *key == 4 || panic!("{key}"));
    assert_eq!(live.load(Ordering::SeqCst), 2);
}

#[test]
fn values_are_dropped_when_they_are_removed() {
    let (map, live) = (Map::new(), Arc::new(AtomicUsize::new(0)));
    let now = || live.load(Ordering::SeqCst);
    map.store(1, Number::new(1, &live));
    map.store(1, Number::new(2, &live));
    assert_eq!(now(), 1, "replaced");
    drop(map.load(&1));
    assert_eq!(map.load_or_store(1, Number::new(3, &live)).0.0, 2);
    assert_eq!(now(), 1, "not stored");
    let old = Number::new(2, &live);
    assert!(map.compare_and_swap(&1, &old, Number::new(4, &live)));
    assert!(!map.compare_and_swap(&1, &old, Number::new(5, &live)));
    drop(old);
    assert_eq!(now(), 1);
    map.delete(&1);
    assert_eq!(now(), 0, "deleted");
    (0..100).for_each(|n| map.store(n, Number::new(n, &live)));
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
