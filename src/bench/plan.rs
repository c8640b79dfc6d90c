//! The tests, with their rates and durations, and the targets that they have to meet.

use std::num::NonZeroU32;
use std::time::Duration;

use nonzero_ext::nonzero;
use serde::Serialize;

/// The duration of a quick test.
pub const QUICK: Duration = Duration::from_secs(30);

/// One of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The usual load.
    Load,
    /// Twice that.
    Stress,
    /// The usual load for a day.
    Endurance,
    /// Every answer is compared with a fresh evaluation, and with the audit log.
    Compliance,
    /// Ratios to the floor are compared with those of a baseline.
    Regression,
}

impl Kind {
    /// All tests, in the order in which `all` runs them.
    pub const ALL: [Self; 5] = [Self::Load, Self::Stress, Self::Endurance, Self::Compliance, Self::Regression];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Stress => "stress",
            Self::Endurance => "endurance",
            Self::Compliance => "compliance",
            Self::Regression => "regression",
        }
    }

    /// Requests a second, unless they are given.
    #[must_use]
    pub const fn rate(self) -> NonZeroU32 {
        match self {
            Self::Stress => nonzero!(300_u32),
            Self::Load | Self::Endurance | Self::Compliance | Self::Regression => nonzero!(150_u32),
        }
    }

    /// How long it lasts, unless that is given.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Load => Duration::from_hours(1),
            Self::Stress | Self::Compliance | Self::Regression => Duration::from_mins(15),
            Self::Endurance => Duration::from_hours(24),
        }
    }
}

/// One test as it is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which one.
    pub kind: Kind,
    /// Requests a second.
    pub rate: NonZeroU32,
    /// How long requests are due.
    pub duration: Duration,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Less than this.
    Below(f64),
    /// More than this.
    Above(f64),
    /// Exactly this.
    Exactly(f64),
}

/// A target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Target {
    /// The figure.
    pub name: &'static str,
    /// How it is called.
    pub label: &'static str,
    /// Its bound.
    pub bound: Bound,
    /// The unit of both.
    pub unit: &'static str,
}

const fn target(name: &'static str, label: &'static str, bound: Bound, unit: &'static str) -> Target {
    Target { name, label, bound, unit }
}

/// The 99th percentile of the latency.
pub const P99: Target = target("p99", "latency, 99th percentile", Bound::Below(5.0), "ms");
/// The 95th percentile of the latency.
pub const P95: Target = target("p95", "latency, 95th percentile", Bound::Below(3.0), "ms");
/// The median of the latency.
pub const P50: Target = target("p50", "latency, median", Bound::Below(1.0), "ms");
/// Decisions a second.
pub const THROUGHPUT: Target = target("throughput", "decisions answered", Bound::Above(100.0), "/s");
/// The hit rate of all caches together.
pub const HIT_RATE: Target = target("hit_rate", "cache hit rate", Bound::Above(85.0), "%");
/// Answers that are right and recorded.
pub const COMPLIANCE: Target = target("compliance", "compliance", Bound::Exactly(100.0), "%");
/// The daemon's resident memory at its largest.
pub const MEMORY: Target = target("memory", "memory of the daemon, largest", Bound::Below(2_000.0), "MB");
/// The daemon's share of all processors on average.
pub const CPU: Target = target("cpu", "processors used by the daemon, mean", Bound::Below(70.0), "%");
/// Requests without a good answer.
pub const ERRORS: Target = target("errors", "failed requests", Bound::Exactly(0.0), "");
