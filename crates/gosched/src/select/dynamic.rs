//! `Select`: a list of operations made at run time.

use super::engine::{Cases, Engine, Limit};
use super::err::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};
use crate::chan::{Receiver, RecvError, SendError, Sender, now};
use crate::wait::list::{Kind, Node};
use crate::wait::selectable::{End, Selectable};
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::{Duration, Instant};

/// Waits for one of a list of operations that is made at run time.
///
/// For a list that is known in the source, the `select!` macro is shorter and faster. Operations are numbered in
/// the order in which they are added. If several are ready, one of them is chosen at random, each with the same
/// probability; with [`Select::new_biased`] the first of them.
///
/// There are two ways to use it:
///
/// - [`Select::select`] chooses an operation, which must then be completed with [`SelectedOperation::send`] or
///   [`SelectedOperation::recv`].
/// - [`Select::ready`] waits until an operation can be tried. By the time of trying, somebody else may have been
///   faster.
///
/// ```
/// use gosched::chan::{Receiver, unbounded};
/// use gosched::Select;
///
/// fn first<T>(receivers: &[Receiver<T>]) -> Option<T> {
///     let mut select = Select::new();
///     for receiver in receivers {
///         select.recv(receiver);
///     }
///     let operation = select.select();
///     let index = operation.index();
///     operation.recv(&receivers[index]).ok()
/// }
///
/// let (_tx1, rx1) = unbounded();
/// let (tx2, rx2) = unbounded();
/// tx2.send(7).unwrap();
/// assert_eq!(first(&[rx1, rx2]), Some(7));
/// ```
///
/// # Cancellation
///
/// A blocking select cannot be told to stop: give it an operation more, such as a receive from `ctx.done()`, or
/// use the forms with a time limit. Operations that are not chosen lose nothing.
///
/// In Go: `reflect.Select`.
pub struct Select<'a> {
    entries: Vec<Entry<'a>>,
    next_index: usize,
    biased: bool,
}

struct Entry<'a> {
    source: &'a dyn Selectable,
    index: usize,
    /// The address of the handle, by which a completed operation is checked.
    handle: *const (),
    node: Node,
}

// SAFETY: nodes are queued only inside a call on `&mut Select`, which leaves the queues before it returns. Values
// of the channels' types are moved under the channels' locks, never looked at or dropped here.
unsafe impl Send for Select<'_> {}
// SAFETY: nothing can be done with `&Select` but to clone it, which reads addresses.
unsafe impl Sync for Select<'_> {}

/// The entries as cases of the engine. The engine's index is the position, not the number.
struct Table<'s, 'a>(&'s [Entry<'a>]);

// SAFETY: `select` borrows the entries mutably for as long as they are queued, so none is moved.
unsafe impl Cases for Table<'_, '_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn case(&self, index: usize) -> Option<(&dyn Selectable, &Node, *mut ())> {
        let entry = &self.0[index];
        // Without a slot: the type of the value is not known here, the channel keeps it.
        Some((entry.source, &entry.node, std::ptr::null_mut()))
    }
}

impl<'a> Select<'a> {
    /// An empty list.
    pub fn new() -> Self {
        Self { entries: Vec::with_capacity(4), next_index: 0, biased: false }
    }

    /// An empty list of which the first ready operation is chosen.
    ///
    /// ```
    /// use gosched::{Select, chan::unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// tx.send(1).unwrap();
    /// let mut select = Select::new_biased();
    /// let (first, _second) = (select.recv(&rx), select.send(&tx));
    /// let operation = select.select();
    /// assert_eq!(operation.index(), first, "both were ready");
    /// assert_eq!(operation.recv(&rx), Ok(1));
    /// ```
    ///
    /// In Go: nothing; a select there is always fair.
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    fn add(&mut self, source: &'a dyn Selectable, handle: *const ()) -> usize {
        let index = self.next_index;
        self.entries.push(Entry { source, index, handle, node: Node::new(Kind::Case) });
        self.next_index += 1;
        index
    }

