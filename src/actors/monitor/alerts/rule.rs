//! The rule of an alert: the figure that it watches, the bound of that figure, and the text of its runbook.

use std::time::Duration;

use serde::Serialize;

use super::super::figures::Figures;
use crate::settings::Settings;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Decisions, records or their evidence are in danger: act now.
    Critical,
    /// Something will become critical if it goes on: act today.
    Warning,
}

/// When an alert's figure is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Above this number.
    Above(f64),
    /// At this number, or above it.
    AtLeast(f64),
    /// Below this number.
    Below(f64),
}

/// An alert.
#[derive(Debug, Clone, Copy)]
pub struct AlertRule {
    /// Its name: lower-case words, joined by `_`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// The event in a few words, without a full stop.
    pub summary: &'static str,
    /// The effect on callers and records, for an operator.
    pub meaning: &'static str,
    /// The steps that end it, for an operator.
    pub remedy: &'static str,
    /// The unit of the figure; empty for a state, whose figure is 1 while it lasts.
    pub unit: &'static str,
    /// Whether it fires at once, since it is about an event.
    pub(super) at_once: bool,
    /// How far, in percent of the bound, the figure must be on the good side to end the alert.
    pub(super) margin_percent: f64,
    pub(super) bound: fn(&Settings) -> Bound,
    /// The figure; `None` where there is nothing to measure.
    pub(super) figure: fn(&Figures, &Settings) -> Option<f64>,
}

impl Bound {
    /// Whether a figure is bad.
    pub(super) fn is_broken(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Below(bound) => value < bound,
        }
    }

    /// Whether a figure is good by a margin.
    pub(super) fn is_cleared(self, value: f64, margin_percent: f64) -> bool {
        let margin = margin_percent / 100.0;
        match self {
            Self::Above(bound) => value <= bound * (1.0 - margin),
            Self::AtLeast(bound) => value < bound && value <= bound * (1.0 - margin),
            Self::Below(bound) => value >= bound * (1.0 + margin),
        }
    }

    /// The bound as text, such as `> 5 ms`, `> 2.15 GB` or `< 100 /s`.
    pub(super) fn text(self, unit: &str) -> String {
        let (sign, bound) = match self {
            Self::Above(bound) => (">", bound),
            Self::AtLeast(bound) => ("≥", bound),
            Self::Below(bound) => ("<", bound),
        };
        match unit.strip_prefix('1') {
            Some(per_time) => format!("{sign} {bound} {per_time}"),
            None if unit == "bytes" => format!("{sign} {}", bytes(bound)),
            None => format!("{sign} {bound} {unit}"),
        }
    }
}

/// A number of bytes in the largest decimal unit of which there is at least one, rounded to hundredths.
fn bytes(number: f64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.into_iter().find(|(_, size)| number >= *size) {
        Some((unit, size)) => format!("{} {unit}", (number / size * 100.0).round() / 100.0),
        None => format!("{number} bytes"),
    }
}

impl AlertRule {
    /// For how long the figure must be bad before the alert fires.
    #[must_use]
    pub fn hold(&self, settings: &Settings) -> Duration {
        if self.at_once { Duration::ZERO } else { settings.monitor.alerts.hold }
    }

    /// Whether the alert is about a state, whose figure is 1 while it lasts, and not about a quantity.
    pub(super) fn is_about_state(&self) -> bool {
        self.unit.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact() {
        let broken = |bound: Bound| [4.9, 5.0, 5.1].map(|value| bound.is_broken(value));
        assert_eq!(broken(Bound::Above(5.0)), [false, false, true]);
        assert_eq!(broken(Bound::AtLeast(5.0)), [false, true, true]);
        assert_eq!(broken(Bound::Below(5.0)), [true, false, false]);
        for bound in [Bound::Above(5.0), Bound::AtLeast(5.0), Bound::Below(5.0)] {
            for value in [4.9, 5.0, 5.1] {
                assert_eq!(bound.is_cleared(value, 0.0), !bound.is_broken(value), "{bound:?} {value}");
            }
        }
    }

    #[test]
    fn bounds_are_readable() {
        for (bound, unit, text) in [
            (Bound::Above(5.0), "ms", "> 5 ms"),
            (Bound::Below(99.5), "%", "< 99.5 %"),
            (Bound::Below(100.0), "1/s", "< 100 /s"),
            (Bound::AtLeast(60.0), "1/min", "≥ 60 /min"),
            (Bound::Above(2_147_483_648.0), "bytes", "> 2.15 GB"),
            (Bound::Above(2e9), "bytes", "> 2 GB"),
            (Bound::Above(1_048_576.0), "bytes", "> 1.05 MB"),
            (Bound::Above(999.0), "bytes", "> 999 bytes"),
        ] {
            assert_eq!(bound.text(unit), text);
        }
    }
}
