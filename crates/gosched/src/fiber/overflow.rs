//! The report of a stack overflow.
//!
//! A goroutine that runs into the guard below its stack faults. The handler here, on the thread's alternate
//! signal stack, finds out whose guard it was, writes
//!
//! ```text
//! gosched: goroutine 18 "name" overflowed its stack of 256 KiB
//! created at src/main.rs:12:5
//! help: give it a larger one with goroutine::Builder::stack_size, or box large locals
//! ```
//!
//! and aborts. A fault anywhere else goes to the handler that was there before, which in a Rust program is
//! std's: it reports overflows of threads, and lets other faults kill the process as they always did.
//!
//! Everything the handler calls is async-signal-safe: no lock, no allocation, little stack. Who the
//! goroutine is comes from the layer above through [`set_describer`].

use super::stack::{self, GuardHit};
use crate::sys::global::{AtomicBool, Once, OnceLock, Ordering};
use crate::sys::{mem, signals};
use libc::{c_int, c_void, siginfo_t};
use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What there was before us, for each of [`SIGNALS`].
static PREVIOUS: [OnceLock<libc::sigaction>; 2] = [const { OnceLock::new() }; 2];
static DESCRIBER: OnceLock<Describer> = OnceLock::new();

/// What a [`Describer`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The goroutine's id and name: `goroutine 18 "name"`.
    Subject,
    /// Where it was created: `src/main.rs:12:5`.
    Origin,
}

/// Describes the goroutine that runs on the calling thread, by passing text to the sink in as many pieces as
/// it likes; nothing, if there is none. It is called from a signal handler: no lock, no allocation, and no
/// more than about a kilobyte of stack.
pub(crate) type Describer = fn(Detail, &mut dyn FnMut(&[u8]));

/// Tells the report where to learn who overflowed. The first call counts.
pub(crate) fn set_describer(describer: Describer) {
    let _ = DESCRIBER.set(describer);
}

/// Installs the handler, once per process. Each thread that runs goroutines calls [`ensure_alt_stack`] too.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (signal, previous) in SIGNALS.into_iter().zip(&PREVIOUS) {
            // SAFETY: all zero is a valid sigaction, and the kernel fills it in before we read it. It is
            // stored before our handler, which reads it, can run. The handler has the three-argument form
            // that SA_SIGINFO asks for, and is async-signal-safe.
            unsafe {
                let mut old = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                libc::sigaction(signal, ptr::null(), &mut old);
                let _ = previous.set(old);
                let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                new.sa_sigaction = on_fault as *const () as usize;
                new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                // No other handler during the report: see `signals`.
                libc::sigfillset(&mut new.sa_mask);
                libc::sigaction(signal, &new, ptr::null_mut());
            }
        }
    });
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid description.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // A code above zero says that the kernel raised the signal and that the address means something; others
    // come from kill and its like.
    if code > 0
        && let Some(hit) = stack::find_guard(addr)
    {
        report(hit);
    }
    pass_on(signal, info, context, code);
}

/// Does what would have happened without us.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, code: c_int) {
    let previous = SIGNALS.iter().position(|known| *known == signal).and_then(|index| PREVIOUS[index].get());
    match previous {
        // Ignored: a fault cannot be, says the kernel, which ends the process; but kill can.
        Some(old) if old.sa_sigaction == libc::SIG_IGN && code <= 0 => {}
        Some(old) if old.sa_sigaction != libc::SIG_IGN && old.sa_sigaction != libc::SIG_DFL => {
            // SAFETY: we are in a handler, with what the kernel passed; and the old action names one.
            unsafe { signals::call_previous(old, signal, info, context) }
        }
        _ => {
            // The default kills. A fault repeats as soon as we return; a signal from kill does not, and is
            // raised again: it stays pending until the handler has returned.
            // SAFETY: both calls are async-signal-safe and change only what this signal does.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if code <= 0 {
                    libc::raise(signal);
                }
            }
        }
    }
}

/// Writes the report and ends the process.
fn report(hit: GuardHit) -> ! {
    static REPORTING: AtomicBool = AtomicBool::new(false);
    if REPORTING.swap(true, Ordering::Relaxed) {
        // Another thread overflowed at the same time: let it finish its report and end us both.
        loop {
            // SAFETY: pause has no requirement.
            unsafe { libc::pause() };
        }
    }
    let mut out = Report::new();
    out.push(b"gosched: ");
    if !out.describe(Detail::Subject, b"") {
        out.push(b"a goroutine");
    }
    out.push(b" overflowed its stack of ");
    out.push_size(hit.size);
    out.push(b"\n");
    if out.describe(Detail::Origin, b"created at ") {
        out.push(b"\n");
    }
    out.push(b"help: give it a larger one with goroutine::Builder::stack_size, or box large locals\n");
    out.flush();
    // SAFETY: both are async-signal-safe. The default comes first, so that nobody's handler for SIGABRT
    // runs on what is left of this stack.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        libc::abort()
    }
}

/// Text on its way to standard error, gathered so that a line is one write.
struct Report {
    text: [u8; 256],
    len: usize,
}

