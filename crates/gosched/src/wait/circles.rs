//! Who holds which lock, and who waits for whom: to find goroutines that wait for each other in a circle while others go on.
//!
//! Debug builds only (and not under `GOSCHED_DEADLOCK_CHECK=0`): an uncontended lock with its unlock and the call around
//! them are 22 instructions, and to store the current goroutine and the place there makes them 34. In release builds
//! [`TRACKS`] is false, and nothing of this is left in the program: not a branch.
//!
//! # What is known of an owner
//!
//! The goroutine that has locked, and where. That it still has the guard is not known: guards are values, and may be moved
//! to others. So a lock counts as *known* only until something hints at that:
//!
//! * a message, or the body of a new goroutine, in which the lock's address occurs, as it does in a guard, leaves the
//!   goroutine while it holds the lock ([`leaves`]). A mere reference looks the same; then a circle may be missed.
//! * a lock that was locked in the same line has been unlocked by another goroutine, or by a thread, at any time before.
//!
//! What is hidden from both, such as a guard in a box, sent for the first time, is taken for the locker's until it is
//! unlocked. So is a lock that is moved while locked (its guard was forgotten) for one at its old place.
//!
//! # What a goroutine waits for
//!
//! Noted by blocking calls without a deadline, that end only by what is noted: a lock, the end of a goroutine, the
//! goroutines that a wait group counts by itself (`WaitGroup::go`). A future may wait for several things at once, and be
//! dropped; so those that are awaited count for nothing.
//!
//! # Why a circle is one
//!
//! Every wait and every hold has a number of its own. Looked at twice, with the same numbers, all waits and holds of a
//! circle were there from the end of the first look to the beginning of the second, hence at the same time; and none of
//! them ends before another of them does.

use super::At;
use super::WaitReason;
use crate::sys::census;
use crate::sys::global::{Mutex, MutexGuard, lock};
use crate::task::TaskRef;
use crate::task::current::current_task;
use crate::task::reason::GoroutineState;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::size_of_val;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whether anything is noted at all.
pub(crate) const TRACKS: bool = cfg!(debug_assertions);

/// How a lock is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A mutex, or a reader-writer lock for writing.
    Alone,
    Shared,
}

/// A goroutine has a lock.
#[derive(Clone, Debug)]
struct Hold {
    owner: u64,
    way: Way,
    at: At,
    number: u64,
    known: bool,
}

/// What a goroutine waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The lock at this address.
    Lock(usize, Way),
    /// The end of this goroutine.
    End(u64),
    /// The end of all that the wait group at this address counts by itself.
    Group(usize),
}

#[derive(Clone, Debug)]
struct Wait {
    task: TaskRef,
    target: Target,
    reason: WaitReason,
    at: At,
    number: u64,
    since: Instant,
}

const SHARDS: usize = 64;
type Shards<V> = [Mutex<BTreeMap<u64, V>>; SHARDS];

