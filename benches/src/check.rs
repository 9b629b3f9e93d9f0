//! `--check`: are the ratios still those that were committed?

use crate::results::{Measured, Results, Session, ratio_among};
use crate::stats::number;

/// A ratio may be this much smaller than the committed one.
const SLACK: f64 = 0.10;

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Holds(String),
    Behind(String),
    CannotCompare(String),
}

/// Compares a row with the committed one, over those systems that both have.
pub(crate) fn row(name: &str, new: &Measured, session: &Session, committed: &Results) -> Verdict {
    let cannot = |why: String| Verdict::CannotCompare(format!("{name}: {why}"));
    let Some(old) = committed.rows.get(name) else {
        return cannot("it is not in the committed results".to_owned());
    };
    let workers = committed.sessions.get(&old.session).map(|session| session.workers);
    if workers != Some(session.workers) {
        return cannot("the committed figures are with another number of workers".to_owned());
    }
    if (&old.metric, &old.unit, old.better) != (&new.metric, &new.unit, new.better) {
        return cannot("the committed figures are of something else".to_owned());
    }
    let failed = new.failed.iter().find(|(system, _)| crate::system::is_ours(system));
    if let Some((system, error)) = failed {
        return Verdict::Behind(format!(
            "{name}: {system} failed: {}",
            error.lines().next().unwrap_or_default()
        ));
    }
    let both = |system: &str| old.systems.contains_key(system) && new.systems.contains_key(system);
    let (Some((was, _)), Some((is, best))) = (ratio_among(old, both), ratio_among(new, both)) else {
        return cannot("no other system is in both".to_owned());
    };
    let noisy = if new.is_noisy() { ", but the machine was noisy (!)" } else { "" };
    let text =
        format!("{name}: {} times the best other ({best}), committed {}{noisy}", number(is), number(was));
    if is < was * (1.0 - SLACK) { Verdict::Behind(text) } else { Verdict::Holds(text) }
}

/// What was found, and whether all rows that can be compared hold.
pub(crate) fn summary(verdicts: &[Verdict]) -> (String, bool) {
    let (mut text, mut holds, mut behind) = (String::new(), 0, 0);
    for verdict in verdicts {
        match verdict {
            Verdict::Holds(_) => holds += 1,
            Verdict::Behind(row) => {
                behind += 1;
                text.push_str(&format!("BEHIND          {row}\n"));
            }
            Verdict::CannotCompare(row) => text.push_str(&format!("cannot compare  {row}\n")),
        }
    }
    text.push_str(&format!(
        "check: {holds} rows hold, {behind} are more than {:.0}% behind the committed ratio, \
         {} cannot be compared\n",
        SLACK * 100.0,
        verdicts.len() - holds - behind
    ));
    (text, behind == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::measured;

    fn session(workers: u16) -> Session {
        Session { workers, ..Session::default() }
    }

    fn committed(row: Measured) -> Results {
        let mut results = Results::default();
        results.put("r", row, &session(2));
        results
    }

    fn pair(ours: f64, go: f64) -> Measured {
        measured("better='less'", &[("gosched-pinned", &[ours]), ("go", &[go])])
    }

    #[test]
    fn up_to_a_tenth_behind_holds_and_more_does_not() {
        let old = committed(pair(100.0, 200.0));
        let verdict = |new: Measured| row("r", &new, &session(2), &old);
        assert!(matches!(verdict(pair(100.0, 200.0)), Verdict::Holds(_)));
        assert!(matches!(verdict(pair(110.0, 200.0)), Verdict::Holds(_)));
        assert!(matches!(verdict(pair(50.0, 200.0)), Verdict::Holds(_)));
        assert!(matches!(verdict(pair(112.0, 200.0)), Verdict::Behind(_)));
        // A machine that is slower for all is not what is looked for.
        assert!(matches!(verdict(pair(300.0, 600.0)), Verdict::Holds(_)));
    }

    #[test]
    fn where_more_is_better_the_same_holds() {
        let pair = |ours: f64| measured("better='more'", &[("gosched-pinned", &[ours]), ("go", &[100.0])]);
        let old = committed(pair(200.0));
        assert!(matches!(row("r", &pair(181.0), &session(2), &old), Verdict::Holds(_)));
        assert!(matches!(row("r", &pair(179.0), &session(2), &old), Verdict::Behind(_)));
    }

    #[test]
    fn only_systems_that_both_have_are_compared() {
        // tokio was the best other; without it Go is, in both.
        let old = committed(measured(
            "better='less'",
            &[("gosched-pinned", &[100.0]), ("go", &[200.0]), ("tokio", &[110.0])],
        ));
        assert!(matches!(row("r", &pair(100.0, 200.0), &session(2), &old), Verdict::Holds(_)));
        let Verdict::Behind(text) = row("r", &pair(150.0, 200.0), &session(2), &old) else {
            panic!("it is behind")
        };
        assert!(text.contains("committed 2.00") && text.contains("(go)"), "{text}");
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let alone = || measured("better='less'", &[("gosched-pinned", &[100.0])]);
        let why = |new: Measured, workers, old: &Results| match row("r", &new, &session(workers), old) {
            Verdict::CannotCompare(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(why(alone(), 2, &Results::default()).contains("not in the committed"));
        assert!(why(alone(), 2, &committed(alone())).contains("no other system"));
        assert!(why(pair(1.0, 1.0), 4, &committed(pair(1.0, 1.0))).contains("workers"));
        let more = measured("better='more'", &[("gosched-pinned", &[1.0]), ("go", &[1.0])]);
        assert!(why(more, 2, &committed(pair(1.0, 1.0))).contains("something else"));
    }

    #[test]
    fn ours_that_fails_is_behind() {
        let mut new = pair(100.0, 200.0);
        new.systems.remove("gosched-pinned");
        new.failed.insert("gosched-pinned".into(), "exit code 101\npanicked".into());
        let Verdict::Behind(text) = row("r", &new, &session(2), &committed(pair(100.0, 200.0))) else {
            panic!("it failed")
        };
        assert!(text.contains("exit code 101") && !text.contains("panicked"));
        let (said, holds) = summary(&[Verdict::Behind(text)]);
        assert!(!holds && said.contains("BEHIND") && said.contains("exit code 101"));
        let (said, holds) = summary(&[Verdict::Holds(String::new()), Verdict::CannotCompare("why".into())]);
        assert!(holds && said.contains("cannot compare  why") && said.contains("1 rows hold, 0 are"));
    }
}
