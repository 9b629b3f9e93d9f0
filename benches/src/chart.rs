//! The charts: docs/bench/ratios.svg, a bar for each row, and docs/bench/systems.svg, a point for each system.

use crate::results::{Measured, Results};
use crate::stats::{number, ratio};
use crate::system::{self, System};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const LINE: i32 = 22;
const TOP: i32 = 78;
const BOTTOM: i32 = 42;
const LABELS: i32 = 390;
const PLOT: i32 = 470;
const TEXTS: i32 = 400;
const WIDTH: i32 = LABELS + PLOT + TEXTS;
const FONT: &str = "Helvetica, Arial, sans-serif";

const BETTER: RGBColor = RGBColor(0x2a, 0x7f, 0x62);
const WORSE: RGBColor = RGBColor(0xc0, 0x4a, 0x3a);
const GREY: RGBColor = RGBColor(0x66, 0x66, 0x66);
const PALE: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);

/// A chart's text, for the file.
pub(crate) fn ratios(results: &Results) -> Result<String, String> {
    let shown = |row: &Measured| row.ratio.into_iter().chain(row.factor).collect();
    draw(results, "gosched and the best other system of each row", shown, |area, rows, scale| {
        for (place, row) in rows.iter().enumerate() {
            let (Some(ratio), Some(best)) = (row.ratio, &row.best) else { continue };
            let (y, x) = (middle(place), scale.at(ratio));
            let colour = match row.factor {
                None => GREY,
                Some(_) if ratio < 1.0 => WORSE,
                Some(_) => BETTER,
            };
            let good = row.factor.is_none_or(|factor| ratio >= factor);
            let style = if good { colour.filled() } else { colour.mix(0.45).filled() };
            area.draw(&Rectangle::new([(scale.at(1.0), y - 6), (x, y + 6)], style))?;
            if let Some(factor) = row.factor.filter(|factor| *factor != 1.0) {
                let asked = scale.at(factor);
                area.draw(&PathElement::new([(asked, y - 9), (asked, y + 9)], BLACK.stroke_width(2)))?;
            }
            let (ours, theirs) = (&row.systems[row.ours.as_ref().unwrap_or(best)], &row.systems[best]);
            let noisy = if row.is_noisy() { " !" } else { "" };
            let (ours, theirs) = (number(ours.median), number(theirs.median));
            write(area, &format!("{}x", number(ratio)), (LABELS + PLOT + 12, y - 6), BLACK)?;
            let text = format!("{ours} against {theirs} {}, {best}{noisy}", row.unit);
            write(area, &text, (LABELS + PLOT + 66, y - 6), BLACK)?;
        }
        let legend = "to the right gosched is better; a pale bar does not reach what is asked for, which is the \
                      black mark or else 1x; a grey one has only a bar of its own; !: the machine was noisy";
        write(area, legend, (16, 46), GREY)
    })
}

/// The same with every system: where a point is to the right, gosched is better than it.
pub(crate) fn systems(results: &Results) -> Result<String, String> {
    let others = |row: &Measured| -> Vec<(String, f64)> {
        let ours = row.ours.as_ref().map(|name| row.systems[name].median);
        let others = row.systems.iter().filter(|(name, _)| !system::is_ours(name));
        others.filter_map(|(name, of)| Some((name.clone(), ratio(row.better, ours?, of.median)))).collect()
    };
    let shown = |row: &Measured| others(row).into_iter().map(|(_, ratio)| ratio).collect();
    draw(results, "gosched and every other system", shown, |area, rows, scale| {
        let names = rows.iter().flat_map(|row| row.systems.keys());
        let bases: BTreeSet<String> =
            names.map(|name| System::parse(name).base).filter(|base| base != "gosched").collect();
        let colours: BTreeMap<&String, RGBColor> = bases.iter().zip((0..).map(colour)).collect();
        for (place, row) in rows.iter().enumerate() {
            for (name, ratio) in others(row) {
                let system = System::parse(&name);
                let (colour, is_variant) = (colours[&system.base], system.mimalloc || system.mode.is_some());
                let style = if is_variant { colour.stroke_width(2) } else { colour.filled() };
                area.draw(&Circle::new((scale.at(ratio), middle(place)), 5, style))?;
            }
        }
        let (mut x, mut y) = (16, 40);
        for (base, colour) in &colours {
            let width = 28 + base.len() as i32 * 7;
            if x + width > WIDTH - 16 {
                (x, y) = (16, y + 18);
            }
            area.draw(&Circle::new((x + 5, y + 6), 5, colour.filled()))?;
            write(area, base, (x + 14, y), BLACK)?;
            x += width;
        }
        let text = "to the right gosched is better; a ring is a variant (one thread, mimalloc)";
        write(area, text, (LABELS, 18), GREY)
    })
}

/// Puts text to the right of a place and below it.
fn write(area: &Area<'_>, text: &str, at: (i32, i32), colour: RGBColor) -> Result<(), Box<dyn Error>> {
    Ok(area.draw(&Text::new(text.to_owned(), at, (FONT, 12).into_font().color(&colour)))?)
}

/// Kelly's colours, which differ as much as so many can.
const COLOURS: [u32; 20] = [
    0xf3c300, 0x875692, 0xf38400, 0x7fb8ee, 0xbe0032, 0xc2b280, 0x848482, 0x008856, 0xe68fac, 0x0067a5,
    0xf99379, 0x604e97, 0xb3446c, 0xdcd300, 0x882d17, 0x8db600, 0x654522, 0xe25822, 0x2b3d26, 0xf6a600,
];

fn colour(place: usize) -> RGBColor {
    let [_, r, g, b] = COLOURS[place % COLOURS.len()].to_be_bytes();
    RGBColor(r, g, b)
}

