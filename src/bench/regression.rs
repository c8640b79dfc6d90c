//! Whether decisions have become slower than those of a baseline.
//!
//! Absolute figures depend on the machine and its day, so ratios to the floor are compared: the latency of decisions ÷
//! that of `/livez` and a sync, and the throughput of `/livez` ÷ that of decisions. Load and floor take turns within
//! each round, so that both see the same minutes.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use nonzero_ext::nonzero;
use serde::Serialize;

use super::baseline::{Baseline, Conditions, Round};
use super::closed_loop::throughput;
use super::decisions::Order;
use super::error::BenchError;
use super::floor::{livez_floor, livez_request, sync_floor};
use super::live::Live;
use super::open_loop::Load;
use super::plan::Plan;
use super::progress::Progress;
use super::session::Session;
use super::statistics::{BOUND_PERCENT, Change, Finding, MIN_ROUNDS, compare};
use super::timeline::quantile_ms;
use super::verdicts::Conclusion;

/// The usual length of a round; a short test has shorter ones.
const ROUND: Duration = Duration::from_secs(10);

/// The shortest round.
const MIN_ROUND: Duration = Duration::from_millis(400);

/// The most rounds, as a multiple of those that were planned.
const MAX_EXTENSION: usize = 3;

/// The connections of the closed loops.
const CLOSED_CONNECTIONS: usize = 16;

/// How often a second a block is synced.
const SYNC_RATE: NonZeroU32 = nonzero!(100_u32);

/// The comparison with a baseline.
#[derive(Debug, Serialize)]
pub struct RegressionResult {
    /// The rounds of this run.
    pub rounds: Vec<Round>,
    /// The rounds of the baseline.
    pub baseline: Vec<Round>,
    /// The change of latency ÷ floor.
    pub latency: Option<Change>,
    /// The change of the time per decision ÷ the time per `/livez`, in closed loops.
    pub throughput: Option<Change>,
    /// Whether decisions have become slower.
    pub conclusion: Conclusion,
    /// The same in words.
    pub message: String,
}

impl RegressionResult {
    /// Whether decisions have become slower.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        self.conclusion
    }

    fn new(rounds: Vec<Round>, baseline: Option<&Baseline>) -> Self {
        let of = |rounds: &[Round], figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
        let change = |figure: fn(&Round) -> f64| compare(&of(&baseline?.rounds, figure), &of(&rounds, figure));
        let latency = change(|round| round.latency_ratio);
        let throughput = change(|round| 1.0 / round.throughput_ratio);
        let (conclusion, message) = match baseline {
            None => (Conclusion::NotCompared, "measured without a baseline: nothing was compared".to_owned()),
            Some(_) => conclude(latency, throughput),
        };
        let baseline = baseline.map_or_else(Vec::new, |baseline| baseline.rounds.clone());
        Self { rounds, baseline, latency, throughput, conclusion, message }
    }
}

fn conclude(latency: Option<Change>, throughput: Option<Change>) -> (Conclusion, String) {
    let changes = [("latency ÷ floor", latency), ("time per decision ÷ time per `/livez`", throughput)];
    let findings =
        || changes.iter().map(|(name, change)| (name, change.map_or(Finding::Unclear, |change| change.finding)));
    let slower: Vec<_> = findings().filter(|(_, finding)| *finding == Finding::Slower).map(|(name, _)| *name).collect();
    if !slower.is_empty() {
        return (Conclusion::Missed, format!("slower than the baseline: {}", slower.join(", ")));
    }
    let unclear: Vec<_> =
        findings().filter(|(_, finding)| *finding == Finding::Unclear).map(|(name, _)| *name).collect();
    if unclear.is_empty() {
        return (Conclusion::Passed, format!("a slowdown by {BOUND_PERCENT} % is excluded"));
    }
    (
        Conclusion::Undecided,
        format!("cannot tell, needs more rounds: the machine is too noisy for {}", unclear.join(", ")),
    )
}

