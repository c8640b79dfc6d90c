//! Whether every answer under load is right, and recorded.
//!
//! Each answer is compared with a fresh evaluation of its question, a dry run that bypasses every cache. A different
//! answer is wrong, unless something that the verdict rests on was changed at the same time.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::api::Api;
use super::decisions::Answered;
use super::error::BenchError;
use super::fresh::{Fresh, Verdict};
use super::log_check::{Answers, LogResult, check};
use super::measure::{Measured, measure};
use super::plan::Plan;
use super::session::Session;

/// How long after a change an answer may still rest on the data before it: other nodes learn of it a little later.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// The most faults that are described.
const MAX_DESCRIBED: usize = 20;

/// The comparison of all answers, those of the warm-up included.
#[derive(Debug, Default, Serialize)]
pub struct ComplianceResult {
    /// Answers with a decision.
    pub answers: u64,
    /// Answers equal to a fresh evaluation.
    pub equal: u64,
    /// Answers that are wrong.
    pub different: u64,
    /// Answers during which entities or the constitution changed.
    pub changed: u64,
    /// Denials because something was unavailable, which nothing can be compared with.
    pub unavailable: u64,
    /// The comparison with the log.
    pub log: LogResult,
    /// The share of answers without a fault, in percent.
    pub percent: f64,
    /// The first faults.
    pub faults: Vec<String>,
}

impl ComplianceResult {
    fn conclude(&mut self) {
        let faults = self.different + self.log.faults();
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 answers")]
        let share = faults as f64 / self.answers.max(1) as f64;
        self.percent = if self.answers == 0 { 0.0 } else { (100.0 - 100.0 * share).max(0.0) };
    }
}

/// Sends the load, and compares all answers.
pub fn run(session: &mut Session, plan: &Plan) -> Result<(Measured, ComplianceResult), BenchError> {
    let first = recorded(&mut session.api)?;
    let (sender, receiver) = channel();
    let (measured, compared) = thread::scope(|scope| {
        let comparer = Comparer::new(session);
        let comparer = scope.spawn(move || comparer.run(&receiver));
        let measured = measure(session, plan, Some(&sender));
        drop(sender);
        (measured, comparer.join())
    });
    let measured = measured?;
    let ended = || BenchError::Failed("the thread that compares answers ended".to_owned());
    let (mut result, answers) = compared.map_err(|_| ended())??;
    let last = recorded(&mut session.api)?;
    result.log = check(&mut session.api, &session.name, first..last, &answers, &mut |fault| {
        describe(&mut result.faults, fault);
    })?;
    result.conclude();
    Ok((measured, result))
}

/// The number of records in the log, once nothing waits to be written.
fn recorded(api: &mut Api) -> Result<u64, BenchError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let status = api.get_json("/v1/status")?;
        let number = |member: &str| status.pointer(member).and_then(Value::as_u64);
        let queued = number("/audit/queued").unwrap_or_default();
        match number("/audit/records") {
            Some(records) if queued == 0 || Instant::now() >= deadline => return Ok(records),
            Some(_) => thread::sleep(Duration::from_millis(20)),
            None => return Err(BenchError::Failed("`/v1/status` does not tell how long the audit log is".to_owned())),
        }
    }
}

fn describe(faults: &mut Vec<String>, fault: String) {
    if faults.len() < MAX_DESCRIBED {
        faults.push(fault);
    }
}

/// An evaluation, and until when it was the newest one.
struct Known {
    fresh: Fresh,
    until: Option<Instant>,
}

/// Compares answers while they arrive.
struct Comparer {
    api: Api,
    claim: String,
    questions: Vec<(Vec<u8>, Vec<Known>)>,
    result: ComplianceResult,
    answers: Answers,
}

impl Comparer {
    fn new(session: &Session) -> Self {
        let known = |fresh: &Fresh| vec![Known { fresh: fresh.clone(), until: None }];
        let questions = session.population.questions().iter();
        Self {
            api: session.api.another(),
            claim: session.claim.clone(),
            questions: questions.map(|question| (question.body.clone(), known(&question.fresh))).collect(),
            result: ComplianceResult::default(),
            answers: Answers::default(),
        }
    }

    fn run(mut self, answers: &Receiver<Answered>) -> Result<(ComplianceResult, Answers), BenchError> {
        for answered in answers {
            self.compare(&answered)?;
        }
        Ok((self.result, self.answers))
    }

    fn compare(&mut self, answered: &Answered) -> Result<(), BenchError> {
        let Some(answer) = serde_json::from_slice::<Value>(&answered.body).ok() else { return Ok(()) };
        let id = answer.pointer("/context/id").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
        let (Some(id), Some(verdict)) = (id, Verdict::read(answer)) else { return Ok(()) };
        self.result.answers += 1;
        self.answers.add(id, verdict.decision);
        if verdict.is_transient() {
            self.result.unavailable += 1;
            return Ok(());
        }
        let Some((body, known)) = self.questions.get_mut(answered.question) else { return Ok(()) };
        let fresh = Fresh::evaluate(&mut self.api, &self.claim, body)?;
        if fresh.verdict.is_transient() {
            self.result.unavailable += 1;
            return Ok(());
        }
        let now = Instant::now();
        if known.last().is_some_and(|newest| newest.fresh != fresh) {
            known.last_mut().into_iter().for_each(|newest| newest.until = Some(now));
            known.push(Known { fresh: fresh.clone(), until: None });
        }
        if fresh.verdict == verdict {
            self.result.equal += 1;
            return Ok(());
        }
        // An earlier verdict is right for as long as what it rests on was not known to be changed.
        let is_earlier = |known: &&Known| {
            let is_in_time = known.until.is_some_and(|until| answered.at < until + SETTLE_TIME);
            known.fresh.verdict == verdict && known.fresh.basis != fresh.basis && is_in_time
        };
        if known.iter().any(|known| is_earlier(&known)) {
            self.result.changed += 1;
            return Ok(());
        }
        self.result.different += 1;
        describe(
            &mut self.result.faults,
            format!(
                "decision {id} differs from a fresh evaluation: {} ({}) instead of {} ({})",
                name(verdict.decision),
                verdict.reason(),
                name(fresh.verdict.decision),
                fresh.verdict.reason()
            ),
        );
        Ok(())
    }
}

fn name(decision: bool) -> &'static str {
    if decision { "permit" } else { "deny" }
}
