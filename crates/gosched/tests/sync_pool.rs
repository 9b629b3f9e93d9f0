//! `sync::Pool` (FEATURES Y27, Y28).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, panic_text};
use gosched::sync::{Pool, PoolGuard, WaitGroup};
use gosched::{go, go_async, yield_now};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Most items that one worker's stock keeps, as the docs say.
const STOCK: usize = 64;

#[test]
fn Y27_get_returns_what_was_put_or_something_new() {
    let pool: Pool<String> = Pool::new(|| "new".to_owned());
    assert_eq!(pool.get(), "new");
    assert_eq!(pool.try_get(), None);
    pool.put("used".to_owned());
    assert_eq!(pool.get(), "used");
    assert_eq!(pool.get(), "new");
    pool.put("again".to_owned());
    assert_eq!(format!("{pool:?}"), "Pool { items: 1, .. }");
    assert_eq!(pool.try_get().as_deref(), Some("again"));
}

#[test]
fn Y01_a_pool_may_be_a_static() {
    static POOL: Pool<Vec<u8>> = Pool::new(Vec::new);
    POOL.put(vec![1]);
    assert_eq!(POOL.get(), [1]);
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let counting = Pool::new(|| MADE.fetch_add(1, Ordering::Relaxed));
    assert_eq!((counting.get(), counting.get()), (0, 1));
}

#[test]
fn Y27_items_vanish_only_when_the_stock_is_full_or_cleared() {
    let live = Arc::new(());
    let pool = Pool::new(|| live.clone());
    for _ in 0..STOCK {
        pool.put(live.clone());
    }
    assert_eq!(Arc::strong_count(&live), 1 + STOCK);
    pool.put(live.clone());
    assert_eq!(Arc::strong_count(&live), 1 + STOCK, "one too many is dropped at once");
    pool.clear();
    assert_eq!(Arc::strong_count(&live), 1);
    pool.put(live.clone());
    drop(pool);
    assert_eq!(Arc::strong_count(&live), 1, "the pool's end is theirs");
}

#[test]
fn a_guard_puts_its_item_back() {
    let pool: Pool<Vec<u32>> = Pool::new(Vec::new);
    let mut guard: PoolGuard<'_, Vec<u32>> = pool.get_guard();
    guard.push(1);
    assert_eq!(format!("{guard:?} {pool:?}"), "[1] Pool { items: 0, .. }");
    drop(guard);
    let guard = pool.get_guard();
    assert_eq!(*guard, [1]);
    let kept = PoolGuard::detach(guard);
    assert_eq!((kept, pool.try_get()), (vec![1], None));
}

#[test]
fn an_item_whose_user_panicked_does_not_come_back() {
    let pool: Pool<Vec<u32>> = Pool::new(Vec::new);
    let text = panic_text(|| {
        let mut half_done = pool.get_guard();
        half_done.push(1);
        std::panic::resume_unwind(Box::new("in between"))
    });
    assert_eq!(text, "in between");
    assert_eq!(pool.try_get(), None);
}

#[test]
fn destructors_and_makers_may_block_and_use_the_pool() {
    struct Nosy(Arc<Pool<u32>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.put(1);
            yield_now();
        }
    }
    everywhere(|| {
        let inner: Arc<Pool<u32>> = Arc::new(Pool::new(|| 0));
        let pool = Pool::new(|| {
            yield_now();
            inner.get();
            Nosy(inner.clone())
        });
        for _ in 0..STOCK + 10 {
            pool.put(Nosy(inner.clone()));
        }
        drop(pool.get());
        pool.clear();
    });
}

#[test]
fn Y28_what_others_have_put_is_found() {
    bounded(|| {
        let pool = Arc::new(Pool::new(|| 0));
        // Each on a thread with a number of its own: one of them surely has another stock.
        for n in 1..=5 {
            let pool = pool.clone();
            thread::spawn(move || pool.put(n)).join().unwrap();
        }
        let found: HashSet<i32> = (0..5).map(|_| pool.try_get().expect("it is there")).collect();
        assert_eq!(found, HashSet::from([1, 2, 3, 4, 5]));
        assert_eq!(pool.try_get(), None);
    });
}

#[test]
fn Y28_a_storm_hands_no_item_to_two() {
    everywhere(|| {
        const ROUNDS: usize = 300;
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        // An item is the number of its own mark, which is set while somebody has it.
        let pool = Arc::new(Pool::new(move || count.fetch_add(1, Ordering::SeqCst)));
        let taken: Arc<Mutex<HashSet<usize>>> = Arc::default();
        let (wg, most) = (WaitGroup::new(), 10);
        let round = |pool: &Pool<usize, _>, taken: &Mutex<HashSet<usize>>| {
            let item = pool.get();
            assert!(taken.lock().unwrap().insert(item), "{item} is with two");
            yield_now();
            assert!(taken.lock().unwrap().remove(&item));
            pool.put(item);
        };
        for _ in 0..most - 4 {
            let (pool, taken) = (pool.clone(), taken.clone());
            wg.go(move || (0..ROUNDS).for_each(|_| round(&pool, &taken)));
        }
        for _ in 0..2 {
            let (pool, taken, done) = (pool.clone(), taken.clone(), wg.clone());
            wg.add(1);
            go_async(async move {
                (0..ROUNDS).for_each(|_| round(&pool, &taken));
                done.done();
            });
        }
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (pool, taken) = (pool.clone(), taken.clone());
                thread::spawn(move || (0..ROUNDS).for_each(|_| round(&pool, &taken)))
            })
            .collect();
        wg.wait();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // A get may miss an item that is being put, but most are found.
        assert!(made.load(Ordering::SeqCst) < most * ROUNDS / 2, "made {made:?}");
        let mut left = HashSet::new();
        while let Some(item) = pool.try_get() {
            assert!(left.insert(item), "{item} was in the pool twice");
        }
        assert!(!left.is_empty() && left.len() <= made.load(Ordering::SeqCst));
    });
}

#[test]
fn Y28_guards_move_with_their_goroutine() {
    everywhere(|| {
        static POOL: Pool<Vec<u8>> = Pool::new(Vec::new);
        POOL.clear();
        let children: Vec<_> = (0..50)
            .map(|n| {
                go(move || {
                    let mut buffer = POOL.get_guard();
                    buffer.clear();
                    for i in 0..10 {
                        buffer.push(n);
                        yield_now();
                        assert_eq!(*buffer, vec![n; i + 1], "it is nobody else's");
                    }
                })
            })
            .collect();
        children.into_iter().for_each(|child| child.join().unwrap());
    });
}
