//! Medians, spreads, ratios, and how numbers are written.

use crate::row::Better;

/// The middle one (of an even number the mean of the two in the middle).
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The smallest and the largest.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    (
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    )
}

/// How many times better ours is than theirs. Above 1 ours is better, whatever better means.
pub(crate) fn ratio(better: Better, ours: f64, theirs: f64) -> f64 {
    // Idle processor time and lateness can be nothing at all.
    let (ours, theirs) = (ours.max(1e-9), theirs.max(1e-9));
    match better {
        Better::Less => theirs / ours,
        Better::More => ours / theirs,
    }
}

/// A number for people: three digits or so.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        let digits = format!("{:.0}", size);
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return if value < 0.0 { format!("-{grouped}") } else { grouped };
    }
    if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 || value == 0.0 {
        format!("{value:.2}")
    } else {
        // Two digits behind the zeros, however many those are.
        let places = (1.0 - size.log10().floor()).clamp(2.0, 9.0) as usize;
        format!("{value:.places$}")
    }
}

/// A number for the file: five digits that count.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(4 - value.abs().log10().floor() as i32);
    // Through text, so that the file has 0.1235 and not 0.12350000000000001.
    let places = scale.log10().max(0.0) as usize;
    format!("{:.places$}", (value * scale).round() / scale).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert_eq!(median(&[1.0, 1000.0, 2.0, 1.5, 1.7]), 1.7, "one wild run changes nothing");
    }

    #[test]
    fn a_spread_is_from_the_smallest_to_the_largest() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 3.0));
        assert_eq!(spread(&[-3.0]), (-3.0, -3.0));
    }

    #[test]
    fn a_ratio_above_one_is_better_in_both_directions() {
        assert_eq!(ratio(Better::Less, 100.0, 250.0), 2.5);
        assert_eq!(ratio(Better::Less, 250.0, 100.0), 0.4);
        assert_eq!(ratio(Better::More, 250.0, 100.0), 2.5);
        assert_eq!(ratio(Better::More, 100.0, 250.0), 0.4);
        assert!(ratio(Better::Less, 0.0, 1.0).is_finite());
        assert!(ratio(Better::More, 1.0, 0.0).is_finite());
        assert_eq!(ratio(Better::Less, 0.0, 0.0), 1.0);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (1_234_567.8, "1,234,568"),
            (999.6, "1,000"),
            (-1500.0, "-1,500"),
            (123.4, "123"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.1234, "0.12"),
            (0.01234, "0.012"),
            (0.0, "0.00"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn numbers_in_the_file_have_five_digits() {
        for (value, kept) in
            [(123_456.7, 123_460.0), (0.123_456_78, 0.123_46), (1.0, 1.0), (0.0, 0.0), (-2.000_04, -2.0)]
        {
            assert_eq!(rounded(value), kept);
        }
    }
}
