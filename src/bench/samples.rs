//! Figures of the daemon during a load: hit rate, processors, memory and descriptors.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::api::Api;

/// The most samples that are kept for charts.
const MAX_SAMPLES: usize = 600;

/// The figures of one second, or of several; a figure is none where the daemon did not tell it.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Seconds after the begin of the load.
    pub at_s: f64,
    /// The hit rate of all caches together since the sample before, in percent.
    pub hit_percent: Option<f64>,
    /// The share of all processors, in percent.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Open descriptors.
    pub open_files: Option<f64>,
}

/// Asks a daemon for its figures.
pub struct Sampler {
    api: Api,
    /// When the load began, in seconds since 1970.
    begin_s: f64,
    /// Hits and misses since the daemon's start, with the second at which they were read.
    hits: Vec<(f64, u64, u64)>,
    /// Processors, memory and descriptors, by the second since 1970.
    figures: BTreeMap<u64, [Option<f64>; 3]>,
}

impl Sampler {
    /// For a load that begins now.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let mut sampler = Self { api, begin_s: now_s(), hits: Vec::new(), figures: BTreeMap::new() };
        sampler.read_hits();
        sampler
    }

    /// Reads the hits and misses of the caches. An error leaves a gap.
    pub fn read_hits(&mut self) {
        let Ok(shown) = self.api.get_json("/v1/cache") else { return };
        let number = |member: &str| shown.pointer(member).and_then(Value::as_u64);
        if let (Some(hits), Some(misses)) = (number("/overall/hits"), number("/overall/misses")) {
            self.hits.push((now_s() - self.begin_s, hits, misses));
        }
    }

    /// Reads the other figures, which the daemon keeps for 15 minutes. An error leaves a gap.
    pub fn read_figures(&mut self) {
        let Ok(shown) = self.api.get_json("/v1/performance/history") else { return };
        let series = |name: &str| shown.pointer(&format!("/series/{name}")).and_then(Value::as_array);
        for (place, at) in series("at").into_iter().flatten().enumerate() {
            let figure = |name: &str| series(name).and_then(|values| values.get(place)?.as_f64());
            if let Some(at) = at.as_f64().filter(|at| *at >= self.begin_s) {
                self.figures.insert(second(at), ["cpu", "memory", "open_files"].map(figure));
            }
        }
    }

    /// The hit rate of the last seconds, in percent.
    #[must_use]
    pub fn newest_hit_percent(&self) -> Option<f64> {
        let from = self.hits.get(self.hits.len().saturating_sub(6))?;
        hit_percent(from, self.hits.last()?)
    }

    /// The hit rate of the whole time, in percent.
    #[must_use]
    pub fn hit_percent(&self) -> Option<f64> {
        hit_percent(self.hits.first()?, self.hits.last()?)
    }

    /// The mean share of the processors in percent, and the largest memory in bytes.
    #[must_use]
    pub fn processors_and_memory(&self) -> (Option<f64>, Option<f64>) {
        let of = |place: usize| self.figures.values().filter_map(move |figures| figures.get(place).copied().flatten());
        let (sum, count) = of(0).fold((0.0, 0.0), |(sum, count), cpu| (sum + cpu, count + 1.0));
        ((count > 0.0).then(|| sum / count), of(1).reduce(f64::max))
    }

    /// The course of all figures.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let every = self.hits.len().div_ceil(MAX_SAMPLES).max(1);
        let kept: Vec<_> = self.hits.iter().step_by(every).collect();
        let pairs = kept.iter().zip(kept.iter().skip(1));
        let sample = |(from, to): (&&(f64, u64, u64), &&(f64, u64, u64))| {
            let last = second(self.begin_s + to.0);
            let first = second(self.begin_s + from.0).min(last.saturating_sub(1));
            let within = || self.figures.range(first..=last).map(|(_, figures)| *figures);
            let newest =
                |place: usize| within().filter_map(move |figures| figures.get(place).copied().flatten()).next_back();
            Sample {
                at_s: to.0,
                hit_percent: hit_percent(from, to),
                cpu_percent: newest(0),
                memory_bytes: newest(1),
                open_files: newest(2),
            }
        };
        pairs.map(sample).collect()
    }
}

fn hit_percent((_, hits, misses): &(f64, u64, u64), (_, more, most): &(f64, u64, u64)) -> Option<f64> {
    let hits = more.saturating_sub(*hits);
    let all = hits + most.saturating_sub(*misses);
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 look-ups")]
    (all > 0).then(|| hits as f64 * 100.0 / all as f64)
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The whole second of a time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970 are a small number")]
fn second(at: f64) -> u64 {
    at as u64
}
