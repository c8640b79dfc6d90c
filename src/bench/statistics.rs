//! Whether something has become slower, from noisy measurements.
//!
//! The logarithms of two samples of ratios are compared by Yuen's test, which is Welch's t-test with means that are
//! trimmed by a fifth at each end and winsorized variances: rounds in which the machine stalled do not decide. If
//! successive rounds resemble each other, each counts less: the variance is increased by their autocorrelation.

use serde::Serialize;

/// A slowdown of at least this is to be found, in percent.
pub const BOUND_PERCENT: f64 = 10.0;

/// The share that is trimmed at each end.
const TRIMMED: f64 = 0.2;

/// The quantile of the normal distribution for an interval of 98 %: 99 % on each side.
const Z: f64 = 2.326_347_9;

/// The fewest measurements of a sample.
pub const MIN_ROUNDS: usize = 6;

/// What measurements say about a slowdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A slowdown by the bound is excluded.
    NotSlower,
    /// A slowdown of less than half of the bound is excluded.
    Slower,
    /// The measurements are too few or too noisy.
    Unclear,
}

/// The change from one sample to another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The most likely slowdown, in percent; negative: a speed-up.
    pub percent: f64,
    /// The begin of its 98 % confidence interval.
    pub low_percent: f64,
    /// The end of it.
    pub high_percent: f64,
    /// What it says.
    pub finding: Finding,
}

/// Compares two samples of positive figures of which larger ones are worse. `None` if one has fewer than
/// [`MIN_ROUNDS`].
#[must_use]
pub fn compare(baseline: &[f64], present: &[f64]) -> Option<Change> {
    let (before, now) = (Trimmed::of(baseline)?, Trimmed::of(present)?);
    let variance = before.variance + now.variance;
    let degrees = variance.powi(2) / (before.variance.powi(2) / before.degrees + now.variance.powi(2) / now.degrees);
    // Samples without any variance have no degrees of freedom, and an interval without a width.
    let margin = if variance > 0.0 { t_quantile(degrees) * variance.sqrt() } else { 0.0 };
    let change = now.mean - before.mean;
    let percent = |logarithm: f64| logarithm.exp_m1() * 100.0;
    let (low, high) = (percent(change - margin), percent(change + margin));
    let finding = if low > BOUND_PERCENT / 2.0 {
        Finding::Slower
    } else if high < BOUND_PERCENT {
        Finding::NotSlower
    } else {
        Finding::Unclear
    };
    Some(Change { percent: percent(change), low_percent: low, high_percent: high, finding })
}

/// A trimmed mean of logarithms, with the variance of this mean.
struct Trimmed {
    mean: f64,
    variance: f64,
    degrees: f64,
}

impl Trimmed {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "samples are small"
    )]
    fn of(figures: &[f64]) -> Option<Self> {
        let logarithms: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
        if logarithms.len() < MIN_ROUNDS || logarithms.iter().any(|logarithm| !logarithm.is_finite()) {
            return None;
        }
        let mut sorted = logarithms.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let cut = (count as f64 * TRIMMED) as usize;
        let kept = sorted.get(cut..count - cut)?;
        let (least, most) = (*kept.first()?, *kept.last()?);
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let winsorized: Vec<f64> = logarithms.iter().map(|logarithm| logarithm.clamp(least, most)).collect();
        let center = winsorized.iter().sum::<f64>() / count as f64;
        let squares = winsorized.iter().map(|value| (value - center).powi(2)).sum::<f64>();
        let size = kept.len() as f64;
        let variance = squares / (size * (size - 1.0)) * inflation(&winsorized, center, squares);
        Some(Self { mean, variance, degrees: size - 1.0 })
    }
}

/// How many times larger the variance of a mean is because successive values resemble each other, for an
/// autoregressive process of the first order.
fn inflation(values: &[f64], center: f64, squares: f64) -> f64 {
    let products = values.iter().zip(values.iter().skip(1)).map(|(one, next)| (one - center) * (next - center));
    let correlation = if squares > 0.0 { products.sum::<f64>() / squares } else { 0.0 };
    let correlation = correlation.clamp(0.0, 0.9);
    (1.0 + correlation) / (1.0 - correlation)
}

