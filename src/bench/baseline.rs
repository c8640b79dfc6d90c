//! Rounds of an earlier run, in a file.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::BenchError;
use super::session::Session;

/// The version of the file's form.
const FORM: u32 = 1;

/// One round: load and floor, in turns.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Round {
    /// The median latency of decisions at a constant rate, in milliseconds.
    pub latency_ms: f64,
    /// The 99th percentile of it.
    pub p99_ms: f64,
    /// The median latency of `/livez` at the same rate, in milliseconds.
    pub livez_ms: f64,
    /// The median time of a sync of 4 KiB, in milliseconds.
    pub sync_ms: f64,
    /// The latency of decisions ÷ the sum of the two.
    pub latency_ratio: f64,
    /// Decisions a second in a closed loop.
    pub decisions_per_s: f64,
    /// The same of `/livez`.
    pub livez_per_s: f64,
    /// Decisions ÷ `/livez`.
    pub throughput_ratio: f64,
}

/// The conditions under which rounds can be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Requests a second.
    pub rate: u32,
    /// Connections.
    pub connections: usize,
    /// Different questions.
    pub keys: usize,
    /// The share of permits, in percent.
    pub permits_percent: u8,
    /// The digest of the constitution.
    pub constitution: String,
}

impl Conditions {
    /// Those of a run.
    #[must_use]
    pub fn of(session: &Session, rate: NonZeroU32) -> Self {
        let mix = &session.population.mix;
        Self {
            rate: rate.get(),
            connections: session.options.connections,
            keys: session.population.questions().len(),
            permits_percent: mix.permits_percent,
            constitution: mix.constitution.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned(),
        }
    }
}

/// A baseline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Baseline {
    form: u32,
    /// The version that was measured.
    pub version: String,
    /// Under which conditions.
    pub conditions: Conditions,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

impl Baseline {
    /// Of the rounds of a run.
    #[must_use]
    pub fn new(conditions: Conditions, rounds: Vec<Round>) -> Self {
        Self { form: FORM, version: env!("CARGO_PKG_VERSION").to_owned(), conditions, rounds }
    }

    /// Reads a file. A baseline that was taken under other conditions is refused.
    pub fn read(file: &Path, conditions: &Conditions) -> Result<Self, BenchError> {
        let name = file.display().to_string();
        let text = fs::read(file).map_err(|source| BenchError::File { action: "read", name: name.clone(), source })?;
        let read: Self = serde_json::from_slice(&text)
            .map_err(|error| BenchError::Refused(format!("`{name}` is no baseline: {error}")))?;
        if read.form != FORM {
            return Err(BenchError::Refused(format!(
                "`{name}` has form {}, not {FORM}: make a new baseline",
                read.form
            )));
        }
        if read.conditions != *conditions {
            let [then, now] = [&read.conditions, conditions].map(|one| serde_json::to_string(one).unwrap_or_default());
            return Err(BenchError::Refused(format!(
                "`{name}` was taken under other conditions ({then} instead of {now}): make a new baseline with \
                 `--save-baseline`"
            )));
        }
        Ok(read)
    }

    /// Writes a file.
    pub fn write(&self, file: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        let failed = |source| BenchError::File { action: "write", name: file.display().to_string(), source };
        fs::write(file, text).map_err(failed)
    }
}
