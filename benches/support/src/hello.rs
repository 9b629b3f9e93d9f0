//! Programs that say hello from a goroutine, a task or a thread, and end: how big they are and how long they take.

use crate::{Args, report};
use std::process::Command;
use std::time::Instant;

/// Measures the program of this name, which lies beside the one that runs: what of its file is loaded (so neither
/// symbols nor what a debugger reads), and the time of a whole process.
///
/// # Panics
///
/// If there is no such program, or it does not say hello.
pub fn measure(args: &Args, name: &str) {
    let path = std::env::current_exe().expect("this program's path").with_file_name(name);
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    report("size", loaded(&image) as f64 / 1024.0, "KiB");
    let n = args.count(100);
    let begin = Instant::now();
    for _ in 0..n {
        let output = Command::new(&path).output().expect("a process");
        assert_eq!(output.stdout, b"hello\n");
    }
    report("hello", begin.elapsed().as_secs_f64() * 1e3 / n as f64, "ms");
}

/// The bytes of an ELF file of 64 bits that its program headers load.
fn loaded(image: &[u8]) -> u64 {
    const LOAD: u64 = 1;
    let number = |at: usize, size: usize| {
        image[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    assert!(image.starts_with(b"\x7fELF\x02\x01"), "a little-endian ELF file of 64 bits");
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let headers = (0..count).map(|i| (table + i * size) as usize);
    headers.filter(|at| number(*at, 4) == LOAD).map(|at| number(at + 0x20, 8)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_loaded_counts() {
        let mut image = vec![0; 64 + 2 * 56];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (image[0x20], image[0x36], image[0x38]) = (64, 56, 2);
        // The first is loaded, the second is a note.
        (image[64], image[64 + 0x20], image[64 + 0x21]) = (1, 7, 2);
        (image[120], image[120 + 0x20]) = (4, 99);
        assert_eq!(loaded(&image), 0x207);
    }
}
