//! Working through a collection at once, with borrows.

use crate::spawn::scope;
use crate::sync::Mutex;

/// Calls `f` with each item, in at most `n` goroutines, and returns when all is done. Items and function may borrow:
/// with `slice.iter_mut()` the elements are changed in place.
///
/// The goroutines take items from the iterator one after the other, under a lock; so `f` begins with them in order.
///
/// ```
/// use gosched::pipeline::for_each;
///
/// gosched::run(|| {
///     let mut numbers = [1, 2, 3];
///     for_each(2, numbers.iter_mut(), |n| *n *= 10);
///     assert_eq!(numbers, [10, 20, 30]);
/// });
/// ```
///
/// # Panics
///
/// If `n` is 0. A panic of `f` ends the goroutine it was in; when all have ended the first one's is raised again.
///
/// # Cancellation
///
/// Cannot be cancelled: it returns, or unwinds, only when every goroutine has ended. For work that may be given up
/// see [`par_map`](super::par_map), which has a context.
///
/// In Go: `conc/iter.ForEach`.
#[track_caller]
pub fn for_each<I, F>(n: usize, items: I, f: F)
where
    I: IntoIterator,
    I::IntoIter: Send,
    I::Item: Send,
    F: Fn(I::Item) + Sync,
{
    map(n, items, f);
}

/// The same with results, in the order of the items. For results that may be errors let `f` return a `Result`:
/// collect into `Result<Vec<_>, _>` for the first error, or keep all.
///
/// ```
/// use gosched::pipeline::map;
///
/// gosched::run(|| {
///     let texts = ["1", "2", "x"];
///     let parsed = map(2, &texts, |text| text.parse::<i32>());
///     assert_eq!(parsed[..2], [Ok(1), Ok(2)]);
///     assert!(parsed.into_iter().collect::<Result<Vec<_>, _>>().is_err());
/// });
/// ```
///
/// # Panics
///
/// As [`for_each`].
///
/// # Cancellation
///
/// As [`for_each`].
///
/// In Go: `conc/iter.Map` and `MapErr`.
#[track_caller]
pub fn map<I, U, F>(n: usize, items: I, f: F) -> Vec<U>
where
    I: IntoIterator,
    I::IntoIter: Send,
    I::Item: Send,
    U: Send,
    F: Fn(I::Item) -> U + Sync,
{
    assert!(n > 0, "gosched::pipeline: at least one goroutine is needed");
    let items = items.into_iter();
    // No more goroutines than items, if their number is known.
    let n = items.size_hint().1.map_or(n, |most| n.min(most));
    let items = Mutex::new(items.enumerate());
    let results = Mutex::new(Vec::new());
    let work = || {
        let mut mine = Vec::new();
        loop {
            // A statement of its own: the lock ends with it.
            let next = items.lock().next();
            let Some((at, item)) = next else { break };
            mine.push((at, f(item)));
        }
        results.lock().append(&mut mine);
    };
    scope(|s| {
        for _ in 0..n {
            s.go(work);
        }
    });
    let mut results = results.into_inner();
    results.sort_unstable_by_key(|&(at, _)| at);
    results.into_iter().map(|(_, result)| result).collect()
}
