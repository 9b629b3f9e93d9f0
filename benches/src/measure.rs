//! A row's runs: in rounds, in shuffled order, again when the machine was noisy, three for one that is short.

use crate::process::Run;
use std::collections::BTreeMap;

/// Seconds below which a run is made three times.
pub(crate) const SHORT: f64 = 0.35;
/// Of a core, by others.
pub(crate) const NOISE: f64 = 0.06;
const TRIES: u32 = 4;

/// What a row's runs gave: for each system its runs, one a round, or why there are none.
pub(crate) type Outcome = BTreeMap<String, Result<Vec<Run>, String>>;

/// Runs all systems once in each round. What fails is not run again.
pub(crate) fn rounds(
    systems: &[String],
    rounds: u32,
    mut measure: impl FnMut(&str) -> Result<Run, String>,
) -> Outcome {
    let mut outcome: Outcome = systems.iter().map(|system| (system.clone(), Ok(Vec::new()))).collect();
    let mut order = systems.to_vec();
    for _ in 0..rounds {
        fastrand::shuffle(&mut order);
        for system in &order {
            let entry = outcome.get_mut(system).expect("every system has one");
            if let Ok(runs) = entry {
                match measure(system) {
                    Ok(run) => runs.push(run),
                    Err(error) => *entry = Err(error),
                }
            }
        }
    }
    outcome
}

/// The run that counts for one round.
pub(crate) fn round(
    metric: &str,
    unit: &str,
    mut once: impl FnMut() -> Result<Run, String>,
) -> Result<Run, String> {
    let first = quiet(unit, &mut once)?;
    if first.wall >= SHORT {
        return Ok(first);
    }
    let mut runs = vec![first, quiet(unit, &mut once)?, quiet(unit, &mut once)?];
    let value = |run: &Run| run.values.get(metric).copied().unwrap_or_default();
    runs.sort_by(|a, b| value(a).total_cmp(&value(b)));
    Ok(runs.swap_remove(1))
}

/// The quietest of up to four runs.
fn quiet(unit: &str, once: &mut impl FnMut() -> Result<Run, String>) -> Result<Run, String> {
    let mut best = once()?;
    // Memory does not depend on what else the machine does.
    let tries = if unit == "B" { 1 } else { TRIES };
    for _ in 1..tries {
        if !is_noisy(&best) {
            break;
        }
        let next = once()?;
        if next.noise < best.noise {
            best = next;
        }
    }
    Ok(best)
}

/// Whether others were busy meanwhile. The machine's clock ticks are 10 ms, so that of a short run only much can be
/// told: what is more than four ticks.
pub(crate) fn is_noisy(run: &Run) -> bool {
    let unsure = if run.wall < SHORT { 0.04 / run.wall.max(1e-9) } else { 0.0 };
    run.noise > NOISE + unsure
}

/// Touches memory, so that a virtual machine has it: the first touch of a page may cost 15 us there.
pub(crate) fn warm(mib: u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"));
    let available =
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    let mib = mib.min(available.unwrap_or(0) / 1024 * 8 / 10);
    let mut memory = vec![0u8; (mib << 20) as usize];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(wall: f64, noise: f64, value: f64) -> Run {
        let mut run = Run { wall, noise, ..Run::default() };
        run.add("m", value, "ns");
        run
    }

    /// What `round` makes of these runs, and how many it asked for.
    fn counted(unit: &str, runs: &[Run]) -> (f64, usize) {
        let mut asked = 0;
        let run = round("m", unit, || {
            asked += 1;
            Ok(runs[asked - 1].clone())
        });
        (run.unwrap().values["m"], asked)
    }

    #[test]
    fn a_quiet_run_is_enough() {
        assert_eq!(counted("ns", &[run_of(1.0, 0.05, 5.0)]), (5.0, 1));
    }

    #[test]
    fn a_noisy_run_is_made_again_until_one_is_quiet() {
        let runs = [run_of(1.0, 0.5, 5.0), run_of(1.0, 0.3, 6.0), run_of(1.0, 0.01, 7.0)];
        assert_eq!(counted("ns", &runs), (7.0, 3));
    }

    #[test]
    fn where_none_is_quiet_the_quietest_of_four_counts() {
        let runs = [0.5, 0.2, 0.4, 0.3].map(|noise| run_of(1.0, noise, noise * 10.0));
        assert_eq!(counted("ns", &runs), (2.0, 4));
        assert!(is_noisy(&runs[1]));
    }

    #[test]
    fn of_a_short_run_only_much_noise_can_be_told() {
        assert!(!is_noisy(&run_of(0.1, 0.4, 1.0)) && is_noisy(&run_of(0.1, 0.5, 1.0)));
        assert!(!is_noisy(&run_of(0.005, 2.0, 1.0)) && !is_noisy(&run_of(0.0, 2.0, 1.0)));
        assert!(!is_noisy(&run_of(0.35, 0.06, 1.0)) && is_noisy(&run_of(0.35, 0.07, 1.0)));
    }

    #[test]
    fn memory_is_not_judged_by_noise() {
        assert_eq!(counted("B", &[run_of(1.0, 0.5, 5.0)]), (5.0, 1));
    }

    #[test]
    fn short_runs_are_three_and_the_middle_counts() {
        let runs = [9.0, 1.0, 4.0].map(|value| run_of(0.1, 0.0, value));
        assert_eq!(counted("ns", &runs), (4.0, 3));
    }

    #[test]
    fn every_system_runs_once_a_round_and_what_fails_no_more() {
        let systems = ["a", "b", "c"].map(String::from);
        let mut calls: Vec<String> = Vec::new();
        let outcome = rounds(&systems, 5, |system| {
            calls.push(system.to_owned());
            let times = calls.iter().filter(|call| *call == system).count();
            if system == "b" && times == 2 { Err("broke".into()) } else { Ok(run_of(1.0, 0.0, times as f64)) }
        });
        assert_eq!(outcome["a"].as_ref().unwrap().len(), 5);
        assert_eq!(outcome["c"].as_ref().unwrap().len(), 5);
        assert_eq!(outcome["b"].as_ref().unwrap_err(), "broke");
        assert_eq!(calls.len(), 5 + 5 + 2);
        let mut first: Vec<_> = calls[..3].to_vec();
        first.sort();
        assert_eq!(first, systems, "the first round has each once");
    }
}
