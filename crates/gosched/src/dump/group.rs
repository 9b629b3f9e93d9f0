//! Goroutines that do the same, counted.

use super::info::GoroutineInfo;
use super::stack::{Looker, Seen, Stack};
use crate::clock::coarse;
use crate::task::pool;
use crate::task::reason::GoroutineState;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

/// Goroutines that were started in one place and are in one, with the same calls on their stacks. Made by [`debug::groups`](crate::debug::groups).
///
/// Its text is what the summary of many goroutines says of it.
///
/// ```
/// use gosched::debug::{self, GoroutineGroup};
///
/// gosched::run(|| {
///     let (tx, rx) = gosched::chan::bounded::<u8>(0);
///     let workers: Vec<_> = (0..10)
///         .map(|_| {
///             let rx = rx.clone();
///             gosched::go(move || rx.recv().is_err())
///         })
///         .collect();
///     let groups: Vec<GoroutineGroup> = debug::groups();
///     assert!(groups.iter().map(|group| group.count).sum::<usize>() >= 11);
///     drop(tx);
///     workers.into_iter().for_each(|worker| assert!(worker.join().unwrap()));
/// });
/// ```
///
/// In Go: an entry of the goroutine profile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GoroutineGroup {
    /// How many there are.
    pub count: usize,
    /// What they do.
    pub state: GoroutineState,
    /// Where they are on their stacks, as [`GoroutineInfo::stack`].
    pub stack: Option<Stack>,
    /// Where the operation was called in which they wait, or have been woken.
    pub waits_at: Option<&'static Location<'static>>,
    /// Where they were started.
    pub created_at: &'static Location<'static>,
    /// Whether they have stacks, being closures.
    pub stackful: bool,
    /// The one with the lowest id.
    pub example: u64,
    /// How long the one that has waited longest has been waiting, roughly. `None` if they do not wait.
    pub longest: Option<Duration>,
}

/// What makes a group, as text does: the compiler may keep one place in the program at several addresses.
type Key =
    (GoroutineState, Option<Stack>, Option<&'static Location<'static>>, &'static Location<'static>, bool);
/// The same by address, which is quick.
type Rough = (GoroutineState, usize, usize, usize, bool);

/// Groups in the making.
#[derive(Default)]
pub(super) struct Groups(HashMap<Rough, GoroutineGroup>);

impl Groups {
    /// Adds a goroutine. All are seen by the same looker.
    pub(super) fn add(&mut self, Seen { peek, stack }: Seen) {
        let longest = matches!(peek.state, GoroutineState::Waiting(_)).then(|| coarse::age(peek.since));
        let address = |at: &'static Location<'static>| std::ptr::from_ref(at).addr();
        let on = stack.as_ref().map_or(0, Stack::key);
        let rough = (peek.state, on, peek.waits_at.map_or(0, address), address(peek.created), peek.stackful);
        let one = GoroutineGroup {
            count: 1,
            state: peek.state,
            stack,
            waits_at: peek.waits_at,
            created_at: peek.created,
            stackful: peek.stackful,
            example: peek.id,
            longest,
        };
        join(&mut self.0, rough, one);
    }

    /// The groups, the largest first.
    pub(super) fn finish(self) -> Vec<GoroutineGroup> {
        let mut exact: HashMap<Key, GoroutineGroup> = HashMap::new();
        for group in self.0.into_values() {
            let stack = group.stack.clone();
            let key = (group.state, stack, group.waits_at, group.created_at, group.stackful);
            join(&mut exact, key, group);
        }
        let mut groups: Vec<_> = exact.into_values().collect();
        groups.sort_unstable_by_key(|group| (Reverse(group.count), group.example));
        groups
    }
}

fn join<K: std::hash::Hash + Eq>(groups: &mut HashMap<K, GoroutineGroup>, key: K, more: GoroutineGroup) {
    groups
        .entry(key)
        .and_modify(|group| {
            group.count += more.count;
            group.example = group.example.min(more.example);
            group.longest = group.longest.max(more.longest);
        })
        .or_insert(more);
}

/// All goroutines of the process, grouped; the largest group first.
pub(crate) fn groups() -> Vec<GoroutineGroup> {
    coarse::refresh();
    let (mut groups, mut looker) = (Groups::default(), Looker::new());
    pool::for_each(|task| looker.look(task).into_iter().for_each(|seen| groups.add(seen)));
    groups.finish()
}

/// All goroutines of the process: one by one, if there are no more than `most`.
pub(super) enum All {
    Few(Vec<GoroutineInfo>),
    Many(Vec<GoroutineGroup>),
}

pub(super) fn all(most: usize) -> All {
    coarse::refresh();
    let mut looker = Looker::new();
    // Kept one by one until there are too many: so the list of a million is never made.
    let mut few: Vec<Seen> = Vec::new();
    let mut many: Option<Groups> = None;
    pool::for_each(|task| {
        let Some(seen) = looker.look(task) else { return };
        match &mut many {
            Some(groups) => groups.add(seen),
            None => few.push(seen),
        }
        if few.len() > most {
            let groups = many.get_or_insert_default();
            few.drain(..).for_each(|seen| groups.add(seen));
        }
    });
    match many {
        Some(groups) => All::Many(groups.finish()),
        None => All::Few(GoroutineInfo::of_all(few)),
    }
}
