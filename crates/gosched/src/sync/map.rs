//! `Map`: a concurrent map, Go's `sync.Map`, on papaya's hash table.
//!
//! papaya's readers take no lock; what they look at is kept alive by a guard that belongs to the *thread*. A
//! goroutine that suspended with such a guard would leave the thread marked as reading (pinned mode) or hand
//! the guard to another thread (migrating mode: unsound). So guards exist inside [`Map::section`] only, which
//! is never inlined (it touches thread-locals), and under `no_suspend`.
//!
//! No user code runs in there but `K`'s `Drop`, when the table frees what was removed; its panics end in [`Entry`], as the
//! table's own bookkeeping would not survive them. The table maps hashes,
//! not keys, to a [`Chain`] of the entries that have this hash. An operation takes a copy of the chain out of the
//! table, looks for its key there, and makes a new chain; it takes effect when that replaces the very chain it
//! was made of. (Chains have a second use: papaya itself doubles its table when some fifty keys have one hash.)
//!
//! # Values go at once, keys later
//!
//! The table frees removed chains in batches, some time later. For a key that is harmless; a value may be a
//! channel's last `Sender`. So an entry *owns* its value in a cell that whoever removes the entry empties, and
//! readers reach it through a `Weak`. A reader that finds it gone has found an entry that was just removed or
//! replaced, and looks again.
//!
//! # `clear` at one instant
//!
//! papaya empties a table slot by slot, so a clear could take what was stored later and leave what was stored
//! earlier. Here `clear` puts an empty table in place of the old one. An operation that comes to the old table
//! after that overlaps with the clear, and counts as done just before it, with all others of its kind in the
//! order in which they came to the old table. Whoever leaves the old table last drops it.

mod chain;

use crate::wait::no_suspend;
use arc_swap::ArcSwap;
use chain::{Chain, Entry, Found, Known};
use papaya::{Compute, LocalGuard, Operation};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, RandomState};
use std::sync::Arc;

/// A map that goroutines, threads and async tasks share without a lock. Loads write nothing but the value's
/// reference count; operations on different keys do not wait for each other.
///
/// Values are cloned out: `V` is best something cheap to clone, such as an `Arc`. For a map with one writer, or
/// where several keys must change together, a [`Mutex`](super::Mutex) around an ordinary map is better.
///
/// # What happens when
///
/// - Each operation on one key takes effect at one instant between its call and its return, and so does
///   [`clear`](Map::clear). [`range`](Map::range) is no snapshot.
/// - What was done before a value was stored happens before the return of a load that finds it.
/// - A value that is replaced or removed is dropped at once, by whoever did it, unless a load is just cloning
///   it: then that load drops it. Keys of removed entries are dropped some time later, by another operation on
///   the map or with the map.
///
/// # User code
///
/// `Clone`, `PartialEq` and `Drop` of values, `Hash` and `Eq` of keys and the closure of `range` run outside of
/// everything: they may block, and may use the map. `Drop` of a key may run while an operation looks at the
/// table, without a lock: it may use the map, but if it blocks, it blocks the thread as in
/// [`no_suspend`](crate::no_suspend), and memory is not given back meanwhile.
///
/// A panic of a key's `Drop`, and of a value's in [`clear`](Map::clear) and when the map itself goes, ends there: the
/// panic hook has told of it, and the others are dropped all the same.
///
/// # Example
///
/// ```
/// use gosched::sync::Map;
/// use std::sync::Arc;
///
/// let hits = Arc::new(Map::new());
/// let (first, loaded) = hits.load_or_store("start", 1);
/// assert_eq!((first, loaded), (1, false));
/// hits.store("about", 7);
/// assert!(hits.compare_and_swap("start", &1, 2));
/// assert_eq!(hits.load("start"), Some(2));
/// hits.delete("about");
/// assert_eq!(hits.load("about"), None);
/// ```
///
/// In Go: `sync.Map`, with the same operations.
pub struct Map<K, V> {
    table: ArcSwap<Table<K, V>>,
    hasher: RandomState,
}

type Table<K, V> = papaya::HashMap<u64, Chain<K, V>, BuildHasherDefault<Known>>;

/// A key with its hash.
pub(super) struct Key<K> {
    hash: u64,
    key: Arc<K>,
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, key: self.key.clone() }
    }
}

/// What [`Map::update`] did.
enum Update<V> {
    /// Stored; what was there before.
    Stored(Option<Arc<V>>),
    /// Not wanted; what is there.
    Kept(Option<Arc<V>>),
}