impl Report {
    fn new() -> Self {
        Self { text: [0; 256], len: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.len == self.text.len() {
                self.flush();
            }
            self.text[self.len] = *byte;
            self.len += 1;
        }
    }

    fn flush(&mut self) {
        let mut rest = &self.text[..self.len];
        while !rest.is_empty() {
            // SAFETY: the slice is valid for its length.
            let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(count) if count > 0 => rest = &rest[count.min(rest.len())..],
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // Nobody to tell: the abort still comes.
                _ => break,
            }
        }
        self.len = 0;
    }

    /// Writes `prefix` and what the describer says; nothing and false if it says nothing.
    fn describe(&mut self, detail: Detail, prefix: &[u8]) -> bool {
        let Some(describer) = DESCRIBER.get() else { return false };
        let mut said = false;
        describer(detail, &mut |text| {
            if text.is_empty() {
                return;
            }
            if !said {
                self.push(prefix);
                said = true;
            }
            self.push(text);
        });
        said
    }

    /// A size class in the unit people use for it.
    fn push_size(&mut self, bytes: usize) {
        let (number, unit): (usize, &[u8]) =
            if bytes >= 1 << 20 { (bytes >> 20, b" MiB") } else { (bytes >> 10, b" KiB") };
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut left = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
        self.push(unit);
    }
}

/// Gives the calling thread a stack for signal handlers, unless it has a good one: on its own, which is full, no
/// handler could run. Threads that std started have one as soon as std's handler is installed, which it is
/// in programs whose `main` is Rust's; but that has room for one handler, if the processor's registers are large,
/// and ours may be interrupted by a program's own, or interrupt it.
///
/// # Errors
///
/// When no memory is left for it. The thread can run goroutines all the same; an overflow then ends the
/// process without a report.
#[inline(never)]
pub(crate) fn ensure_alt_stack() -> io::Result<()> {
    thread_local! {
        static OWN: RefCell<Option<AltStack>> = const { RefCell::new(None) };
    }
    let current = current_alt_stack()?;
    if current.ss_flags & libc::SS_DISABLE == 0 && current.ss_size >= enough() {
        return Ok(());
    }
    let ending = |_| io::Error::other("the thread is ending");
    OWN.try_with(|own| {
        // One that somebody disabled is still ours to free; a new one takes its place.
        let stack = AltStack::install()?;
        drop(own.replace(Some(stack)));
        Ok(())
    })
    .map_err(ending)?
}

fn current_alt_stack() -> io::Result<libc::stack_t> {
    // SAFETY: all zero is a valid stack_t, and the kernel fills it in.
    unsafe {
        let mut current = MaybeUninit::<libc::stack_t>::zeroed().assume_init();
        match libc::sigaltstack(ptr::null(), &mut current) {
            0 => Ok(current),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// An alternate signal stack that ends with its thread: a page that faults, then room for handlers.
#[derive(Debug)]
struct AltStack {
    memory: NonNull<u8>,
    len: usize,
}

impl AltStack {
    fn install() -> io::Result<Self> {
        let page = mem::page_size();
        let size = mem::round_up((64 << 10) + 3 * signal_frame_size());
        let len = page + size;
        let stack = Self { memory: mem::reserve(len)?, len };
        // SAFETY: the lowest page of a fresh mapping that nobody uses.
        unsafe { mem::forbid(stack.memory.as_ptr().expose_provenance(), page)? };
        // SAFETY: the page lies within the mapping; the range stays mapped until `drop` has taken it out of
        // use.
        let set = unsafe {
            let base = stack.memory.as_ptr().add(page).cast();
            libc::sigaltstack(&libc::stack_t { ss_sp: base, ss_flags: 0, ss_size: size }, ptr::null_mut())
        };
        if set == 0 { Ok(stack) } else { Err(io::Error::last_os_error()) }
    }

    fn holds(&self, addr: usize) -> bool {
        let base = self.memory.as_ptr().addr();
        (base..base + self.len).contains(&addr)
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        if let Ok(current) = current_alt_stack()
            && current.ss_flags & libc::SS_DISABLE == 0
            && self.holds(current.ss_sp.addr())
        {
            let none =
                libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: self.len };
            // SAFETY: turning the stack off asks for nothing.
            if unsafe { libc::sigaltstack(&none, ptr::null_mut()) } != 0 {
                // It is in use: leave it mapped.
                return;
            }
        }
        // SAFETY: the mapping is ours, and no handler of this thread uses it any more.
        let _ = unsafe { mem::unmap(self.memory, self.len) };
    }
}

/// Room for handlers that interrupt each other. One of ours has more.
fn enough() -> usize {
    (16 << 10) + 3 * signal_frame_size()
}

/// How much the kernel itself puts on a signal stack, which grows with the processor's registers.
fn signal_frame_size() -> usize {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        const AT_MINSIGSTKSZ: libc::c_ulong = 51;
        // SAFETY: getauxval has no requirement; it returns zero for what it does not know.
        let size = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
        usize::try_from(size).unwrap_or(0).max(libc::SIGSTKSZ)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    libc::SIGSTKSZ
}

#[cfg(test)]
mod tests;
