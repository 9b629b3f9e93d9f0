//! Where a goroutine is that runs: its thread is interrupted by a signal, and the handler copies registers and stack.
//!
//! The signal is SIGURG, as in Go: programs ignore it unless they ask for it, may get it at any time, and debuggers let
//! it pass. It carries a value by which the handler knows it; every other SIGURG goes to whoever handled it before us.
//! The handler is installed when the first goroutine is to be interrupted.
//!
//! What the interrupted code notices: system calls go on by themselves (`SA_RESTART`), but for those that never do:
//! `nanosleep`, `poll`, `epoll_wait`, `select` and their kin, and calls on sockets with a timeout, return `EINTR` (see
//! signal(7)). What std makes of these it repeats; `std::thread::sleep` sleeps on for what is left.
//!
//! # The request
//!
//! One at a time, under a lock. `STATE` holds its number and how far it is:
//!
//! ```text
//!          asker                  handler             handler
//! FREE ------------> ASKED ----------------> TAKEN ----------------> DONE --> FREE by the asker
//!                      | asker, out of patience
//!                      +--------------------------------------------------> FREE
//! ```
//!
//! A signal that comes too late, because its thread blocks it meanwhile, finds another number, another state or, as
//! numbers are used again, that another thread is asked, and does nothing. The asker reads what the handler has written
//! after it has seen DONE (release, acquire). If the handler is stopped in the middle for longer than the asker waits, the
//! asker lets go, and nobody asks any more before it is done.

use super::copy::{MOST_WORDS, StackCopy, WORD};
use super::{probe, walk};
use crate::fiber::saved::Saved;
use crate::sys::global::{AtomicPtr, AtomicU32, AtomicUsize, Mutex, Once, OnceLock, Ordering, lock};
use crate::sys::signals;
use crate::sys::threads::os_id;
use crate::task::{Context, TaskRef};
use crate::unwind::Trace;
use libc::{c_int, c_void, siginfo_t};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

const SIGNAL: c_int = libc::SIGURG;

/// How long to wait for a thread: it may block the signal, or wait for a processor.
const PATIENCE: Duration = Duration::from_millis(250);

const FREE: usize = 0;
const ASKED: usize = 1;
const TAKEN: usize = 2;
const DONE: usize = 3;
const PHASES: usize = 4;

/// The number of the request, times [`PHASES`], plus its phase.
static STATE: AtomicUsize = AtomicUsize::new(FREE);
/// The values of our signals are addresses in here, which nobody else sends: the offset is the request's number.
static NUMBERS: [u8; 1 << 10] = [0; 1 << 10];
/// Who is asked: a thread, its worker's context and count.
static THREAD: AtomicU32 = AtomicU32::new(0);
static CONTEXT: AtomicPtr<Context> = AtomicPtr::new(ptr::null_mut());
static TICK: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
static ANSWER: Answer = Answer(UnsafeCell::new(Captured::NOTHING));
/// What there was before us.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
/// Who asks, and how often somebody has.
static ASKING: Mutex<usize> = Mutex::new(0);
/// Room for a stack, made when first needed.
static WORDS: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

struct Answer(UnsafeCell<Captured>);

// SAFETY: the handler writes it between ASKED and DONE, the asker reads it after DONE; see the module.
unsafe impl Sync for Answer {}

/// What the handler has found.
#[derive(Clone, Copy)]
struct Captured {
    task: Option<TaskRef>,
    tick: u32,
    saved: Saved,
    link: usize,
    /// How many words it has copied.
    count: usize,
}

impl Captured {
    const NOTHING: Self =
        Self { task: None, tick: 0, saved: Saved { ip: 0, sp: 0, fp: 0, top: 0 }, link: 0, count: 0 };
}

