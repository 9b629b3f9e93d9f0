//! What a goroutine waits for, as dumps name it.

use std::fmt;

/// What a goroutine waits for, as dumps name it.
///
/// Its text is what a dump shows: Go's words where Go has them.
///
/// ```
/// use gosched::WaitReason;
///
/// fn is_lock(reason: WaitReason) -> bool {
///     matches!(reason, WaitReason::MutexLock | WaitReason::RwLockRead | WaitReason::RwLockWrite)
/// }
/// assert!(!is_lock(WaitReason::Sleep));
/// assert_eq!(WaitReason::ChanReceive.to_string(), "chan receive");
/// ```
///
/// In Go: the text after a goroutine's number in a dump, `[chan receive]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitReason {
    /// A future of the user or of another library.
    Future,
    /// A channel send.
    ChanSend,
    /// A channel receive.
    ChanReceive,
    /// A send on a channel that is `None`.
    ChanSendNil,
    /// A receive that can never come: `never()`.
    ChanReceiveNil,
    /// The closing of a channel, waited for by a sender.
    ChanClosed,
    /// A select.
    Select,
    /// A select without cases.
    SelectNoCases,
    /// A mutex.
    MutexLock,
    /// A reader-writer lock, for reading.
    RwLockRead,
    /// A reader-writer lock, for writing.
    RwLockWrite,
    /// The first call of a `Once`, a `OnceCell` or a `LazyLock`, made by another.
    OnceWait,
    /// The others at a barrier.
    BarrierWait,
    /// A condition variable.
    CondWait,
    /// A wait group.
    WaitGroupWait,
    /// A place in a group with a limit.
    GroupPlace,
    /// Permits of a semaphore.
    SemaphoreAcquire,
    /// Another caller's run of the same function (`SingleFlight`).
    SingleFlightWait,
    /// A sleep.
    Sleep,
    /// The end of another goroutine.
    Join,
    /// A call on a blocking thread.
    Blocking,
    /// The children of a scope.
    Scope,
    /// A socket: until it can be read, or written.
    IoWait,
}

/// What a goroutine does.
///
/// Its text is what a dump shows.
///
/// ```
/// use gosched::WaitReason;
/// use gosched::debug::GoroutineState;
///
/// let me = || gosched::debug::goroutines().into_iter().find(|g| g.id == gosched::current().id());
/// gosched::run(|| assert_eq!(me().unwrap().state, GoroutineState::Running));
/// assert_eq!(GoroutineState::Waiting(WaitReason::Sleep).to_string(), "sleep");
/// ```
///
/// In Go: the text after a goroutine's number in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GoroutineState {
    /// A worker runs it. That may also be waiting, in a way that keeps the thread: a system call, a lock of std.
    Running,
    /// It would run if a worker were free: it has not started, has been woken, or let others go first.
    Runnable,
    /// It waits.
    Waiting(WaitReason),
}

impl fmt::Display for GoroutineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.pad("running"),
            Self::Runnable => f.pad("runnable"),
            Self::Waiting(reason) => reason.fmt(f),
        }
    }
}

/// The reasons by their number, with their texts.
const ALL: [(WaitReason, &str); 23] = [
    (WaitReason::Future, "future"),
    (WaitReason::ChanSend, "chan send"),
    (WaitReason::ChanReceive, "chan receive"),
    (WaitReason::ChanSendNil, "chan send (nil chan)"),
    (WaitReason::ChanReceiveNil, "chan receive (nil chan)"),
    (WaitReason::ChanClosed, "chan closed"),
    (WaitReason::Select, "select"),
    (WaitReason::SelectNoCases, "select (no cases)"),
    (WaitReason::MutexLock, "sync.Mutex.Lock"),
    (WaitReason::RwLockRead, "sync.RWMutex.RLock"),
    (WaitReason::RwLockWrite, "sync.RWMutex.Lock"),
    (WaitReason::OnceWait, "sync.Once.Do"),
    (WaitReason::BarrierWait, "sync.Barrier.Wait"),
    (WaitReason::CondWait, "sync.Cond.Wait"),
    (WaitReason::WaitGroupWait, "sync.WaitGroup.Wait"),
    (WaitReason::GroupPlace, "group place"),
    (WaitReason::SemaphoreAcquire, "semacquire"),
    (WaitReason::SingleFlightWait, "singleflight"),
    (WaitReason::Sleep, "sleep"),
    (WaitReason::Join, "join"),
    (WaitReason::Blocking, "blocking call"),
    (WaitReason::Scope, "scope"),
    (WaitReason::IoWait, "IO wait"),
];

impl WaitReason {
    /// The reason that a header holds as a number. `None` for what is no reason.
    #[cfg(not(loom))]
    pub(crate) fn of(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).map(|(reason, _)| *reason)
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ALL[*self as usize].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_stands_at_its_number() {
        for (at, (reason, text)) in ALL.iter().enumerate() {
            assert_eq!((*reason as usize, reason.to_string().as_str()), (at, *text));
        }
        assert_eq!(WaitReason::IoWait as usize + 1, ALL.len(), "the last one is in the list");
    }
}
