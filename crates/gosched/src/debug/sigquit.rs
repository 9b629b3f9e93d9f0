//! What a program says that is told to quit.

use super::stacks;
use crate::sys::census::Harmless;
use crate::sys::global::{Mutex, lock};
use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;
use std::io::{self, Write as _};
use std::thread;

/// Whether there is a thread that waits for the signal.
static LISTENS: Mutex<bool> = Mutex::new(false);

/// From now on SIGQUIT (Ctrl-\ in a terminal, `kill -QUIT`) makes the process print what all its goroutines do, to
/// standard error, and end with code 2.
///
/// The text is `SIGQUIT: quit`, an empty line, and that of [`stacks`]. A thread of its own writes it, so it comes also
/// when every worker is stuck. Destructors and exit handlers are not run. Calling it again changes nothing; handlers
/// of others for this signal are called as well.
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
        let mut signals = Signals::new([SIGQUIT])?;
        thread::Builder::new().name("gosched-quit".into()).spawn(move || {
            let _harmless = Harmless::here();
            if signals.forever().next().is_some() {
                quit();
            }
        })?;
        *listens = true;
    }
    Ok(())
}

fn quit() -> ! {
    // In one piece; and whether or not it can be written, the process ends.
    let _ = io::stderr().write_all(format!("SIGQUIT: quit\n\n{}", stacks()).as_bytes());
    // SAFETY: no requirements. Not std's, which runs exit handlers: in a program that hangs one of them may, too.
    unsafe { libc::_exit(2) }
}
