//! With the feature `tokio`: a reactor of tokio's in the background, and who is inside its context.
//!
//! Futures of crates that are made for tokio look for its runtime in a thread-local: when they are made, polled and
//! dropped. A guard that enters it must be dropped in the reverse order of others on its thread, or tokio panics; but
//! goroutines take turns on a thread, so a guard in a goroutine's frame would be dropped in any order. So no goroutine
//! has one:
//!
//! * A thread that runs goroutines, or calls made with `blocking`, enters once and for good, below all that runs there
//!   ([`enter_for_good`]). Whatever suspends, all who come next on that thread find the same context, and a goroutine that
//!   is resumed on another thread, too.
//! * Any other thread enters for each poll that it makes itself in `wait` ([`enter`]), and for what it drops when it ends a
//!   runtime: there nothing is suspended, so its guards nest.
//!
//! Who is in a context already, be it the user's own runtime or a guard of the user's, stays there.
//!
//! The reactor has a thread of its own, which counts as somebody else's for those who look for deadlocks: what is polled
//! there wakes goroutines. While it has tasks, or a goroutine waits for a future of others, which may be a socket of its,
//! nothing is said at all; else there is the warning, since a goroutine may wait for such a future and note another reason.

#[cfg(feature = "tokio")]
pub(crate) use with_tokio::{enter, enter_for_good, is_running, start};
#[cfg(not(feature = "tokio"))]
pub(crate) use without::{enter, enter_for_good, is_running, start};

#[cfg(not(feature = "tokio"))]
mod without {
    use std::io;

    #[inline(always)]
    pub(crate) fn start() -> io::Result<()> {
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn is_running() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn enter_for_good() {}

    pub(crate) struct Entered;
    // It costs nothing: not even a destructor.
    const _: () = assert!(size_of::<Entered>() == 0 && !std::mem::needs_drop::<Entered>());

    #[inline(always)]
    pub(crate) fn enter() -> Entered {
        Entered
    }
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use crate::sys::census;
    use crate::sys::global::{Mutex, OnceLock, lock};
    use crate::sys::threads::os_id;
    use std::io;
    use std::mem::{self, ManuallyDrop};
    use std::thread;
    use tokio::runtime::{Builder, EnterGuard, Handle};

    static HANDLE: OnceLock<Handle> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());

    /// The reactor, started if need be.
    pub(crate) fn start() -> io::Result<&'static Handle> {
        if let Some(handle) = HANDLE.get() {
            return Ok(handle);
        }
        let _starting = lock(&STARTING);
        if let Some(handle) = HANDLE.get() {
            return Ok(handle);
        }
        // With one thread: which of them is the reactor's is known then.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        // It never ends, so the runtime is never dropped, and no task is ever refused.
        thread::Builder::new()
            .name("gosched-tokio".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        census::enter_probe(has_tasks);
        Ok(HANDLE.get_or_init(|| handle))
    }

    pub(crate) fn is_running() -> bool {
        HANDLE.get().is_some()
    }

    /// Tasks wait for what comes from outside, for all that is known, and wake goroutines.
    fn has_tasks() -> bool {
        HANDLE.get().is_some_and(|handle| handle.metrics().num_alive_tasks() > 0)
    }

    /// This thread is one of ours, and is in the context from now on. Guards that others before have dropped out of order
    /// may have left it in another.
    pub(crate) fn enter_for_good() {
        let Ok(handle) = start() else { return };
        let is_missing = match Handle::try_current() {
            Ok(current) => current.id() != handle.id(),
            Err(error) => error.is_missing_context(),
        };
        if is_missing {
            // Never dropped, and so never out of order.
            mem::forget(handle.enter());
        }
    }

    /// This thread is in the context until that is dropped.
    pub(crate) struct Entered(Option<Guard>);

    struct Guard {
        guard: ManuallyDrop<EnterGuard<'static>>,
        thread: u32,
    }

    pub(crate) fn enter() -> Entered {
        // At the very end of a thread there is no context any more.
        if !Handle::try_current().is_err_and(|error| error.is_missing_context()) {
            return Entered(None);
        }
        // Without a reactor those who need one say so themselves.
        let enter =
            |handle: &'static Handle| Guard { guard: ManuallyDrop::new(handle.enter()), thread: os_id() };
        Entered(start().ok().map(enter))
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            if let Some(mut guard) = self.0.take()
                && guard.thread == os_id()
            {
                // SAFETY: taken out above, so once.
                unsafe { ManuallyDrop::drop(&mut guard.guard) };
            }
            // Else a user's own coroutine has carried us to another thread, whose contexts are none of ours.
        }
    }
}
