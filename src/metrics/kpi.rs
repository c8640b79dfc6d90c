//! Key figures: measured over a window, and compared with a target.

use std::time::Duration;

use serde::Serialize;

/// A figure at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kpi {
    /// Its name.
    pub name: &'static str,
    /// The time that it is of, in seconds; `None`: the present moment.
    pub window_s: Option<u64>,
    /// What was measured; `None` where there was nothing to measure.
    pub value: Option<f64>,
    /// The unit of value and target.
    pub unit: &'static str,
    /// The target; `None` if there is none.
    pub target: Option<Target>,
    /// Whether the target is met; `None` without a target or a value.
    pub met: Option<bool>,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The figure is at most this.
    Max(f64),
    /// The figure is at least this.
    Min(f64),
}

impl Target {
    /// Whether a figure is within the bound.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::Max(bound) => value <= bound,
            Self::Min(bound) => value >= bound,
        }
    }
}

impl Kpi {
    /// A figure of a window, or of the present moment.
    #[must_use]
    pub fn new(name: &'static str, window: Option<Duration>, unit: &'static str, value: Option<f64>) -> Self {
        let value = value.filter(|value| value.is_finite());
        Self { name, window_s: window.map(|window| window.as_secs()), value, unit, target: None, met: None }
    }

    /// With a target.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self.met = self.value.map(|value| target.is_met(value));
        self
    }

    /// Without an opinion on the target: the figure says nothing about it at the moment.
    #[must_use]
    pub fn undecided(mut self) -> Self {
        self.met = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_meets_its_target_or_misses_it_or_was_not_measured() {
        let kpi = |value, target| Kpi::new("x", Some(Duration::from_mins(1)), "ms", value).target(target);
        let met = [(Some(5.0), Target::Max(5.0)), (Some(5.1), Target::Max(5.0)), (Some(84.9), Target::Min(85.0))];
        assert_eq!(met.map(|(value, target)| kpi(value, target).met), [Some(true), Some(false), Some(false)]);
        assert_eq!((kpi(None, Target::Max(5.0)).met, kpi(Some(f64::NAN), Target::Max(5.0)).value), (None, None));
        assert_eq!(kpi(Some(1.0), Target::Max(5.0)).undecided().met, None);
        assert_eq!(
            serde_json::to_value(kpi(Some(1.5), Target::Max(5.0))).unwrap(),
            json!({"name": "x", "window_s": 60, "value": 1.5, "unit": "ms", "target": {"max": 5.0}, "met": true})
        );
    }
}