/// Measures rounds, and compares them with those of the baseline. Also gives the number of requests that failed.
pub fn run(session: &mut Session, plan: &Plan) -> Result<(u64, RegressionResult), BenchError> {
    let conditions = Conditions::of(session, plan.rate);
    let baseline = session.options.baseline.as_deref().map(|file| Baseline::read(file, &conditions)).transpose()?;
    let count = usize::try_from(plan.duration.as_secs() / ROUND.as_secs()).unwrap_or(usize::MAX).max(MIN_ROUNDS);
    let length = (plan.duration / u32::try_from(count).unwrap_or(u32::MAX)).max(MIN_ROUND);
    let mut progress = Progress::new(plan.kind.as_str(), plan.duration);
    progress.show_text("warming the caches");
    session.warm_up(plan.rate, None)?;
    let mut progress = Progress::new(plan.kind.as_str(), plan.duration);
    let mut rounds = Vec::new();
    let mut failed = 0;
    let result = loop {
        let rounds_planned = count * (rounds.len() / count + 1);
        while rounds.len() < rounds_planned && !session.is_stopped() {
            let (round, errors) = measure_round(session, plan, length, rounds.len())?;
            failed += errors;
            progress.show_text(&format!(
                "round {} of {rounds_planned}: latency {:.2} times the floor, {:.3} of the throughput of `/livez`",
                rounds.len() + 1,
                round.latency_ratio,
                round.throughput_ratio
            ));
            rounds.push(round);
        }
        let result = RegressionResult::new(rounds, baseline.as_ref());
        let may_go_on = result.rounds.len() < count * MAX_EXTENSION && !session.is_stopped();
        if result.conclusion != Conclusion::Undecided || !may_go_on {
            break result;
        }
        rounds = result.rounds;
    };
    progress.end(&result.message);
    if let Some(file) = &session.options.save_baseline {
        Baseline::new(conditions, result.rounds.clone()).write(file)?;
    }
    Ok((failed, result))
}

/// Measures a round, and counts failures: two fifths of it a load, two fifths its floor, and the rest closed loops.
fn measure_round(session: &Session, plan: &Plan, length: Duration, number: usize) -> Result<(Round, u64), BenchError> {
    let (part, short) = (length * 2 / 5, length / 10);
    let first = (number as u64).wrapping_mul(u64::from(plan.rate.get())).wrapping_mul(length.as_secs().max(1));
    let mut requests = session.requests(Order::Zipf(first), None);
    let load = session.load(plan.rate, part);
    let loaded = session.run(&load, &mut requests, &Live::default())?;
    let go_on = AtomicBool::new(false);
    let (livez, sync) = thread::scope(|scope| {
        let folder = session.options.folder.as_path();
        let sync = scope.spawn(|| sync_floor(folder, SYNC_RATE, part, &go_on));
        let livez = livez_floor(&Load { stop: &go_on, ..load });
        (livez, sync.join())
    });
    let failed = |error| BenchError::Failed(format!("the load on `{}` cannot be sent: {error}", session.endpoint));
    let livez = livez.map_err(failed)?;
    let sync = sync.map_err(|_| BenchError::Failed("the thread that syncs ended".to_owned()))??;
    let closed =
        |requests: &[Vec<u8>]| throughput(&session.endpoint, requests, CLOSED_CONNECTIONS, short).map_err(failed);
    let decisions_per_s = closed(&session.requests(Order::Each, None).into_requests())?;
    let livez_per_s = closed(&[livez_request(&session.endpoint)])?;
    let median = |latencies| quantile_ms(latencies, 50.0).unwrap_or(f64::NAN);
    let (latency_ms, livez_ms, sync_ms) = (median(&loaded.latencies), median(&livez.latencies), median(&sync));
    let round = Round {
        latency_ms,
        p99_ms: quantile_ms(&loaded.latencies, 99.0).unwrap_or(f64::NAN),
        livez_ms,
        sync_ms,
        latency_ratio: latency_ms / (livez_ms + sync_ms),
        decisions_per_s,
        livez_per_s,
        throughput_ratio: decisions_per_s / livez_per_s,
    };
    Ok((round, loaded.failed() + livez.failed()))
}