fn middle(place: usize) -> i32 {
    TOP + place as i32 * LINE + LINE / 2
}

/// A logarithmic scale of ratios.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Wide enough for these, and for 1.
    fn of(ratios: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut high) = (0.5f64, 4.0f64);
        for ratio in ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0) {
            (low, high) = (low.min(ratio), high.max(ratio));
        }
        // What is beyond a thousand is at the edge.
        Scale { low: low.max(0.01) * 0.9, high: high.min(1000.0) * 1.1 }
    }

    fn at(&self, ratio: f64) -> i32 {
        let ratio = ratio.clamp(self.low, self.high);
        LABELS + ((ratio / self.low).ln() / (self.high / self.low).ln() * f64::from(PLOT)).round() as i32
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        let all =
            [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
        all.into_iter().filter(|mark| (self.low..self.high).contains(mark))
    }
}

/// Draws what both charts have, on a scale for the ratios that are `shown`, and then the points.
fn draw<'r>(
    results: &'r Results,
    title: &str,
    shown: impl Fn(&Measured) -> Vec<f64>,
    points: impl FnOnce(&Area<'_>, &[&'r Measured], &Scale) -> Result<(), Box<dyn Error>>,
) -> Result<String, String> {
    let rows: Vec<_> = results.rows.values().filter(|row| row.ratio.is_some()).collect();
    let mut text = String::new();
    let drawn = draw_into(&mut text, results, title, &rows, shown, points);
    drawn.map_err(|error| format!("the chart cannot be drawn: {error}"))?;
    text.push('\n');
    Ok(text)
}

fn draw_into<'r>(
    text: &mut String,
    results: &Results,
    title: &str,
    rows: &[&'r Measured],
    shown: impl Fn(&Measured) -> Vec<f64>,
    points: impl FnOnce(&Area<'_>, &[&'r Measured], &Scale) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let bottom = TOP + rows.len().max(1) as i32 * LINE;
    let area = SVGBackend::with_string(text, (WIDTH as u32, (bottom + BOTTOM) as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (16, 16), (FONT, 18).into_font().color(&BLACK)))?;
    let scale = Scale::of(rows.iter().flat_map(|row| shown(row)));
    for (place, row) in rows.iter().enumerate() {
        let y = middle(place);
        if place % 2 == 0 {
            let stripe = [(0, y - LINE / 2), (WIDTH, y + LINE / 2)];
            area.draw(&Rectangle::new(stripe, RGBColor(0xf6, 0xf6, 0xf6).filled()))?;
        }
        write(&area, &row.title, (16, y - 6), BLACK)?;
    }
    for mark in scale.marks() {
        let (x, colour) = (scale.at(mark), if mark == 1.0 { GREY } else { PALE });
        area.draw(&PathElement::new([(x, TOP), (x, bottom)], colour.stroke_width(1)))?;
        let label = format!("{mark}x");
        let left = x - label.len() as i32 * 3;
        area.draw(&Text::new(label, (left, bottom + 4), (FONT, 11).into_font().color(&GREY)))?;
    }
    points(&area, rows, &scale)?;
    area.draw(&Text::new(source(results), (16, bottom + 22), (FONT, 11).into_font().color(&GREY)))?;
    area.present()?;
    Ok(())
}

/// Where the figures come from: the last session.
fn source(results: &Results) -> String {
    let Some((begin, session)) = results.sessions.last_key_value() else { return String::new() };
    let machine = &session.machine;
    format!(
        "{}, {} cores, Linux {}; {} workers, median of {}; {begin}, commit {}",
        machine.cpu, machine.cores, machine.kernel, session.workers, session.rounds, session.commit
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Session;
    use crate::results::tests::{Values, measured};

    fn results() -> Results {
        let mut results = Results::default();
        let rows: [(&str, Values<'_>); 3] = [
            ("a", &[("gosched-pinned", &[100.0]), ("go", &[250.0]), ("tokio-current", &[900.0])]),
            ("b", &[("gosched-pinned", &[100.0]), ("go", &[70.0])]),
            ("alone", &[("gosched-pinned", &[100.0])]),
        ];
        for (name, systems) in rows {
            let row = Measured { title: format!("Title <{name}>"), ..measured("better='less'", systems) };
            results.put(name, row, &Session { commit: "abc".into(), ..Session::default() });
        }
        results
    }

    #[test]
    fn charts_have_every_row_that_has_a_ratio() {
        for text in [ratios(&results()).unwrap(), systems(&results()).unwrap()] {
            assert!(text.starts_with("<svg") && text.contains("</svg>"));
            for part in ["Title &lt;a&gt;", "Title &lt;b&gt;", "abc", "1x"] {
                assert!(text.contains(part), "{part} is missing in {text}");
            }
            assert!(!text.contains("alone"), "{text}");
        }
        assert!(ratios(&results()).unwrap().contains("2.50x"));
        let text = systems(&results()).unwrap();
        assert!(text.contains("tokio") && text.contains("go"));
    }

    #[test]
    fn a_chart_of_nothing_is_drawn() {
        assert!(ratios(&Results::default()).unwrap().contains("</svg>"));
    }

    #[test]
    fn the_scale_is_logarithmic_and_bounded() {
        let scale = Scale::of([0.25, 16.0].into_iter());
        let step = scale.at(4.0) - scale.at(2.0);
        assert!(step > 30 && step.abs_diff(scale.at(2.0) - scale.at(1.0)) <= 1);
        assert!(scale.at(0.25) >= LABELS && scale.at(16.0) <= LABELS + PLOT);
        assert_eq!(scale.at(1e9), LABELS + PLOT);
        assert!(scale.marks().any(|mark| mark == 1.0));
    }
}
