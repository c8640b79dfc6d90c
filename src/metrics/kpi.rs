//! Key figures: measured over a window, and compared with a target.

use std::time::Duration;

use serde::Serialize;

/// A figure at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kpi {
    /// The name.
    pub name: &'static str,
    /// The length of the time in seconds over which it was measured; `None`: the present moment.
    pub window_s: Option<u64>,
    /// The measured value; `None` if there was nothing to measure.
    pub value: Option<f64>,
    /// The unit of value and target.
    pub unit: &'static str,
    /// The target; `None` if there is none.
    pub target: Option<KpiTarget>,
    /// Whether the target is met; `None` without a target or a value.
    pub met: Option<bool>,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KpiTarget {
    /// The figure is at most this.
    Max(f64),
    /// The figure is less than this.
    Below(f64),
    /// The figure is at least this.
    Min(f64),
}

impl KpiTarget {
    /// Whether a figure is within the bound.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::Max(bound) => value <= bound,
            Self::Below(bound) => value < bound,
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

    /// The same figure with a target.
    #[must_use]
    pub fn target(mut self, target: KpiTarget) -> Self {
        self.target = Some(target);
        self.met = self.value.map(|value| target.is_met(value));
        self
    }

    /// Leaves open whether the target is met: the figure says nothing about it at the moment.
    #[must_use]
    pub fn not_assessed(mut self) -> Self {
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
        let met =
            [(Some(5.0), KpiTarget::Max(5.0)), (Some(5.1), KpiTarget::Max(5.0)), (Some(84.9), KpiTarget::Min(85.0))];
        assert_eq!(met.map(|(value, target)| kpi(value, target).met), [Some(true), Some(false), Some(false)]);
        let below = [89.9, 90.0].map(|value| kpi(Some(value), KpiTarget::Below(90.0)).met);
        assert_eq!(below, [Some(true), Some(false)]);
        assert_eq!((kpi(None, KpiTarget::Max(5.0)).met, kpi(Some(f64::NAN), KpiTarget::Max(5.0)).value), (None, None));
        assert_eq!(kpi(Some(1.0), KpiTarget::Max(5.0)).not_assessed().met, None);
        assert_eq!(
            serde_json::to_value(kpi(Some(1.5), KpiTarget::Max(5.0))).unwrap(),
            json!({"name": "x", "window_s": 60, "value": 1.5, "unit": "ms", "target": {"max": 5.0}, "met": true})
        );
    }
}