/// See [`crate::unwind::interrupt`].
///
/// # Safety
///
/// `os_thread` is a thread that does not end meanwhile; `context` and `tick` are its worker's.
pub(in crate::unwind) unsafe fn interrupt(
    os_thread: u32,
    context: *const Context,
    tick: *const AtomicU32,
) -> Option<Interrupted> {
    if !probe::works() {
        return None;
    }
    let mut asked = lock(&ASKING);
    if STATE.load(Ordering::Acquire) % PHASES == TAKEN {
        // Somebody's thread is still stopped in the handler.
        return None;
    }
    install();
    if WORDS.load(Ordering::Relaxed).is_null() {
        let words = Box::leak(vec![0usize; MOST_WORDS].into_boxed_slice());
        WORDS.store(words.as_mut_ptr(), Ordering::Relaxed);
    }
    *asked += 1;
    let number = *asked % NUMBERS.len();
    THREAD.store(os_thread, Ordering::Relaxed);
    CONTEXT.store(context.cast_mut(), Ordering::Relaxed);
    TICK.store(tick.cast_mut(), Ordering::Relaxed);
    // Release: the handler sees all that was stored before.
    STATE.store(number * PHASES + ASKED, Ordering::Release);
    if send(os_thread, number).is_err() || !is_answered(number) {
        return None;
    }
    // SAFETY: the handler is done, and there is no other request before we let go of the lock.
    let captured = unsafe { *ANSWER.0.get() };
    let words = WORDS.load(Ordering::Relaxed);
    // SAFETY: as above; the handler has written so many words.
    let copied = (0..captured.count).map(|i| unsafe { words.add(i).read() });
    let copy = StackCopy::of_running(captured.saved, captured.link, copied);
    STATE.store(FREE, Ordering::Relaxed);
    Some(Interrupted { task: captured.task?, tick: captured.tick, copy })
}

/// What a goroutine stood on a moment ago.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub(crate) task: TaskRef,
    /// The worker's count of goroutines taken up, then.
    pub(crate) tick: u32,
    copy: StackCopy,
}

impl Interrupted {
    /// The calls. Takes the loader's lock, which the goroutine may be holding.
    pub(crate) fn trace(self) -> Trace {
        let mut trace = walk::trace(&self.copy);
        self.copy.keep();
        trace.running = true;
        // The others are return addresses, which are looked up by the instruction before them.
        trace.addresses[0] = trace.addresses[0].wrapping_add(1);
        trace
    }
}

