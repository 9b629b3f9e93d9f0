//! Who overflowed its stack: called by the signal handler, so nothing here allocates, locks or blocks.

use crate::fiber::overflow::Detail;
use crate::task::current::current_task;

/// Writes a decimal number into `buffer` and returns its digits.
fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

/// The goroutine on this thread, for the overflow report.
pub(super) fn describe(detail: Detail, out: &mut dyn FnMut(&[u8])) {
    let Some(task) = current_task() else { return };
    let mut buffer = [0; 20];
    match detail {
        Detail::Subject => {
            out(b"goroutine ");
            out(digits(task.id.get(), &mut buffer));
            task.with_name(|name| {
                if let Some(name) = name {
                    out(b" \"");
                    out(name.as_bytes());
                    out(b"\"");
                }
            });
        }
        Detail::Origin => {
            let created = task.created.get();
            out(created.file().as_bytes());
            out(b":");
            out(digits(created.line().into(), &mut buffer));
            out(b":");
            out(digits(created.column().into(), &mut buffer));
        }
    }
}