    /// Adds a send and returns its number.
    ///
    /// ```
    /// use gosched::{Select, chan::bounded};
    ///
    /// let (tx, rx) = bounded(1);
    /// let mut select = Select::new();
    /// assert_eq!((select.send(&tx), select.recv(&rx)), (0, 1));
    /// let operation = select.select();
    /// assert_eq!(operation.index(), 0, "there is a place, and nothing to receive");
    /// operation.send(&tx, "hello").unwrap();
    /// ```
    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        self.add(s, std::ptr::from_ref(s).cast())
    }

    /// Adds a receive and returns its number.
    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        self.add(r, std::ptr::from_ref(r).cast())
    }

    /// Removes an operation. The numbers of the others do not change.
    ///
    /// # Panics
    ///
    /// If there is no operation with this number, or not any more.
    ///
    /// ```
    /// use gosched::{Select, chan::unbounded};
    ///
    /// let ((tx1, rx1), (tx2, rx2)) = (unbounded(), unbounded());
    /// tx1.send(1).unwrap();
    /// tx2.send(2).unwrap();
    /// let mut select = Select::new();
    /// let (first, second) = (select.recv(&rx1), select.recv(&rx2));
    /// select.remove(first);
    /// assert_eq!(select.ready(), second);
    /// ```
    ///
    /// In Go: set the case's `Chan` to the zero `Value`.
    pub fn remove(&mut self, index: usize) {
        assert!(index < self.next_index, "index out of bounds; {index} >= {}", self.next_index);
        let at = self.entries.iter().position(|entry| entry.index == index);
        self.entries.swap_remove(at.expect("no operation with this index"));
    }

    /// Runs the engine; `kind` says whether operations are chosen or only watched.
    #[track_caller]
    fn run(&mut self, kind: Kind, limit: Limit) -> Option<(usize, End)> {
        for entry in &self.entries {
            entry.node.set_kind(kind);
        }
        if self.biased {
            // `remove` may have changed the order.
            self.entries.sort_unstable_by_key(|entry| entry.index);
        }
        let engine = pin!(Engine::new(self.biased, limit));
        engine.as_ref().run(&Table(&self.entries), limit)
    }

    #[track_caller]
    fn choose(&mut self, limit: Limit) -> Option<SelectedOperation<'a>> {
        let (at, end) = self.run(Kind::Case, limit)?;
        let entry = &self.entries[at];
        Some(SelectedOperation {
            source: entry.source,
            handle: entry.handle,
            index: entry.index,
            end,
            _marker: PhantomData,
        })
    }

    #[track_caller]
    fn watch(&mut self, limit: Limit) -> Option<usize> {
        let (at, _) = self.run(Kind::Watch, limit)?;
        Some(self.entries[at].index)
    }

    #[track_caller]
    fn assert_not_empty(&self) {
        assert!(!self.entries.is_empty(), "no operations have been added to `Select`");
    }

    /// Chooses an operation that is ready now.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`] if there was an instant at which none was ready.
    ///
    /// ```
    /// use gosched::{Select, TrySelectError, chan::unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert!(matches!(select.try_select(), Err(TrySelectError)));
    /// tx.send(7).unwrap();
    /// assert_eq!(select.try_select().unwrap().recv(&rx), Ok(7));
    /// ```
    ///
    /// In Go: `reflect.Select` with a `SelectDefault` case.
    #[track_caller]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.choose(Limit::Try).ok_or(TrySelectError)
    }

    /// Waits until an operation is ready and chooses it.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; see the [type](Select).
    ///
    /// ```
    /// use gosched::{Select, chan::unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// tx.send(7).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert_eq!(select.select().recv(&rx), Ok(7));
    /// ```
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.assert_not_empty();
        self.choose(Limit::Forever).expect("a select without a time-out ends with an operation")
    }

    /// Waits until an operation is ready and chooses it, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] when the time is up.
    ///
    /// ```
    /// use gosched::{Select, SelectTimeoutError, chan::unbounded};
    /// use std::time::Duration;
    ///
    /// let (_tx, rx) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert!(matches!(select.select_timeout(Duration::from_millis(1)), Err(SelectTimeoutError)));
    /// ```
    ///
    /// In Go: `reflect.Select` with a case for `time.After(d)`.
    #[track_caller]
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        match now().checked_add(timeout) {
            Some(deadline) => self.select_deadline(deadline),
            None => Ok(self.select()),
        }
    }

    /// Waits until an operation is ready and chooses it, but no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] when the time is up.
    ///
    /// As [`select_timeout`](Select::select_timeout), also in Go.
    #[track_caller]
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.choose(Limit::Until(deadline)).ok_or(SelectTimeoutError)
    }

    /// The number of an operation that is ready now.
    ///
    /// # Errors
    ///
    /// [`TryReadyError`] if there was an instant at which none was ready.
    ///
    /// ```
    /// use gosched::{Select, TryReadyError, chan::unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// let mut select = Select::new();
    /// let receive = select.recv(&rx);
    /// assert_eq!(select.try_ready(), Err(TryReadyError));
    /// tx.send(7).unwrap();
    /// assert_eq!(select.try_ready(), Ok(receive));
    /// ```
    #[track_caller]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.watch(Limit::Try).ok_or(TryReadyError)
    }

    /// Waits until an operation is ready and returns its number.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; see the [type](Select).
    ///
    /// ```
    /// use gosched::{Select, chan::unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// tx.send(7).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert_eq!(select.ready(), 0);
    /// // Somebody else might have been faster.
    /// assert_eq!(rx.try_recv(), Ok(7));
    /// ```
    ///
    /// In Go: nothing; a select there also does what it has chosen.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        self.assert_not_empty();
        self.watch(Limit::Forever).expect("a select without a time-out ends with an operation")
    }

    /// Waits until an operation is ready, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] when the time is up.
    ///
    /// ```
    /// use gosched::{ReadyTimeoutError, Select, chan::unbounded};
    /// use std::time::Duration;
    ///
    /// let (_tx, rx) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert_eq!(select.ready_timeout(Duration::from_millis(1)), Err(ReadyTimeoutError));
    /// ```
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        match now().checked_add(timeout) {
            Some(deadline) => self.ready_deadline(deadline),
            None => Ok(self.ready()),
        }
    }

    /// Waits until an operation is ready, but no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] when the time is up.
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.watch(Limit::Until(deadline)).ok_or(ReadyTimeoutError)
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        let entries = self.entries.iter().map(|entry| Entry {
            source: entry.source,
            index: entry.index,
            handle: entry.handle,
            node: Node::new(Kind::Case),
        });
        Self { entries: entries.collect(), next_index: self.next_index, biased: self.biased }
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

