//! `after_func`: a function that runs later, in a goroutine of its own.

use crate::clock::TimerKey;
use crate::spawn::target::{self, Spec};
use crate::spawn::{spawn_closure, spawn_closure_on};
use crate::sys::global::{Mutex, lock};
use crate::task::Schedule;
use crate::wait::{Keeper, WeakKeeper};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Runs `f` in a goroutine of its own, `duration` from now.
///
/// The goroutine belongs to the runtime to which one started here would belong (see [`go`](crate::go)). The handle
/// can stop the timer and set it anew; dropping it changes nothing, `f` runs all the same. If the runtime is shut down
/// before the time has come, `f` never runs. If no goroutine can be made for want of stacks, that is reported on
/// standard error.
///
/// `f` may run several times, if the timer is set again, and then also several times at once.
///
/// # Panics
///
/// On a thread that runs no goroutine, if the process's timer thread cannot be started.
///
/// # Examples
///
/// ```
/// use gosched::{chan, time::after_func};
/// use std::time::Duration;
///
/// gosched::run(|| {
///     let (tx, rx) = chan::bounded(1);
///     let timer = after_func(Duration::from_millis(1), move || tx.send("later").unwrap());
///     assert_eq!(rx.recv(), Ok("later"));
///     assert!(!timer.stop()); // too late
/// });
/// ```
///
/// In Go: `time.AfterFunc`.
#[track_caller]
pub fn after_func<F>(duration: Duration, f: F) -> FuncTimer
where
    F: Fn() + Send + Sync + 'static,
{
    let keeper = Keeper::here();
    let runtime = target::existing().map(|scheduler| Arc::downgrade(&scheduler));
    let timer = FuncTimer {
        waker: Arc::new(Job { runtime, spec: Spec::here(), f }).into(),
        keeper: keeper.downgrade(),
        setting: Mutex::new(Setting::Off),
    };
    timer.set(&keeper, duration);
    timer
}

/// A function's timer. From [`after_func`].
///
/// Its methods may be called from anywhere, also from the function. For each setting either the function is started
/// once, or exactly one `stop` or `reset` returns true.
///
/// ```
/// use gosched::{chan, time::{FuncTimer, after_func}};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(1);
/// // A watchdog: it barks when nobody sets it anew for a minute.
/// let watchdog: FuncTimer = after_func(Duration::from_secs(60), move || tx.send("woof").unwrap());
/// watchdog.reset(Duration::ZERO);
/// assert_eq!(rx.recv(), Ok("woof"));
/// ```
///
/// In Go: the `*time.Timer` of `time.AfterFunc`.
pub struct FuncTimer {
    /// Starts the function.
    waker: Waker,
    /// Whose store the timer is in. Weak: the store has the waker.
    keeper: WeakKeeper,
    /// Locked to change it and the store together; nobody suspends or runs foreign code in between.
    setting: Mutex<Setting>,
}

enum Setting {
    /// Stopped.
    Off,
    /// In the store, or fired since.
    On(TimerKey),
    /// For a time later than any clock can tell.
    Never,
}

impl FuncTimer {
    /// Stops the timer. True if this keeps the function from being started; false if it has been started, whether it
    /// has ended or not, or if the timer was stopped before.
    ///
    /// ```
    /// use gosched::time::after_func;
    /// let timer = after_func(std::time::Duration::from_secs(60), || unreachable!());
    /// assert!(timer.stop());
    /// assert!(!timer.stop());
    /// ```
    ///
    /// In Go: `Timer.Stop`.
    pub fn stop(&self) -> bool {
        let Some(keeper) = self.keeper.upgrade() else { return false };
        let mut setting = lock(&self.setting);
        let (stopped, waker) = setting.take(&keeper);
        drop(setting);
        drop(waker);
        stopped
    }

    /// Sets the timer to start the function `duration` from now, whether it has been started before, was stopped, or
    /// neither. True if the earlier setting was still to come, and now does not.
    ///
    /// After the runtime's shutdown it does nothing.
    ///
    /// ```
    /// use gosched::{chan, time::after_func};
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = chan::unbounded();
    /// let timer = after_func(Duration::ZERO, move || tx.send(()).unwrap());
    /// rx.recv().unwrap();
    /// assert!(!timer.reset(Duration::ZERO), "it has run");
    /// rx.recv().unwrap();
    /// ```
    ///
    /// In Go: `Timer.Reset`.
    pub fn reset(&self, duration: Duration) -> bool {
        let Some(keeper) = self.keeper.upgrade() else { return false };
        self.set(&keeper, duration)
    }

    fn set(&self, keeper: &Keeper, duration: Duration) -> bool {
        let now = keeper.now();
        let at = now.checked_add(duration);
        let waker = self.waker.clone();
        let mut setting = lock(&self.setting);
        let (stopped, before) = setting.take(keeper);
        *setting = match at {
            Some(at) => Setting::On(keeper.insert_quietly(now, at, waker)),
            None => Setting::Never,
        };
        drop(setting);
        drop(before);
        keeper.settle();
        stopped
    }
}

impl Setting {
    /// Switches it off. Whether that kept it from firing, and the waker for the caller to drop.
    fn take(&mut self, keeper: &Keeper) -> (bool, Option<Waker>) {
        match std::mem::replace(self, Setting::Off) {
            Setting::Off => (false, None),
            Setting::Never => (true, None),
            Setting::On(key) => {
                let waker = keeper.cancel(key);
                (waker.is_some(), waker)
            }
        }
    }
}

impl fmt::Debug for FuncTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("FuncTimer { .. }")
    }
}

/// What a timer does when it fires: it "wakes" this.
struct Job<F> {
    /// Where the goroutine goes; `None` is the default runtime. Weak: the runtime's own store refers to this.
    runtime: Option<Weak<dyn Schedule>>,
    spec: Spec,
    f: F,
}

impl<F: Fn() + Send + Sync + 'static> Wake for Job<F> {
    fn wake(self: Arc<Self>) {
        let job = self.clone();
        let run = move || (job.f)();
        let started = match &self.runtime {
            None => spawn_closure(&self.spec, run).map(drop),
            Some(runtime) => match runtime.upgrade() {
                Some(runtime) => spawn_closure_on(&*runtime, &self.spec, run).map(drop),
                None => Ok(()),
            },
        };
        // A runtime that has been shut down starts nothing, as it should.
        if let Err(error) = started
            && error.kind() == io::ErrorKind::OutOfMemory
        {
            let text = format!(
                "gosched: no goroutine for the function of a timer (created at {}): {error}\n",
                self.spec.created
            );
            // A standard error that is closed must not take the program down.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}
