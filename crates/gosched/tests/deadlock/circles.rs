//! Goroutines that wait for each other in a circle while others go on: printed once, and the program runs on. In debug
//! builds; in others nothing is noted.

use super::common::{eventually, ms, stderr};
use super::{Test, program, result};
use gosched::chan::bounded;
use gosched::sync::{Mutex, MutexGuard, RwLock, WaitGroup};
use gosched::time::sleep;
use gosched::{WaitReason, debug, go, goroutine};
use std::thread;
use std::time::Duration;

#[cfg(debug_assertions)]
pub(super) const TESTS: &[Test] = &[
    ("D05_two_mutexes_in_opposite_order_while_others_go_on", two_are_told, two_mutexes),
    ("D05_a_circle_through_a_join", join_is_told, through_join),
    ("D05_a_circle_through_a_wait_group", group_is_told, through_wait_group),
    ("D05_a_circle_of_readers_and_writers", readers_are_told, reader_and_writer),
    ("D05_a_mutex_locked_twice", itself_is_told, locked_twice),
    ("D05_circles_are_also_found_where_goroutines_are_threads", two_are_told, os_threads),
    ("D05_a_lock_that_is_held_for_long_is_no_circle", says_nothing, held_for_long),
    ("D05_waits_with_a_deadline_are_no_circle", says_nothing, with_deadlines),
    ("D05_guards_that_were_sent_are_nobodys", says_nothing, sent_guards),
    ("D05_guards_that_were_given_to_a_goroutine_are_nobodys", says_nothing, given_guards),
    ("D05_guards_that_once_travelled_unseen_are_nobodys", says_nothing, travelled_guards),
];
#[cfg(not(debug_assertions))]
pub(super) const TESTS: &[Test] = &[];

/// Longer than it takes to find a circle.
const LONG: Duration = Duration::from_millis(2500);

