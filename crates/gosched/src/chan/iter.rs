//! Iterators over received messages.

use super::Receiver;
use std::fmt;
use std::iter::FusedIterator;

/// Waits for each message; ends when the channel is empty and closed. From [`Receiver::iter`].
///
/// ```
/// let (tx, rx) = gosched::chan::unbounded();
/// std::thread::spawn(move || (0..3).for_each(|n| tx.send(n).unwrap()));
/// let mut sum = 0;
/// for n in &rx {
///     sum += n;
/// }
/// assert_eq!(sum, 3);
/// ```
///
/// In Go: `for v := range c`.
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Takes what is there; ends instead of waiting. From [`Receiver::try_iter`].
///
/// ```
/// let (tx, rx) = gosched::chan::unbounded();
/// tx.send(1).unwrap();
/// tx.send(2).unwrap();
/// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2], "and it does not wait for more");
/// ```
///
/// In Go: a loop around a `select` with a `default` case.
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// As [`Iter`], owning the receiver. From `Receiver::into_iter`.
///
/// ```
/// let (tx, rx) = gosched::chan::unbounded();
/// std::thread::spawn(move || (0..3).for_each(|n| tx.send(n).unwrap()));
/// let doubled = rx.into_iter().map(|n| n * 2);
/// assert_eq!(doubled.sum::<i32>(), 6);
/// ```
///
/// In Go: `for v := range c`.
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver }
    }
}

impl<'a, T> TryIter<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver }
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[track_caller]
    #[inline]
    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

// A closed and drained channel never yields again.
impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}
