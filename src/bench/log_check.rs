//! Whether each answered decision of a run is in the audit log exactly once, and each of its records was answered.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::api::Api;
use super::error::BenchError;
use crate::ledger::{Payload, TileKind, TileName, WIDTH};

/// The decisions that were answered, by their ids.
#[derive(Debug, Default)]
pub struct Answers(HashMap<Uuid, Answer>);

#[derive(Debug)]
struct Answer {
    decision: bool,
    answers: u32,
}

impl Answers {
    /// Adds an answer.
    pub fn add(&mut self, id: Uuid, decision: bool) {
        self.0.entry(id).or_insert(Answer { decision, answers: 0 }).answers += 1;
    }
}

/// The comparison of answers with records.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct LogResult {
    /// Records of the run.
    pub records: u64,
    /// Answered decisions without a record.
    pub missing: u64,
    /// Decisions that are recorded, or answered, more than once.
    pub repeated: u64,
    /// Records that differ from their answer.
    pub differing: u64,
    /// Records of decisions that were not answered.
    pub unanswered: u64,
}

impl LogResult {
    /// The number of all faults.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.missing + self.repeated + self.differing + self.unanswered
    }
}

/// The members of a record that are compared.
#[derive(Debug, Deserialize)]
struct Record {
    kind: String,
    id: String,
    #[serde(default)]
    bench: Option<String>,
    #[serde(default)]
    decision: Option<bool>,
}

/// Reads records of the log, from the first to before the end of a range, and compares those of a run with its answers.
/// `describe` gets a text for each fault.
pub fn check(
    api: &mut Api,
    run: &str,
    range: Range<u64>,
    answers: &Answers,
    describe: &mut dyn FnMut(String),
) -> Result<LogResult, BenchError> {
    let mut log = Log { run, answers, seen: HashMap::new(), result: LogResult::default(), describe };
    if let Some(last) = range.end.checked_sub(1).filter(|_| !range.is_empty()) {
        // A proof needs a checkpoint that covers the record, so one is signed now.
        api.get(&format!("/v1/audit/entries/{last}/proof"))?;
        for bundle in range.start / WIDTH..=last / WIDTH {
            let width = (range.end - bundle * WIDTH).min(WIDTH);
            let name = TileName { kind: TileKind::Entries, index: bundle, width };
            let path = format!("/v1/audit/log/tile/{name}");
            let records = api.get(&path)?;
            for (index, record) in (bundle * WIDTH..).zip(Payload(&records.body)) {
                let malformed = || BenchError::Failed(format!("`{path}` is malformed"));
                let record = record.map_err(|_| malformed())?;
                if range.contains(&index) {
                    log.add(&serde_json::from_slice(record).map_err(|_| malformed())?, index);
                }
            }
        }
    }
    Ok(log.finish())
}

struct Log<'a> {
    run: &'a str,
    answers: &'a Answers,
    seen: HashMap<Uuid, u32>,
    result: LogResult,
    describe: &'a mut dyn FnMut(String),
}

impl Log<'_> {
    fn add(&mut self, record: &Record, index: u64) {
        if record.kind != "decision" || record.bench.as_deref() != Some(self.run) {
            return;
        }
        self.result.records += 1;
        let id = &record.id;
        let answer = id.parse::<Uuid>().ok().and_then(|id| Some((id, self.answers.0.get(&id)?)));
        let Some((id, answer)) = answer else {
            self.result.unanswered += 1;
            return (self.describe)(format!("record {index} is of decision {id}, which was not answered"));
        };
        if record.decision != Some(answer.decision) {
            self.result.differing += 1;
            (self.describe)(format!("record {index} of decision {id} differs from the answer"));
        }
        *self.seen.entry(id).or_default() += 1;
    }

    fn finish(mut self) -> LogResult {
        for (id, answer) in &self.answers.0 {
            let records = self.seen.get(id).copied().unwrap_or_default();
            if records == 0 {
                self.result.missing += 1;
                (self.describe)(format!("decision {id} was answered, but is not in the audit log"));
            }
            if records > 1 || answer.answers > 1 {
                self.result.repeated += 1;
                (self.describe)(format!(
                    "decision {id} is recorded {records} times, and answered {} times",
                    answer.answers
                ));
            }
        }
        self.result
    }
}