/// By the address of the lock.
static HOLDS: Shards<Vec<Hold>> = [const { Mutex::new(BTreeMap::new()) }; SHARDS];
/// The locks that a goroutine holds, by its id.
static HELD: Shards<Vec<usize>> = [const { Mutex::new(BTreeMap::new()) }; SHARDS];
/// By the id of the goroutine.
static WAITS: Mutex<BTreeMap<u64, Wait>> = Mutex::new(BTreeMap::new());
/// Wait groups by address, and the goroutines that they count by themselves.
static COUNTED: Mutex<BTreeSet<(usize, u64)>> = Mutex::new(BTreeSet::new());
/// The places of locks whose guards travel.
static TRAVELS: Mutex<BTreeSet<(&'static str, u32, u32)>> = Mutex::new(BTreeSet::new());

/// How many locks are held by goroutines.
static HOLD_COUNT: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(1);
/// The number of the last wait.
static LAST_WAIT: AtomicU64 = AtomicU64::new(0);

fn shard<V>(shards: &'static Shards<V>, key: u64) -> MutexGuard<'static, BTreeMap<u64, V>> {
    // Addresses are multiples of eight, and those of neighbours should not meet.
    lock(&shards[((key ^ key >> 3 ^ key >> 9) % SHARDS as u64) as usize])
}

fn place(at: At) -> (&'static str, u32, u32) {
    (at.file(), at.line(), at.column())
}

/// The caller has taken a lock.
#[inline(always)]
#[track_caller]
pub(crate) fn locked<L>(lock: &L, way: Way) {
    if TRACKS {
        note_locked(std::ptr::from_ref(lock).addr(), way, Location::caller());
    }
}

/// The same where the place is known.
#[inline(always)]
pub(crate) fn locked_at<L>(lock: &L, way: Way, at: At) {
    if TRACKS {
        note_locked(std::ptr::from_ref(lock).addr(), way, at);
    }
}

fn note_locked(address: usize, way: Way, at: At) {
    let task = current_task().filter(|_| census::is_on());
    if task.is_none() && HOLD_COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut shard_of_lock = shard(&HOLDS, address as u64);
    if way == Way::Alone {
        // Of one that was forgotten, and of locks that were at this address before.
        forget(&shard_of_lock.remove(&(address as u64)).unwrap_or_default(), address);
    }
    let Some(task) = task else { return };
    let known = !crate::sys::global::lock(&TRAVELS).contains(&place(at));
    let hold = Hold { owner: task.id.get(), way, at, number: next_number(), known };
    shard(&HELD, hold.owner).entry(hold.owner).or_default().push(address);
    HOLD_COUNT.fetch_add(1, Ordering::Relaxed);
    shard_of_lock.entry(address as u64).or_default().push(hold);
}

/// They are not held any more.
fn forget(holds: &[Hold], address: usize) {
    for hold in holds {
        HOLD_COUNT.fetch_sub(1, Ordering::Relaxed);
        let mut held = shard(&HELD, hold.owner);
        if let Some(locks) = held.get_mut(&hold.owner) {
            if let Some(at) = locks.iter().position(|lock| *lock == address) {
                locks.swap_remove(at);
            }
            if locks.is_empty() {
                held.remove(&hold.owner);
            }
        }
    }
}

fn next_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// The caller is about to give a lock back.
#[inline(always)]
pub(crate) fn unlocking<L>(lock: &L) {
    if TRACKS && HOLD_COUNT.load(Ordering::Relaxed) > 0 {
        note_unlocking(std::ptr::from_ref(lock).addr());
    }
}

fn note_unlocking(address: usize) {
    let me = current_task().map_or(0, |task| task.id.get());
    let mut shard_of_lock = shard(&HOLDS, address as u64);
    let Some(holds) = shard_of_lock.get_mut(&(address as u64)) else { return };
    let gone = match holds.iter().rposition(|hold| hold.owner == me) {
        Some(mine) => holds.swap_remove(mine),
        None => {
            // Somebody else's guard; of several, nobody knows whose.
            let mut travels = lock(&TRAVELS);
            for hold in holds.iter_mut() {
                hold.known = false;
                travels.insert(place(hold.at));
            }
            holds.swap_remove(0)
        }
    };
    if holds.is_empty() {
        shard_of_lock.remove(&(address as u64));
    }
    forget(&[gone], address);
}

/// The caller makes a reader of a writer.
#[inline(always)]
pub(crate) fn downgraded<L>(lock: &L) {
    if TRACKS {
        let address = std::ptr::from_ref(lock).addr() as u64;
        if let Some(holds) = shard(&HOLDS, address).get_mut(&address) {
            holds.iter_mut().for_each(|hold| hold.way = Way::Shared);
        }
    }
}

/// A value leaves the goroutine: locks whose guards it may contain are not known to be the goroutine's any more.
#[inline(always)]
pub(crate) fn leaves<T: ?Sized>(value: &T) {
    if TRACKS && HOLD_COUNT.load(Ordering::Relaxed) > 0 {
        note_leaving(std::ptr::from_ref(value).cast(), size_of_val(value), align_of_val(value));
    }
}

fn note_leaving(value: *const usize, size: usize, align: usize) {
    let Some(task) = current_task() else { return };
    if align < align_of::<usize>() {
        // No reference fits in.
        return;
    }
    let Some(locks) = shard(&HELD, task.id.get()).get(&task.id.get()).cloned() else { return };
    for at in 0..size / size_of::<usize>() {
        // SAFETY: inside the value, which is aligned. Values that are not addresses are only compared. Volatile: the
        // compiler knows nothing of these words.
        let word = unsafe { value.add(at).read_volatile() };
        if locks.contains(&word)
            && let Some(holds) = shard(&HOLDS, word as u64).get_mut(&(word as u64))
        {
            holds.iter_mut().filter(|hold| hold.owner == task.id.get()).for_each(|hold| hold.known = false);
        }
    }
}

/// While it is there, the goroutine waits.
#[derive(Debug)]
#[must_use]
pub(crate) struct Waiting(Option<u64>);

/// The calling goroutine begins to wait, until what is returned is dropped.
#[inline(always)]
#[track_caller]
pub(crate) fn waits(reason: WaitReason, target: impl FnOnce() -> Target) -> Waiting {
    if TRACKS { note_waiting(reason, target(), Location::caller()) } else { Waiting(None) }
}

/// The same for the lock at an address.
#[inline(always)]
#[track_caller]
pub(crate) fn waits_for_lock<L>(reason: WaitReason, lock: &L, way: Way) -> Waiting {
    waits(reason, || Target::Lock(std::ptr::from_ref(lock).addr(), way))
}

fn note_waiting(reason: WaitReason, target: Target, at: At) -> Waiting {
    let Some(task) = current_task().filter(|_| census::is_on()) else { return Waiting(None) };
    let number = next_number();
    let wait = Wait { task, target, reason, at, number, since: Instant::now() };
    lock(&WAITS).insert(task.id.get(), wait);
    LAST_WAIT.store(number, Ordering::SeqCst);
    Waiting(Some(task.id.get()))
}

impl Drop for Waiting {
    #[inline(always)]
    fn drop(&mut self) {
        if TRACKS && let Some(id) = self.0 {
            lock(&WAITS).remove(&id);
        }
    }
}

/// A wait group counts the calling goroutine, until what is returned is dropped.
pub(crate) fn counted<G>(group: &G) -> Counted {
    let address = std::ptr::from_ref(group).addr();
    let entry = current_task().filter(|_| TRACKS && census::is_on()).map(|task| (address, task.id.get()));
    if let Some(entry) = entry {
        lock(&COUNTED).insert(entry);
    }
    Counted(entry)
}

/// See [`counted`].
#[derive(Debug)]
pub(crate) struct Counted(Option<(usize, u64)>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            lock(&COUNTED).remove(&entry);
        }
    }
}

