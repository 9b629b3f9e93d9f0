//! The tables.

use crate::results::{Figures, Measured};
use crate::row::Row;
use crate::stats::{number, ratio};
use crate::system;
use std::fmt::Write;

/// A row: each system with its median and spread, and how many times better the judged gosched is.
pub(crate) fn row(name: &str, row: &Measured) -> String {
    let mut text =
        format!("{name}  ({}, {} is better)\n", row.title, if is_less(row) { "less" } else { "more" });
    let ours = row.ours.as_ref().map(|name| (name, &row.systems[name]));
    let mut systems: Vec<_> = row.systems.iter().collect();
    // gosched first, the others by how good they are.
    systems.sort_by(|a, b| {
        let place = |name: &str| (!system::is_ours(name), name.contains("migrate"));
        let better = a.1.median.total_cmp(&b.1.median);
        place(a.0).cmp(&place(b.0)).then(if is_less(row) { better } else { better.reverse() })
    });
    for (system, figures) in systems {
        let against = match ours {
            Some((ours, _)) if ours == system => of_ours(row),
            Some((_, ours)) => factor(row, ours, figures),
            None => String::new(),
        };
        let spread = format!(
            "{} ({}-{}) {}",
            number(figures.median),
            number(figures.min),
            number(figures.max),
            row.unit
        );
        let mut others: Vec<String> =
            figures.others.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        if let Some(instructions) = row.instructions.filter(|_| system == "gosched-pinned") {
            others.insert(0, format!("{} instructions", number(instructions)));
        }
        let line = format!(
            "  {system:<22}{mark} {spread:<34} {against:<24}{:>5.2} cores{:>11} switches  {}",
            figures.cores,
            number(figures.voluntary.round()),
            others.join("  "),
            mark = if figures.noisy { '!' } else { ' ' },
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for (system, error) in &row.failed {
        let _ = writeln!(text, "  {system:<22}  FAILED: {}", error.replace('\n', "\n      "));
    }
    for (system, why) in &row.skipped {
        let _ = writeln!(text, "  {system:<22}  skipped: {}", why.lines().next().unwrap_or_default());
    }
    text
}

fn is_less(row: &Measured) -> bool {
    row.better == crate::row::Better::Less
}

/// How many times better gosched is than this system; `~` where the ranges overlap.
fn factor(row: &Measured, ours: &Figures, theirs: &Figures) -> String {
    let overlap = theirs.min <= ours.max && ours.min <= theirs.max;
    let factor = ratio(row.better, ours.median, theirs.median);
    format!("{}x{}", number(factor), if overlap { " ~" } else { "" })
}

/// What stands beside the judged gosched.
fn of_ours(row: &Measured) -> String {
    match (row.ratio, &row.best) {
        (Some(ratio), Some(best)) => format!("{}x {best}", number(ratio)),
        _ => "alone".to_owned(),
    }
}

/// A bar: what was asked, what was reached, and whether that is enough (`None`: not measured).
#[derive(Debug, PartialEq)]
pub(crate) struct Bar {
    row: String,
    asked: String,
    reached: Option<String>,
    pub(crate) met: Option<bool>,
}

/// The bars of a row.
pub(crate) fn bars(row: &Row, measured: &Measured) -> Vec<Bar> {
    let bar = |asked, reached, met| Bar { row: row.name.clone(), asked, reached, met };
    let mut bars = Vec::new();
    if let Some(factor) = measured.factor {
        let reached = measured
            .ratio
            .zip(measured.best.as_ref())
            .map(|(ratio, best)| format!("{} ({best})", number(ratio)));
        let met = measured.ratio.map(|ratio| ratio >= factor);
        bars.push(bar(format!("{}x the best other", number(factor)), reached, met));
    }
    let ours = measured.ours.as_ref().map(|name| &measured.systems[name]);
    if let Some(most) = row.bar {
        let value = ours.map(|figures| figures.median);
        bars.push(bar(
            format!("at most {} {}", number(most), row.unit),
            value.map(number),
            value.map(|v| v <= most),
        ));
    }
    for (metric, most) in &row.bars {
        let value = ours.and_then(|figures| figures.others.get(metric)).copied();
        bars.push(bar(
            format!("{metric} at most {}", number(*most)),
            value.map(number),
            value.map(|v| v <= *most),
        ));
    }
    bars
}

pub(crate) fn bars_text(bars: &[Bar]) -> String {
    let mut text = format!("{:<24}{:<38}{:<28}\n", "row", "bar", "reached");
    for bar in bars {
        let verdict = match bar.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "not measured",
        };
        let reached = bar.reached.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{:<24}{:<38}{reached:<28}{verdict}", bar.row, bar.asked);
    }
    text
}

/// What `--list` shows.
pub(crate) fn list(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{}: {} ({})", row.name, row.title, row.unit);
        for part in [&row.what, &row.fair] {
            wrap(&mut text, part);
        }
        let systems = match &row.from {
            Some(from) => format!("A line of the runs of {from}."),
            None => format!("Systems: {}.", row.systems.join(", ")),
        };
        wrap(&mut text, &systems);
        text.push('\n');
    }
    text
}

