//! The smallest programs: how much of them is loaded, and how long they live.

use crate::process::{self, Program, Run};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process lives for about a millisecond: this many are measured, and the middle one counts.
const TIMES: usize = 21;

pub(crate) fn run(program: &Program, timeout: Duration) -> Result<Run, String> {
    let named = |error: String| format!("{}: {error}", program.line());
    let (mut times, begin, own) = (Vec::new(), Instant::now(), process::own_cpu());
    for _ in 0..TIMES {
        let ended = process::output(&mut program.command(), timeout).map_err(named)?;
        if ended.stdout != "hello\n" {
            return Err(named(format!("it says `{}`, not hello", ended.stdout.trim())));
        }
        times.push(ended.wall.as_secs_f64() * 1e6);
    }
    let mut run =
        Run { wall: begin.elapsed().as_secs_f64(), cpu: process::own_cpu() - own, ..Run::default() };
    run.add("hello_size", loaded(&program.path).map_err(named)? as f64 / 1024.0, "KiB");
    run.add("hello_time", crate::stats::median(&times), "us");
    Ok(run)
}

/// The bytes of a program's file that are loaded when it starts: of an ELF file its segments of type `PT_LOAD`.
fn loaded(path: &Path) -> Result<u64, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    segments(&bytes).ok_or_else(|| "is no ELF file of 64 bits".to_owned())
}

fn segments(bytes: &[u8]) -> Option<u64> {
    const LOAD: u64 = 1;
    let number = |at: u64, size: usize| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let little = bytes.get(at..at.checked_add(size)?)?.iter().rev();
        Some(little.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    // The class (64 bits) and the order of the bytes (the lowest first).
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut sum = 0;
    for header in (0..count).map(|place| table + place * size) {
        if number(header, 4)? == LOAD {
            sum += number(header + 32, 8)?;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_part_of_the_file() {
        let this = std::env::current_exe().unwrap();
        let (loaded, file) = (loaded(&this).unwrap(), this.metadata().unwrap().len());
        assert!(loaded > 100_000 && loaded < file, "{loaded} of {file}");
        assert_eq!(segments(b"#!/bin/sh"), None);
        assert_eq!(segments(b"\x7fELF\x02\x01 but too short"), None);
    }

    #[test]
    fn only_a_program_that_says_hello_is_measured() {
        let shell = |script: &str| Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![],
        };
        let timeout = Duration::from_secs(60);
        let run_of = run(&shell("echo hello"), timeout).unwrap();
        assert!(
            run_of.figure("hello_time").unwrap().value > 0.0
                && run_of.figure("hello_size").unwrap().value > 10.0
        );
        assert!(run(&shell("echo no"), timeout).unwrap_err().contains("`no`"));
    }
}
