//! What the table of a [`Map`](super::Map) holds.

use crate::sys::lock::Spin;
use crate::sys::threads::discard_payload;
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

/// The table's hasher: its keys are hashes, from a `RandomState`.
#[derive(Default)]
pub(super) struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the table's keys are u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A key and its value, until it is removed or replaced by another entry.
///
/// Its drop may be the table's, which a panic would leave with half of what it was freeing: so the panics of users'
/// destructors end there.
pub(super) struct Entry<K, V> {
    /// There until it is dropped.
    key: Option<Arc<K>>,
    /// For readers. Dead once the entry was removed or replaced.
    pub(super) value: Weak<V>,
    /// What keeps the value alive. Emptied by whoever takes the entry out of the table.
    owner: Spin<Option<Arc<V>>>,
}

impl<K, V> Entry<K, V> {
    pub(super) fn new(key: &Arc<K>, value: &Arc<V>) -> Arc<Self> {
        let owner = Spin::new(Some(value.clone()));
        Arc::new(Self { key: Some(key.clone()), value: Arc::downgrade(value), owner })
    }

    pub(super) fn key(&self) -> &Arc<K> {
        self.key.as_ref().expect("an entry has its key until it is dropped")
    }

    /// Takes the value away from an entry that has left the table.
    pub(super) fn retire(&self) -> Option<Arc<V>> {
        self.owner.lock().take()
    }
}

impl<K, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        let (key, value) = (self.key.take(), self.retire());
        for dropped in
            [catch_unwind(AssertUnwindSafe(|| drop(key))), catch_unwind(AssertUnwindSafe(|| drop(value)))]
        {
            if let Err(payload) = dropped {
                discard_payload(payload);
            }
        }
    }
}

/// The entries of one hash, hardly ever more than one. Never changed, only replaced.
pub(super) struct Chain<K, V> {
    first: Arc<Entry<K, V>>,
    more: Vec<Arc<Entry<K, V>>>,
}

impl<K, V> Clone for Chain<K, V> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), more: self.more.clone() }
    }
}

impl<K, V> Chain<K, V> {
    pub(super) fn of(mut entries: impl Iterator<Item = Arc<Entry<K, V>>>) -> Option<Self> {
        Some(Self { first: entries.next()?, more: entries.collect() })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry<K, V>>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Whether they are one and the same. Both are alive, so no entry's address is another's by chance.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.more.len() == other.more.len()
            && self.entries().zip(other.entries()).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// What an operation found for its key.
pub(super) struct Found<K, V> {
    /// All that have the key's hash.
    pub(super) chain: Option<Chain<K, V>>,
    /// The one with the key, and its value.
    pub(super) it: Option<Live<K, V>>,
}

/// An entry and what it holds, alive.
pub(super) type Live<K, V> = (Arc<Entry<K, V>>, Arc<V>);

impl<K, V> Found<K, V> {
    /// The chain with `entry`, if one is given, in place of what was found.
    pub(super) fn chain_with(&self, entry: Option<Arc<Entry<K, V>>>) -> Option<Chain<K, V>> {
        let old = self.it.as_ref().map(|(entry, _)| entry);
        let others = self.chain.iter().flat_map(Chain::entries);
        let others = others.filter(|other| old.is_none_or(|old| !Arc::ptr_eq(old, other)));
        Chain::of(others.cloned().chain(entry))
    }
}