/// An operation that [`Select`] has chosen, to be completed.
///
/// # Panics
///
/// When dropped without being completed; what it had been given goes back to the channel.
///
/// # Example
///
/// ```
/// use gosched::{Select, SelectedOperation, chan::unbounded};
///
/// let (tx, rx) = unbounded();
/// tx.send(7).unwrap();
/// let mut select = Select::new();
/// let receive = select.recv(&rx);
/// let operation: SelectedOperation<'_> = select.select();
/// match operation.index() {
///     index if index == receive => assert_eq!(operation.recv(&rx), Ok(7)),
///     _ => unreachable!(),
/// }
/// ```
///
/// In Go: what `reflect.Select` returns; there the operation has been done.
#[must_use]
pub struct SelectedOperation<'a> {
    source: &'a dyn Selectable,
    handle: *const (),
    index: usize,
    end: End,
    _marker: PhantomData<&'a ()>,
}

impl SelectedOperation<'_> {
    /// The number of the operation.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a send.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message if the channel is closed or has no receivers.
    ///
    /// # Panics
    ///
    /// If `s` is not the very sender that was added to the list.
    #[track_caller]
    pub fn send<T>(self, s: &Sender<T>, msg: T) -> Result<(), SendError<T>> {
        assert!(std::ptr::from_ref(s).cast::<()>() == self.handle, "passed a sender that wasn't selected");
        let end = self.end;
        std::mem::forget(self);
        s.finish_case(end, msg)
    }

    /// Completes a receive.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is empty and closed.
    ///
    /// # Panics
    ///
    /// If `r` is not the very receiver that was added to the list.
    #[track_caller]
    pub fn recv<T>(self, r: &Receiver<T>) -> Result<T, RecvError> {
        assert!(std::ptr::from_ref(r).cast::<()>() == self.handle, "passed a receiver that wasn't selected");
        let end = self.end;
        std::mem::forget(self);
        r.take_case(end).ok_or(RecvError)
    }
}

impl Drop for SelectedOperation<'_> {
    #[track_caller]
    fn drop(&mut self) {
        self.source.undo(self.end);
        // A second panic would abort, and the first one is the cause.
        if !std::thread::panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}