/// The 99th percentile of Student's t-distribution (Cornish and Fisher's expansion; within 1 % from 4 degrees on).
fn t_quantile(degrees: f64) -> f64 {
    let (z, n) = (Z, degrees.max(1.0));
    z + (z.powi(3) + z) / (4.0 * n)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * n.powi(3))
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// Figures around a level: their logarithms are normally distributed, each resembles the one before, and some are
    /// far too large, as when the machine stalls.
    fn noisy(seed: u64, rounds: usize, level: f64, noise: f64, resemblance: f64, stalls: f64) -> Vec<f64> {
        let mut dice = Dice::new(seed);
        let mut before = 0.0;
        let mut figure = || {
            let normal = (-2.0 * (1.0 - dice.share()).ln()).sqrt() * (std::f64::consts::TAU * dice.share()).cos();
            before = resemblance * before + (1.0 - resemblance * resemblance).sqrt() * normal;
            let stall = if dice.is_less_than(stalls) { 5.0 } else { 1.0 };
            level * (noise * before).exp() * stall
        };
        (0..rounds).map(|_| figure()).collect()
    }

    /// The number of each finding in 1,000 comparisons.
    fn findings(rounds: usize, slowdown: f64, noise: f64, resemblance: f64, stalls: f64) -> [usize; 3] {
        let mut counts = [0; 3];
        for seed in 0..1_000 {
            let baseline = noisy(seed * 2, rounds, 2.0, noise, resemblance, stalls);
            let present = noisy(seed * 2 + 1, rounds, 2.0 * slowdown, noise, resemblance, stalls);
            match compare(&baseline, &present).unwrap().finding {
                Finding::NotSlower => counts[0] += 1,
                Finding::Slower => counts[1] += 1,
                Finding::Unclear => counts[2] += 1,
            }
        }
        counts
    }

    #[test]
    fn a_slowdown_of_ten_percent_is_found_where_the_rounds_permit() {
        let [passed, found, _] = findings(40, 1.10, 0.04, 0.0, 0.05);
        assert!(found >= 900 && passed <= 10, "{found} found, {passed} passed");
        let [passed, found, _] = findings(90, 1.20, 0.15, 0.0, 0.1);
        assert!(found >= 900 && passed <= 10, "{found} found, {passed} passed");
    }

    #[test]
    fn noise_is_no_slowdown() {
        for (rounds, noise, resemblance, stalls) in
            [(6, 0.02, 0.0, 0.0), (6, 0.3, 0.0, 0.1), (30, 0.3, 0.0, 0.1), (30, 0.1, 0.5, 0.1), (60, 0.3, 0.3, 0.05)]
        {
            let [_, found, _] = findings(rounds, 1.0, noise, resemblance, stalls);
            assert!(found <= 20, "{found} of 1,000 in noise {noise}, {resemblance}, {stalls}, {rounds} rounds");
        }
    }

    #[test]
    fn more_rounds_find_a_slowdown_that_was_unclear_and_find_none_in_noise() {
        let with_extensions = |slowdown: f64, seed: u64| {
            let baseline = noisy(seed * 2, 60, 2.0, 0.05, 0.0, 0.05);
            let present = noisy(seed * 2 + 1, 180, 2.0 * slowdown, 0.05, 0.0, 0.05);
            let looks = [60, 120, 180].map(|rounds| compare(&baseline, &present[..rounds]).unwrap().finding);
            looks.into_iter().find(|finding| *finding != Finding::Unclear).unwrap_or(Finding::Unclear)
        };
        for (slowdown, expected, least) in [(1.10, Finding::Slower, 900), (1.0, Finding::NotSlower, 990)] {
            let as_expected = (0..1_000).filter(|seed| with_extensions(slowdown, *seed) == expected).count();
            assert!(as_expected >= least, "{as_expected} of 1,000 at {slowdown}");
        }
    }

    #[test]
    fn a_slowdown_in_much_noise_is_unclear_and_does_not_pass() {
        let [passed, found, unclear] = findings(10, 1.10, 0.3, 0.0, 0.1);
        assert!(unclear >= 800 && passed <= 20, "{found} found, {passed} passed, {unclear} unclear");
        let [passed, _, unclear] = findings(30, 1.0, 0.02, 0.0, 0.05);
        assert!(passed >= 950 && unclear <= 50, "{passed} passed, {unclear} unclear");
    }

    #[test]
    fn the_interval_contains_the_change() {
        let mut contained = 0;
        for seed in 0..1_000 {
            let baseline = noisy(seed * 2, 20, 1.0, 0.1, 0.0, 0.0);
            let change = compare(&baseline, &noisy(seed * 2 + 1, 20, 1.1, 0.1, 0.0, 0.0)).unwrap();
            contained += usize::from(change.low_percent < 10.0 && 10.0 < change.high_percent);
        }
        assert!((960..=1_000).contains(&contained), "{contained}");
    }

    #[test]
    fn few_or_impossible_figures_say_nothing_and_equal_ones_are_not_slower() {
        assert_eq!(compare(&[1.0; 5], &[1.0; 9]), None);
        assert_eq!(compare(&[0.0; 9], &[1.0; 9]), None);
        assert_eq!(compare(&[1.0; 6], &[1.0; 6]).unwrap().finding, Finding::NotSlower);
        assert_eq!(compare(&[1.0; 6], &[1.2; 6]).unwrap().finding, Finding::Slower);
        for (degrees, expected) in [(5.0, 3.365), (10.0, 2.764), (30.0, 2.457)] {
            assert!((t_quantile(degrees) / expected - 1.0).abs() < 0.01, "{degrees}: {}", t_quantile(degrees));
        }
    }
}
