//! Whether targets are met.
//!
//! The machine lies: where processors are shared, the floor alone may take longer than a target allows. Then a missed
//! latency says nothing about the daemon, so that its verdict is open.

use std::fmt;

use serde::Serialize;

use super::plan::{Bound, Target};

/// Whether a target is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// The machine itself does not allow to tell.
    Open,
}

/// The end of a test, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// There was no baseline to compare with, and no target is missed.
    NotCompared,
    /// No target is missed.
    Passed,
    /// The machine does not allow to tell whether decisions have become slower.
    Undecided,
    /// A target is missed.
    Missed,
}

/// A figure against its target.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The target.
    #[serde(flatten)]
    pub target: Target,
    /// The figure; none if it could not be measured.
    pub value: Option<f64>,
    /// Whether it meets the target.
    pub outcome: Outcome,
    /// What else is to be known.
    pub note: Option<String>,
}

impl Verdict {
    /// A figure that does not depend on the floor. One that could not be measured is missed.
    #[must_use]
    pub fn of(target: Target, value: Option<f64>) -> Self {
        let Some(measured) = value else {
            let note = Some("the daemon does not tell it".to_owned());
            return Self { target, value, outcome: Outcome::Missed, note };
        };
        let outcome = if meets(target.bound, measured) { Outcome::Met } else { Outcome::Missed };
        Self { target, value, outcome, note: None }
    }

    /// A latency in milliseconds, with the same percentile of the floor.
    #[must_use]
    pub fn of_latency(target: Target, value: Option<f64>, floor: Option<f64>) -> Self {
        let verdict = Self::of(target, value);
        let Some(floor) = floor.filter(|floor| verdict.outcome == Outcome::Missed && !meets(target.bound, *floor))
        else {
            return verdict;
        };
        let note =
            format!("the machine alone, without a decision, takes {floor:.2} ms: repeat it when the machine is quiet");
        Self { outcome: Outcome::Open, note: Some(note), ..verdict }
    }

    /// The same with a note.
    #[must_use]
    pub fn noting(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { label, unit, bound, .. } = self.target;
        let outcome = match self.outcome {
            Outcome::Met => "ok",
            Outcome::Missed => "MISSED",
            Outcome::Open => "open",
        };
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| with_unit(value, unit));
        write!(f, "{outcome}: {label} {value}, target {}", bound.with_unit(unit))?;
        self.note.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

impl Bound {
    /// The bound in words.
    #[must_use]
    pub fn with_unit(self, unit: &str) -> String {
        match self {
            Self::Below(limit) => format!("< {}", with_unit(limit, unit)),
            Self::Above(limit) => format!("> {}", with_unit(limit, unit)),
            Self::Exactly(wanted) => with_unit(wanted, unit),
        }
    }
}

/// A figure with its unit, to three significant digits or as a whole number.
#[must_use]
pub fn with_unit(value: f64, unit: &str) -> String {
    let number = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    let space = if unit.is_empty() || unit.starts_with('/') { "" } else { " " };
    format!("{number}{space}{unit}")
}

#[expect(clippy::float_cmp, reason = "exact figures are counts, or 100 percent of them")]
fn meets(bound: Bound, value: f64) -> bool {
    match bound {
        Bound::Below(limit) => value < limit,
        Bound::Above(limit) => value > limit,
        Bound::Exactly(wanted) => value == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    #[test]
    fn a_figure_meets_its_bound_or_misses_it() {
        let of = |target, value: f64| Verdict::of(target, Some(value)).outcome;
        assert_eq!([of(plan::P99, 4.999), of(plan::P99, 5.0)], [Outcome::Met, Outcome::Missed]);
        assert_eq!([of(plan::HIT_RATE, 85.1), of(plan::HIT_RATE, 85.0)], [Outcome::Met, Outcome::Missed]);
        assert_eq!([of(plan::COMPLIANCE, 100.0), of(plan::COMPLIANCE, 99.999)], [Outcome::Met, Outcome::Missed]);
        assert_eq!([of(plan::ERRORS, 0.0), of(plan::ERRORS, 1.0)], [Outcome::Met, Outcome::Missed]);
        assert_eq!(Verdict::of(plan::CPU, None).outcome, Outcome::Missed);
    }

    #[test]
    fn a_latency_is_open_only_where_the_floor_itself_misses_the_target() {
        let of = |value: f64, floor: f64| Verdict::of_latency(plan::P50, Some(value), Some(floor)).outcome;
        assert_eq!(of(0.9, 4.0), Outcome::Met);
        assert_eq!(of(1.5, 0.9), Outcome::Missed);
        assert_eq!(of(1.5, 1.1), Outcome::Open);
        assert_eq!(Verdict::of_latency(plan::P50, Some(1.5), None).outcome, Outcome::Missed);
        assert_eq!(Verdict::of_latency(plan::P50, None, Some(9.0)).outcome, Outcome::Open);
    }
}
