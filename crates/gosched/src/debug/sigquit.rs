//! What a program says that is told to quit.

use super::stacks;
use crate::sys::census::Harmless;
use crate::sys::global::{Mutex, lock};
use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::thread;
use std::time::{Duration, Instant};

/// How long the dump may take. A million goroutines take a second, but in a program without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is a thread that waits for the signal.
static LISTENS: Mutex<bool> = Mutex::new(false);

/// From now on SIGQUIT (Ctrl-\ in a terminal, `kill -QUIT`) makes the process print what all its goroutines do, to
/// standard error, and end with code 2. Under [`#[gosched::main]`](macro@crate::main) that is so without a call, unless
/// it says `sigquit = false`.
///
/// The text is `SIGQUIT: quit`, an empty line, and that of [`stacks`]. Threads of its own write it, so it comes also
/// when every worker is stuck, and when goroutines hold locks, that of standard error among them. A second signal ends
/// the process with code 2 at once, and so do 60 seconds without a dump: if what is stuck holds a lock of the system that
/// the dump needs, as that of the loader of libraries.
///
/// Destructors and exit handlers are not run. Calling it again changes nothing; handlers of others for this signal are
/// called as well.
///
/// # Errors
///
/// When the signal cannot be received, or the thread cannot be started.
///
/// ```no_run
/// gosched::debug::on_sigquit()?;
/// gosched::run(|| gosched::time::sleep(std::time::Duration::from_secs(3600)));
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: what every program does at SIGQUIT.
pub fn on_sigquit() -> io::Result<()> {
    let mut listens = lock(&LISTENS);
    if !*listens {
        let signals = Signals::new([SIGQUIT])?;
        thread::Builder::new().name("gosched-quit".into()).spawn(move || listen(signals))?;
        *listens = true;
    }
    Ok(())
}

fn listen(mut signals: Signals) {
    let _harmless = Harmless::here();
    if signals.forever().next().is_none() {
        return;
    }
    // The dump waits for locks that others hold for a moment. Whoever holds one for ever must not keep us here.
    if thread::Builder::new().name("gosched-dump".into()).spawn(|| quit()).is_err() {
        quit();
    }
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && signals.pending().next().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    say("gosched: not waiting for the dump any longer\n");
    end()
}

fn quit() -> ! {
    say("SIGQUIT: quit\n\n");
    say(&stacks());
    end()
}

/// Writes to standard error, past std's lock, which somebody may hold. Whether or not it can be written, we go on.
fn say(text: &str) {
    // SAFETY: it is not closed here, and nobody closes standard error; if somebody did, this is an error, or goes to what
    // was opened in its place, as with everything that is written to standard error.
    let mut stderr = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDERR_FILENO) });
    let _ = stderr.write_all(text.as_bytes());
}

fn end() -> ! {
    // SAFETY: no requirements. Not std's, which runs exit handlers: in a program that hangs one of them may, too.
    unsafe { libc::_exit(2) }
}