/// Why one goroutine of a circle waits for the next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    /// That one has the lock, since it was there.
    Locked(At),
    /// That one wants to write, there, and has come first.
    Queued(At),
    Ends,
    Counted,
}

/// A goroutine of a circle.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) id: u64,
    pub(crate) reason: WaitReason,
    pub(crate) at: At,
    /// Why it waits for the next one.
    pub(crate) why: Why,
    /// The numbers of the wait, and of what it waits for.
    pub(crate) numbers: (u64, u64),
}

/// The number of the last wait. Where it has not changed, there is no new circle.
pub(crate) fn last_wait() -> u64 {
    LAST_WAIT.load(Ordering::SeqCst)
}

/// The circles there seem to be of goroutines that have been waiting for so long; no goroutine is in two.
pub(crate) fn find(age: Duration) -> Vec<Vec<Step>> {
    // Those of runtimes that are shut down will never end.
    let is_there = |id: u64, wait: &Wait| {
        wait.task.peek().is_some_and(|peek| peek.id == id && !matches!(peek.state, GoroutineState::Running))
    };
    let mut waits = {
        let mut waits = lock(&WAITS);
        waits.retain(|id, wait| wait.task.peek().is_some_and(|peek| peek.id == *id));
        waits.clone()
    };
    waits.retain(|id, wait| wait.since.elapsed() >= age && is_there(*id, wait));
    let mut done: BTreeSet<u64> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in waits.keys() {
        // Depth first; no recursion, since chains may be long. Each goroutine with the waits that are still to be followed.
        let mut path: Vec<(u64, Vec<Edge>)> = Vec::new();
        let mut steps: Vec<Step> = Vec::new();
        let mut next = Some(*start);
        loop {
            if let Some(id) = next.take()
                && !done.contains(&id)
            {
                done.insert(id);
                path.push((id, edges(&waits[&id], &waits)));
            } else if !steps.is_empty() && steps.len() == path.len() {
                steps.pop();
            }
            let Some((id, left)) = path.last_mut() else { break };
            let Some(edge) = left.pop() else {
                path.pop();
                continue;
            };
            let wait = &waits[id];
            let numbers = (wait.number, edge.number);
            steps.push(Step { id: *id, reason: wait.reason, at: wait.at, why: edge.why, numbers });
            if let Some(begin) = path.iter().position(|(id, _)| *id == edge.to) {
                circles.push(steps[begin..].to_vec());
                break;
            }
            next = Some(edge.to);
        }
    }
    circles
}

/// A goroutine that another waits for, and that waits itself.
struct Edge {
    to: u64,
    why: Why,
    number: u64,
}

fn edges(wait: &Wait, waits: &BTreeMap<u64, Wait>) -> Vec<Edge> {
    let mut edges = match wait.target {
        Target::End(id) => vec![Edge { to: id, why: Why::Ends, number: 0 }],
        Target::Group(group) => {
            let counted = lock(&COUNTED).range((group, 0)..=(group, u64::MAX)).copied().collect::<Vec<_>>();
            counted.iter().map(|(_, id)| Edge { to: *id, why: Why::Counted, number: 0 }).collect()
        }
        Target::Lock(address, way) => {
            let holds = shard(&HOLDS, address as u64).get(&(address as u64)).cloned().unwrap_or_default();
            let mut edges: Vec<Edge> = holds
                .iter()
                .filter(|hold| hold.known && (way == Way::Alone || hold.way == Way::Alone))
                .map(|hold| Edge { to: hold.owner, why: Why::Locked(hold.at), number: hold.number })
                .collect();
            if way == Way::Shared {
                // A reader stands behind the writers that have come before it.
                let first =
                    |other: &Wait| matches!(other.target, Target::Lock(a, Way::Alone) if a == address);
                let writers = waits.iter().filter(|(_, other)| other.number < wait.number && first(other));
                edges.extend(writers.map(|(id, writer)| Edge {
                    to: *id,
                    why: Why::Queued(writer.at),
                    number: writer.number,
                }));
            }
            edges
        }
    };
    edges.retain(|edge| waits.contains_key(&edge.to));
    edges
}