impl<K, V> Map<K, V>
where
    K: Eq + Hash,
{
    /// An empty map.
    pub fn new() -> Self {
        Self { table: ArcSwap::new(Self::empty()), hasher: RandomState::new() }
    }

    /// The value of `key`.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// map.store("a".to_string(), 1);
    /// assert_eq!(map.load("a"), Some(1));
    /// assert_eq!(map.load("b"), None);
    /// ```
    ///
    /// In Go: `Load`.
    pub fn load<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        let (_, value) = self.find(self.hash(key), |other| other.borrow() == key).it?;
        Some((*value).clone())
    }

    /// Sets the value of `key`. In Go: `Store`.
    pub fn store(&self, key: K, value: V) {
        drop(self.update(&self.key(key), &Arc::new(value), |_| true));
    }

    /// The value of `key` and true if there is one; else stores `value`, and returns it and false.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// assert_eq!(map.load_or_store("a", 1), (1, false));
    /// assert_eq!(map.load_or_store("a", 2), (1, true));
    /// ```
    ///
    /// In Go: `LoadOrStore`.
    pub fn load_or_store(&self, key: K, value: V) -> (V, bool)
    where
        V: Clone,
    {
        let value = Arc::new(value);
        match self.load_or_store_shared(&self.key(key), &value) {
            Some(found) => (take(found), true),
            None => ((*value).clone(), false),
        }
    }

    /// Removes `key` and returns what it was.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// map.store("a", 1);
    /// assert_eq!(map.load_and_delete("a"), Some(1));
    /// assert_eq!(map.load_and_delete("a"), None);
    /// ```
    ///
    /// In Go: `LoadAndDelete`.
    pub fn load_and_delete<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        self.remove(self.hash(key), |other| other.borrow() == key, |_| true).map(take)
    }

    /// Removes `key`. In Go: `Delete`.
    pub fn delete<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        drop(self.remove(self.hash(key), |other| other.borrow() == key, |_| true));
    }

    /// Sets the value of `key` and returns what it was before.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// assert_eq!(map.swap("a", 1), None);
    /// assert_eq!(map.swap("a", 2), Some(1));
    /// ```
    ///
    /// In Go: `Swap`.
    pub fn swap(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        match self.update(&self.key(key), &Arc::new(value), |_| true) {
            Update::Stored(previous) => previous.map(take),
            Update::Kept(_) => unreachable!("it was wanted"),
        }
    }

    /// Sets the value of `key` if it is equal to `old`. False if it is not, or if there is none.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// assert!(!map.compare_and_swap("a", &0, 1));
    /// map.store("a", 0);
    /// assert!(map.compare_and_swap("a", &0, 1));
    /// assert!(!map.compare_and_swap("a", &0, 2));
    /// ```
    ///
    /// In Go: `CompareAndSwap`, which panics if `old` cannot be compared; here the compiler says so.
    pub fn compare_and_swap<Q>(&self, key: &Q, old: &V, new: V) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: PartialEq,
    {
        let (hash, new) = (self.hash(key), Arc::new(new));
        while let Some((entry, seen)) = self.find(hash, |other| other.borrow() == key).it {
            if *seen != *old {
                return false;
            }
            let key = Key { hash, key: entry.key().clone() };
            let is_it = |now: Option<&Arc<V>>| now.is_some_and(|now| Arc::ptr_eq(now, &seen));
            if let Update::Stored(_) = self.update(&key, &new, is_it) {
                return true;
            }
        }
        false
    }

    /// Removes `key` if its value is equal to `old`. False if it is not, or if there is none.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// map.store("a", 1);
    /// assert!(!map.compare_and_delete("a", &2));
    /// assert!(map.compare_and_delete("a", &1));
    /// ```
    ///
    /// In Go: `CompareAndDelete`.
    pub fn compare_and_delete<Q>(&self, key: &Q, old: &V) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: PartialEq,
    {
        let hash = self.hash(key);
        while let Some((_, seen)) = self.find(hash, |other| other.borrow() == key).it {
            if *seen != *old {
                return false;
            }
            let is_it = |now: &Arc<V>| Arc::ptr_eq(now, &seen);
            if self.remove(hash, |other| other.borrow() == key, is_it).is_some() {
                return true;
            }
        }
        false
    }

    /// Calls `f` for each key and its value until `f` returns false, in no particular order.
    ///
    /// No key is visited twice, and a key that is there during the whole call is visited. Otherwise it is no
    /// snapshot: keys stored after the call began may be missed, keys removed before their turn are left out,
    /// and the value is one that the key had at some moment of the call.
    ///
    /// Nothing is held while `f` runs: it may block, and may use the map. The keys are noted first, which takes
    /// time and memory in proportion to the map also if `f` stops early.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// for n in 0..5 {
    ///     map.store(n, n * n);
    /// }
    /// let mut sum = 0;
    /// map.range(|_, square| {
    ///     sum += square;
    ///     true
    /// });
    /// assert_eq!(sum, 30);
    /// ```
    ///
    /// In Go: `Range`.
    pub fn range(&self, mut f: impl FnMut(&K, &V) -> bool) {
        for (hash, entry) in self.entries() {
            // If it is dead it was replaced or removed meanwhile.
            let value = entry.value.upgrade().or_else(|| {
                let now = self.find(hash, |other| *other == **entry.key());
                now.it.map(|(_, value)| value)
            });
            if let Some(value) = value
                && !f(entry.key(), &value)
            {
                return;
            }
        }
    }

    /// Removes everything, at one instant: an operation that overlaps with it comes before or after as a whole.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// map.store("a", 1);
    /// map.clear();
    /// assert_eq!(map.load("a"), None);
    /// ```
    ///
    /// In Go: `Clear`.
    pub fn clear(&self) {
        // Values are dropped here, unless somebody is still at work on the old table.
        drop(self.swap_table(Self::empty()));
    }

    // ---- what the operations are made of ----

    fn empty() -> Arc<Table<K, V>> {
        // Blocking: who finds the table being copied helps or waits, which is short, as no user code runs in there.
        // Incremental copying falls behind where few keys come and go (measured: 190 µs for a store and a
        // delete of the same key, against 0.4).
        let table = papaya::HashMap::builder()
            .hasher(BuildHasherDefault::new())
            .resize_mode(papaya::ResizeMode::Blocking)
            .build();
        Arc::new(table)
    }

    /// Not inlined, since it touches thread-locals.
    #[inline(never)]
    fn swap_table(&self, table: Arc<Table<K, V>>) -> Arc<Table<K, V>> {
        self.table.swap(table)
    }

    /// Runs `f` with the table and a guard for it. `f` runs no user code and does not suspend.
    fn section<R>(&self, f: impl FnOnce(&Table<K, V>, &LocalGuard<'_>) -> R) -> R {
        let (result, table) = self.guarded(f);
        // After a clear this may be the last reference, and values be dropped here: outside of everything.
        drop(table);
        result
    }

    /// Not inlined, and nothing in it suspends: see the module's head.
    #[inline(never)]
    fn guarded<R>(
        &self,
        f: impl FnOnce(&Table<K, V>, &LocalGuard<'_>) -> R,
    ) -> (R, arc_swap::Guard<Arc<Table<K, V>>>) {
        no_suspend(|| {
            let table = self.table.load();
            let result = f(&table, &table.guard());
            (result, table)
        })
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn key(&self, key: K) -> Key<K> {
        Key { hash: self.hash(&key), key: Arc::new(key) }
    }

    /// Looks for the key of this hash that `is_it`.
    fn find(&self, hash: u64, is_it: impl Fn(&K) -> bool) -> Found<K, V> {
        loop {
            let chain = self.section(|table, guard| table.get(&hash, guard).cloned());
            let entry = chain.as_ref().and_then(|chain| chain.entries().find(|entry| is_it(entry.key())));
            let Some(entry) = entry.cloned() else { return Found { chain, it: None } };
            // Else it has just left the table.
            if let Some(value) = entry.value.upgrade() {
                return Found { chain, it: Some((entry, value)) };
            }
        }
    }

    /// Puts `new` in place of `old`. False if that is not there any more.
    fn replace(&self, hash: u64, old: Option<&Chain<K, V>>, new: Option<&Chain<K, V>>) -> bool {
        self.section(|table, guard| {
            let decide = |now: Option<(&u64, &Chain<K, V>)>| match (now, old) {
                (None, None) => new.map_or(Operation::Abort(()), |new| Operation::Insert(new.clone())),
                (Some((_, now)), Some(old)) if now.is(old) => match new {
                    Some(new) => Operation::Insert(new.clone()),
                    None => Operation::Remove,
                },
                _ => Operation::Abort(()),
            };
            !matches!(table.compute(hash, decide, guard), Compute::Aborted(()))
        })
    }

    /// Stores `value` if `wanted`, asked with what is there, says so.
    fn update(&self, key: &Key<K>, value: &Arc<V>, wanted: impl Fn(Option<&Arc<V>>) -> bool) -> Update<V> {
        loop {
            let found = self.find(key.hash, |other| *other == *key.key);
            if !wanted(found.it.as_ref().map(|(_, value)| value)) {
                return Update::Kept(found.it.map(|(_, value)| value));
            }
            let new = found.chain_with(Some(Entry::new(&key.key, value)));
            if self.replace(key.hash, found.chain.as_ref(), new.as_ref()) {
                return Update::Stored(found.it.map(|(entry, value)| {
                    drop(entry.retire());
                    value
                }));
            }
        }
    }

    /// Removes the entry if there is one and `wanted` says so; what it was.
    fn remove(
        &self,
        hash: u64,
        is_it: impl Fn(&K) -> bool,
        wanted: impl Fn(&Arc<V>) -> bool,
    ) -> Option<Arc<V>> {
        loop {
            let found = self.find(hash, &is_it);
            let (entry, value) = found.it.as_ref()?;
            if !wanted(value) {
                return None;
            }
            if self.replace(hash, found.chain.as_ref(), found.chain_with(None).as_ref()) {
                drop(entry.retire());
                return found.it.map(|(_, value)| value);
            }
        }
    }

    /// What the map holds, each key once, with its hash.
    fn entries(&self) -> Vec<(u64, Arc<Entry<K, V>>)> {
        let mut entries = Vec::new();
        self.section(|table, guard| {
            entries.reserve(table.len());
            for (hash, chain) in table.iter(guard) {
                entries.extend(chain.entries().map(|entry| (*hash, entry.clone())));
            }
        });
        // A key that was removed and stored again on the way may have been met in both places.
        entries.sort_unstable_by_key(|(hash, _)| *hash);
        let mut unique: Vec<(u64, Arc<Entry<K, V>>)> = Vec::with_capacity(entries.len());
        for (hash, entry) in entries {
            let mut same_hash = unique.iter().rev().take_while(|(other, _)| *other == hash);
            if same_hash.all(|(_, other)| **other.key() != **entry.key()) {
                unique.push((hash, entry));
            }
        }
        unique
    }

    // ---- for `SingleFlight` ----

    /// What is stored for `key`; if nothing is, `value` is from now on.
    pub(super) fn load_or_store_shared(&self, key: &Key<K>, value: &Arc<V>) -> Option<Arc<V>> {
        match self.update(key, value, |now| now.is_none()) {
            Update::Stored(_) => None,
            Update::Kept(found) => found,
        }
    }

    /// What is stored for `key`.
    pub(super) fn load_shared(&self, key: &Key<K>) -> Option<Arc<V>> {
        self.find(key.hash, |other| *other == *key.key).it.map(|(_, value)| value)
    }

    /// Removes `key` if `value`, that very one, was stored with it by this very `key`.
    pub(super) fn delete_shared(&self, key: &Key<K>, value: &Arc<V>) {
        let is_it = |now: &Arc<V>| Arc::ptr_eq(now, value);
        // It was stored with this very key, so the user's `Eq` need not be asked, which might panic.
        drop(self.remove(key.hash, |other| std::ptr::eq(other, &*key.key), is_it));
    }
}

/// The value itself if nobody else is looking at it, else a clone.
fn take<V: Clone>(value: Arc<V>) -> V {
    Arc::try_unwrap(value).unwrap_or_else(|shared| (*shared).clone())
}

impl<K: Eq + Hash, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash + fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.range(|key, value| {
            map.entry(key, value);
            true
        });
        map.finish()
    }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::hash::Hasher;

    fn assert_send_sync<T: Send + Sync>() {}

    #[test]
    fn a_map_may_be_shared() {
        assert_send_sync::<Map<String, Vec<u8>>>();
    }

    #[test]
    fn Y32_what_comes_to_the_old_table_after_a_clear_came_before_it() {
        let map = Map::new();
        map.store(1, "old");
        let (key, late) = (map.key(1), Arc::new("late"));
        // As if an operation had loaded the table before a clear that is over by now.
        map.section(|table, guard| {
            map.clear();
            assert!(table.get(&key.hash, guard).is_some(), "it finds what was there before");
            let chain = Chain::of(std::iter::once(Entry::new(&key.key, &late))).unwrap();
            table.insert(key.hash, chain, guard);
        });
        assert_eq!(Arc::strong_count(&late), 1, "dropped with the old table");
        assert_eq!(map.swap(1, "new"), None);
    }

    #[test]
    fn keys_of_equal_hash_are_told_apart() {
        /// Each third key has the same hash; counts how often keys are hashed.
        #[derive(PartialEq, Eq, Debug)]
        struct Third(u32);
        thread_local!(static HASHED: Cell<u32> = const { Cell::new(0) });
        impl Hash for Third {
            fn hash<H: Hasher>(&self, state: &mut H) {
                HASHED.set(HASHED.get() + 1);
                (self.0 % 3).hash(state);
            }
        }
        let map = Map::new();
        for n in 0..300 {
            map.store(Third(n), n);
        }
        assert_eq!(HASHED.get(), 300, "growing asks nobody for a hash again");
        let mut seen: Vec<u32> = Vec::new();
        map.range(|key, n| {
            assert_eq!(key.0, *n);
            seen.push(*n);
            true
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        assert_eq!(map.load(&Third(150)), Some(150));
    }
}
