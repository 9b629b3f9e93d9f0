//! Instructions for each operation, which are the same on a noisy machine as on a quiet one.
//!
//! gosched runs pinned with one worker under callgrind, once with a count and once with twice that. What the
//! second has more are the instructions of so many operations, without start and end.

use crate::process::{self, Program};
use crate::programs::Programs;
use crate::row::Row;
use crate::stats::rounded;
use crate::system::System;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Whether there is a valgrind.
pub(crate) fn is_there() -> bool {
    process::output(Command::new("valgrind").arg("--version"), Duration::from_secs(60)).is_ok()
}

/// Instructions for each operation of a row, if it says how to count them.
pub(crate) fn instructions(
    programs: &Programs,
    row: &Row,
    out: &Path,
    timeout: Duration,
) -> Result<Option<f64>, String> {
    let Some(count) = row.callgrind else { return Ok(None) };
    let system = System::parse("gosched-pinned");
    let collected = |n: u64| {
        let mut rest: Vec<_> = row.args.iter().map(Into::into).collect();
        rest.push(n.to_string().into());
        let program = programs.program(&system, row.program_of(&system), 1, rest)?;
        collect(&program, out, timeout)
            .map_err(|error| format!("under callgrind: {}: {error}", program.line()))
    };
    let (once, twice) = (collected(count.n)?, collected(2 * count.n)?);
    Ok(Some(rounded(per_operation(once, twice, count.n * count.per))))
}

fn per_operation(once: u64, twice: u64, operations: u64) -> f64 {
    twice.saturating_sub(once) as f64 / operations as f64
}

fn collect(program: &Program, out: &Path, timeout: Duration) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(&program.path).args(&program.args);
    let ended = process::output(&mut command, timeout);
    let _ = std::fs::remove_file(out);
    parse(&ended?.stderr)
}

/// The number in callgrind's line `==123== Collected : 456`.
fn parse(stderr: &str) -> Result<u64, String> {
    let number = stderr.lines().find_map(|line| line.split_once("Collected :"));
    number
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| "it says no number of instructions".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found() {
        assert_eq!(parse("==7== Events    : Ir\n==7== Collected : 123456\n==7==\n"), Ok(123_456));
        assert!(parse("==7== Events    : Ir\n").is_err());
    }

    #[test]
    fn start_and_end_cancel_out() {
        assert_eq!(per_operation(1_000_000 + 20_000, 1_000_000 + 40_000, 100), 200.0);
        assert_eq!(per_operation(10, 9, 100), 0.0);
    }
}