fn wrap(text: &mut String, paragraph: &str) {
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        if width > 0 && width + 1 + word.chars().count() > 105 {
            text.push('\n');
            width = 0;
        }
        text.push_str(if width == 0 { "    " } else { " " });
        width += word.chars().count() + 1;
        text.push_str(word);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{Values, measured, row as a_row};

    #[test]
    fn a_table_has_medians_spreads_ratios_and_marks() {
        let mut measured = measured(
            "better='less'",
            &[("gosched-pinned", &[90.0, 100.0, 110.0]), ("go", &[250.0]), ("tokio", &[105.0])],
        );
        measured.instructions = Some(321.0);
        measured.systems.get_mut("go").unwrap().noisy = true;
        measured.failed.insert("kanal".into(), "exit code 1\nwhy".into());
        measured.skipped.insert("smol".into(), "not here".into());
        let text = row("r", &measured);
        let line = |system: &str| {
            text.lines().find(|line| line.trim_start().starts_with(system)).unwrap().to_owned()
        };
        assert!(
            line("gosched-pinned").contains("100 (90.0-110) ns")
                && line("gosched-pinned").contains("1.05x tokio"),
            "{text}"
        );
        assert!(line("gosched-pinned").contains("321 instructions"), "{text}");
        assert!(
            line("go ").contains('!') && line("go ").contains("2.50x") && !line("go ").contains('~'),
            "{text}"
        );
        assert!(line("tokio").contains("1.05x ~"), "{text}");
        assert!(
            line("kanal").contains("FAILED: exit code 1") && line("smol").contains("skipped: not here"),
            "{text}"
        );
    }

    #[test]
    fn bars_are_met_or_not_or_not_measured() {
        let systems: Values<'_> = &[("gosched-pinned", &[100.0]), ("go", &[150.0])];
        let met = |rest: &str| -> Vec<Option<bool>> {
            bars(&a_row(rest), &measured(rest, systems)).into_iter().map(|bar| bar.met).collect()
        };
        assert_eq!(met("better='less'"), [Some(true)]);
        assert_eq!(met("better='less'\nfactor=1.6"), [Some(false)]);
        assert_eq!(met("better='less'\nbar=99"), [Some(false)]);
        assert_eq!(met("better='less'\nbar=100\n[bars]\nother=200\nnone=1"), [Some(true), None, Some(true)]);
        let alone = bars(&a_row("better='less'"), &measured("better='less'", &[("gosched-pinned", &[1.0])]));
        assert_eq!(alone[0].met, None);
        assert!(bars_text(&alone).contains("not measured"));
    }

    #[test]
    fn the_list_has_every_text() {
        let text = list(&[a_row("better='less'")]);
        assert!(text.contains("r: T (ns)") && text.contains("    W\n    F\n"), "{text}");
    }
}