fn says_nothing(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

/// The program goes on, and what it has said is this, with ids in the order of their appearance and lines as `N`. A circle
/// has no beginning, so it may begin with either of two.
fn is_told(test: &str, texts: &[&str]) {
    let output = program(test).output();
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let masked = masked(&err);
    assert!(texts.contains(&masked.as_str()), "{err}\n{masked:?}");
}

fn masked(text: &str) -> String {
    let mut ids: Vec<&str> = Vec::new();
    let mut masked = String::new();
    for line in text.lines() {
        let line = match line.trim_start().rsplit_once(".rs:") {
            Some((file, _)) => format!("\t{}.rs:N", file.rsplit('/').next().unwrap()),
            None => line.to_owned(),
        };
        masked += &(line + "\n");
    }
    let words = text.split("goroutine ").skip(1);
    for id in
        words.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()).filter(|id| !id.is_empty())
    {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    for (at, id) in ids.iter().enumerate() {
        masked = masked.replace(&format!("goroutine {id} "), &format!("goroutine #{} ", at + 1));
        masked = masked.replace(&format!("goroutine {id},"), &format!("goroutine #{},", at + 1));
    }
    masked.replace('#', "")
}

fn two_are_told(test: &str) {
    const ONE: &str = "[sync.Mutex.Lock]:\nwaits at\n\tcircles.rs:N\n";
    const LOCKED: &str = "which locked it at\n\tcircles.rs:N\n";
    let head = "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n";
    let circle = |a: &str, b: &str| {
        format!(
            "{head}\ngoroutine 1 {a} {ONE}for goroutine 2 {b}, {LOCKED}\ngoroutine 2 {b} {ONE}for goroutine 1 {a}, {LOCKED}"
        )
    };
    let either = [circle("\"left\"", "\"right\""), circle("\"right\"", "\"left\"")];
    is_told(test, &either.each_ref().map(String::as_str));
}

fn join_is_told(test: &str) {
    let texts = [
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [join]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2 to end\n\n\
         goroutine 2 [sync.Mutex.Lock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which locked it at\n\tcircles.rs:N\n",
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [sync.Mutex.Lock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2, which locked it at\n\tcircles.rs:N\n\n\
         goroutine 2 [join]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1 to end\n",
    ];
    is_told(test, &texts);
}

fn group_is_told(test: &str) {
    let texts = [
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [sync.WaitGroup.Wait]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2, which the group counts, to end\n\n\
         goroutine 2 [sync.RWMutex.RLock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which locked it at\n\tcircles.rs:N\n",
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [sync.RWMutex.RLock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2, which locked it at\n\tcircles.rs:N\n\n\
         goroutine 2 [sync.WaitGroup.Wait]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which the group counts, to end\n",
    ];
    is_told(test, &texts);
}

fn readers_are_told(test: &str) {
    let texts = [
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [sync.RWMutex.RLock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2, which wants to write at\n\tcircles.rs:N\n\n\
         goroutine 2 [sync.RWMutex.Lock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which locked it at\n\tcircles.rs:N\n",
        "gosched: deadlock: 2 goroutines wait for each other, while others go on:\n\n\
         goroutine 1 [sync.RWMutex.Lock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 2, which locked it at\n\tcircles.rs:N\n\n\
         goroutine 2 [sync.RWMutex.RLock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which wants to write at\n\tcircles.rs:N\n",
    ];
    is_told(test, &texts);
}

fn itself_is_told(test: &str) {
    let text = "gosched: deadlock: a goroutine waits for itself, while others go on:\n\n\
                goroutine 1 [sync.Mutex.Lock]:\nwaits at\n\tcircles.rs:N\nfor goroutine 1, which locked it at\n\tcircles.rs:N\n";
    is_told(test, &[text]);
}

/// Waits until so many goroutines wait for that reason.
fn until_waiting(count: usize, reason: WaitReason) {
    eventually("they wait", || {
        let all = debug::goroutines();
        all.iter().filter(|info| info.state == debug::GoroutineState::Waiting(reason)).count() == count
    });
}

/// Others go on, for longer than it takes to find a circle, and twice.
fn go_on() {
    for _ in 0..50 {
        sleep(LONG / 50);
    }
}

fn opposite_order() {
    static LOCKS: [Mutex<u8>; 2] = [Mutex::new(0), Mutex::new(1)];
    let held = WaitGroup::new();
    held.add(2);
    for (name, first, second) in [("left", 0, 1), ("right", 1, 0)] {
        let held = held.clone();
        let child = goroutine::Builder::new().name(name).spawn(move || {
            let mut one = LOCKS[first].lock();
            held.done();
            held.wait();
            let other = LOCKS[second].lock();
            *one += *other;
        });
        drop(child.unwrap());
    }
    until_waiting(2, WaitReason::MutexLock);
    // A third, which is no part of it, waits behind them.
    drop(go(|| *LOCKS[0].lock()));
    go_on();
}

#[gosched::main(workers = 2)]
fn two_mutexes() {
    opposite_order();
}

#[gosched::main(workers = 2, os_threads)]
fn os_threads() {
    opposite_order();
}

#[gosched::main(workers = 2)]
fn through_join() {
    static LOCK: Mutex<()> = Mutex::new(());
    drop(go(|| {
        let _held = LOCK.lock();
        let child = go(|| drop(LOCK.lock()));
        child.join().unwrap();
    }));
    go_on();
}

#[gosched::main(workers = 2)]
fn through_wait_group() {
    static LOCK: RwLock<()> = RwLock::new(());
    drop(go(|| {
        let _held = LOCK.write();
        let group = WaitGroup::new();
        group.go(|| ());
        group.go(|| drop(LOCK.read()));
        group.wait();
    }));
    go_on();
}

#[gosched::main(workers = 2)]
fn reader_and_writer() {
    static LOCK: RwLock<()> = RwLock::new(());
    drop(go(|| {
        let _reads = LOCK.read();
        drop(go(|| drop(LOCK.write())));
        until_waiting(1, WaitReason::RwLockWrite);
        drop(LOCK.read());
    }));
    go_on();
}

#[gosched::main(workers = 2)]
fn locked_twice() {
    static LOCK: Mutex<()> = Mutex::new(());
    drop(go(|| {
        let _one = LOCK.lock();
        let _two = LOCK.lock();
    }));
    go_on();
}

#[gosched::main(workers = 2)]
fn held_for_long() {
    static LOCKS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
    // A chain, which ends with one that sleeps.
    let last = go(|| {
        let _held = LOCKS[0].lock();
        sleep(LONG);
    });
    until_waiting(1, WaitReason::Sleep);
    let middle = go(|| {
        let _held = LOCKS[1].lock();
        drop(LOCKS[0].lock());
    });
    until_waiting(1, WaitReason::MutexLock);
    let first = go(|| drop(LOCKS[1].lock()));
    for child in [first, middle, last] {
        child.join().unwrap();
    }
}

#[gosched::main(workers = 2)]
fn with_deadlines() {
    static LOCKS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
    let both = WaitGroup::new();
    both.add(2);
    let take = |first: usize, second: usize| {
        let both = both.clone();
        go(move || {
            let _one = LOCKS[first].lock();
            both.done();
            both.wait();
            // One of them gives up, and lets the other one have both.
            match first {
                0 => drop(LOCKS[second].lock()),
                _ => drop(LOCKS[second].try_lock_for(LONG)),
            }
        })
    };
    let children = [take(0, 1), take(1, 0)];
    children.into_iter().for_each(|child| child.join().unwrap());
}

/// Keeps the guard for long.
fn keep<T>(guard: MutexGuard<'static, T>) {
    sleep(LONG);
    drop(guard);
}

#[gosched::main(workers = 2)]
fn sent_guards() {
    static LOCK: Mutex<u64> = Mutex::new(0);
    let (tx, rx) = bounded::<(u8, MutexGuard<'static, u64>)>(0);
    let keeper = go(move || keep(rx.recv().unwrap().1));
    tx.send((1, LOCK.lock())).unwrap();
    // Not by itself, for all that the library knows.
    *LOCK.lock() += 1;
    keeper.join().unwrap();
}

#[gosched::main(workers = 2)]
fn given_guards() {
    static LOCK: Mutex<u64> = Mutex::new(0);
    let guard = LOCK.lock();
    let keeper = go(move || keep(guard));
    *LOCK.lock() += 1;
    keeper.join().unwrap();
    // Nor by a plain thread.
    let (tx, rx) = bounded(1);
    let thread = thread::spawn(move || keep(rx.recv().unwrap()));
    tx.send(LOCK.lock()).unwrap();
    drop(LOCK.lock());
    thread.join().unwrap();
}

/// A guard in a box, by a channel that is not ours: seen when it is unlocked, by somebody else than the one who locked.
#[gosched::main(workers = 2)]
fn travelled_guards() {
    static LOCK: Mutex<u64> = Mutex::new(0);
    let (tx, rx) = std::sync::mpsc::channel::<Box<MutexGuard<'static, u64>>>();
    let (tell, told) = bounded(0);
    let keeper = go(move || {
        for wait in [ms(1), LONG] {
            let guard = rx.recv().unwrap();
            sleep(wait);
            drop(guard);
            tell.send(()).unwrap();
        }
    });
    for _ in 0..2 {
        tx.send(Box::new(LOCK.lock())).unwrap();
        *LOCK.lock() += 1;
        told.recv().unwrap();
    }
    keeper.join().unwrap();
}