/// Waits until the handler is done. False if it has not begun in time.
fn is_answered(number: usize) -> bool {
    let (asked, done) = (number * PHASES + ASKED, number * PHASES + DONE);
    let begin = Instant::now();
    while STATE.load(Ordering::Acquire) != done {
        let withdraw = || STATE.compare_exchange(asked, FREE, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if begin.elapsed() > PATIENCE && (withdraw() || begin.elapsed() > 4 * PATIENCE) {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// A signal with a value for one thread of this process; see rt_tgsigqueueinfo(2).
fn send(os_thread: u32, number: usize) -> Result<(), ()> {
    /// As the kernel lays out what comes with such a signal.
    #[repr(C)]
    struct Sent {
        signal: c_int,
        errno: c_int,
        code: c_int,
        _pad: c_int,
        pid: libc::pid_t,
        uid: libc::uid_t,
        value: *const u8,
        _rest: [u64; 12],
    }
    const _: () = assert!(size_of::<Sent>() == size_of::<siginfo_t>());
    // SAFETY: asking for numbers; the system reads the record, which lives on this stack.
    let result = unsafe {
        let sent = Sent {
            signal: SIGNAL,
            errno: 0,
            code: libc::SI_QUEUE,
            _pad: 0,
            pid: libc::getpid(),
            uid: libc::getuid(),
            value: &raw const NUMBERS[number],
            _rest: [0; 12],
        };
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            sent.pid,
            os_thread as libc::pid_t,
            SIGNAL,
            &raw const sent,
        )
    };
    if result == 0 { Ok(()) } else { Err(()) }
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: all zero is a valid sigaction, and the kernel fills it in before we read it. It is stored before our
        // handler, which reads it, can run. The handler has the form that SA_SIGINFO asks for, and is
        // async-signal-safe. On the thread's alternate stack, since a goroutine's may be nearly full.
        unsafe {
            let mut old = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            libc::sigaction(SIGNAL, ptr::null(), &mut old);
            let _ = PREVIOUS.set(old);
            let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            new.sa_sigaction = on_signal as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            // No other handler during the copy: see `signals`.
            libc::sigfillset(&mut new.sa_mask);
            libc::sigaction(SIGNAL, &new, ptr::null_mut());
        }
    });
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    // SAFETY: the kernel passes a valid description; for this code there is a value.
    let value = unsafe { ((*info).si_code == libc::SI_QUEUE).then(|| (*info).si_value().sival_ptr.addr()) };
    let number = value.and_then(|value| value.checked_sub(NUMBERS.as_ptr().addr()));
    match number.filter(|number| *number < NUMBERS.len()) {
        // SAFETY: the kernel passes a valid context.
        Some(number) => unsafe { answer(number, &*ucontext.cast()) },
        None => pass_on(signal, info, ucontext),
    }
}

/// On the thread that was asked.
///
/// # Safety
///
/// `interrupted` is how this thread was interrupted.
unsafe fn answer(number: usize, interrupted: &libc::ucontext_t) {
    let (asked, taken) = (number * PHASES + ASKED, number * PHASES + TAKEN);
    let is_asked = STATE.load(Ordering::Acquire) == asked && THREAD.load(Ordering::Relaxed) == os_id();
    if !is_asked || STATE.compare_exchange(asked, taken, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    let (mut saved, link) = registers(interrupted);
    // SAFETY: the asker has promised that the context is the worker's of the thread that it asks, which is this one, and
    // alive. Its cells are words that only this thread writes: what we read was written whole.
    let (task, fiber) = unsafe { (*CONTEXT.load(Ordering::Relaxed)).running() };
    // SAFETY: that worker's too.
    let tick = unsafe { (*TICK.load(Ordering::Relaxed)).load(Ordering::Relaxed) };
    let bounds = fiber.filter(|_| task.is_some()).and_then(|fiber| fiber.bounds());
    let mut count = 0;
    // On another stack a user's own coroutine runs.
    if let Some((limit, top)) = bounds
        && (limit..top).contains(&saved.sp)
        && saved.sp.is_multiple_of(WORD)
    {
        saved.top = top;
        count = ((top - saved.sp) / WORD).min(MOST_WORDS);
        let from = ptr::with_exposed_provenance::<usize>(saved.sp);
        let to = WORDS.load(Ordering::Relaxed);
        // SAFETY: aligned, inside the goroutine's stack, which is mapped while it runs; and there is room for so many.
        (0..count).for_each(|i| unsafe { to.add(i).write(from.add(i).read_volatile()) });
    } else {
        saved.top = saved.sp.wrapping_add(1 << 16);
    }
    // SAFETY: ours from TAKEN to DONE.
    unsafe { *ANSWER.0.get() = Captured { task, tick, saved, link, count } };
    STATE.store(number * PHASES + DONE, Ordering::Release);
}

#[cfg(target_arch = "x86_64")]
fn registers(interrupted: &libc::ucontext_t) -> (Saved, usize) {
    let register = |which: c_int| interrupted.uc_mcontext.gregs[which as usize] as usize;
    let (ip, sp, fp) = (register(libc::REG_RIP), register(libc::REG_RSP), register(libc::REG_RBP));
    (Saved { ip, sp, fp, top: 0 }, ip)
}

#[cfg(target_arch = "aarch64")]
fn registers(interrupted: &libc::ucontext_t) -> (Saved, usize) {
    let machine = &interrupted.uc_mcontext;
    let saved =
        Saved { ip: machine.pc as usize, sp: machine.sp as usize, fp: machine.regs[29] as usize, top: 0 };
    (saved, machine.regs[30] as usize)
}

/// Does what would have happened without us: by default nothing.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(old) = PREVIOUS.get() else { return };
    if old.sa_sigaction == libc::SIG_IGN || old.sa_sigaction == libc::SIG_DFL {
        return;
    }
    // SAFETY: we are in a handler, with what the kernel passed; and the old action names one.
    unsafe { signals::call_previous(old, signal, info, context) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_signal_whose_number_has_come_again_for_another_thread_does_nothing() {
        install();
        let asked = lock(&ASKING);
        let number = (*asked + 1) % NUMBERS.len();
        let before = STATE.load(Ordering::Acquire);
        CONTEXT.store(ptr::null_mut(), Ordering::Relaxed);
        THREAD.store(os_id().wrapping_add(1), Ordering::Relaxed);
        STATE.store(number * PHASES + ASKED, Ordering::Release);
        // A signal for the own thread has come before the call returns.
        assert!(send(os_id(), number).is_ok());
        assert_eq!(STATE.load(Ordering::Acquire), number * PHASES + ASKED);
        STATE.store(before, Ordering::Release);
    }
}
