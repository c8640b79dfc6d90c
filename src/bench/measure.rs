//! One load with everything that is measured beside it, in the same minutes: the floor, the daemon's figures, progress.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nonzero_ext::nonzero;

use super::decisions::{Answered, Order};
use super::error::BenchError;
use super::floor::{livez_floor, sync_floor};
use super::live::Live;
use super::open_loop::{Load, Run};
use super::plan::Plan;
use super::progress::{Progress, Shown};
use super::samples::Sampler;
use super::session::Session;
use crate::metrics::Latencies;

/// How often a second the floor is measured beside a load.
const FLOOR_RATE: NonZeroU32 = nonzero!(20_u32);

/// The connections that ask for `/livez` beside a load.
const FLOOR_CONNECTIONS: usize = 2;

/// The seconds after which the daemon's figures are read again.
const FIGURES_INTERVAL: u32 = 60;

/// A load, and what was measured beside it.
pub struct Measured {
    /// The load.
    pub run: Run,
    /// The latency of `/livez` during the load.
    pub livez: Latencies,
    /// The latency of a sync of 4 KiB during the load.
    pub sync: Latencies,
    /// The daemon's figures.
    pub sampler: Sampler,
    /// Answers that differ from the verdict before the run.
    pub unexpected: u64,
    /// Whether it was ended early.
    pub interrupted: bool,
}

/// Warms the caches, then sends a load and measures beside it. Each answer is also sent to `answers`.
pub fn measure(session: &Session, plan: &Plan, answers: Option<&Sender<Answered>>) -> Result<Measured, BenchError> {
    let title = plan.kind.as_str();
    let mut progress = Progress::new(title, plan.duration);
    progress.show_text("warming the caches");
    session.warm_up(plan.rate, answers.cloned())?;
    let mut progress = Progress::new(title, plan.duration);
    let (live, ended) = (Live::default(), AtomicBool::new(false));
    let (live, ended) = (&live, &ended);
    thread::scope(|scope| {
        let folder = session.options.folder.as_path();
        let sync = scope.spawn(move || sync_floor(folder, FLOOR_RATE, plan.duration, ended));
        let endpoint = &session.endpoint;
        let floor =
            Load { endpoint, rate: FLOOR_RATE, duration: plan.duration, connections: FLOOR_CONNECTIONS, stop: ended };
        let livez = scope.spawn(move || livez_floor(&floor));
        let sampler = Sampler::new(session.api.another());
        let watcher = scope.spawn(move || {
            let sampler = watch(sampler, live, ended, &mut progress);
            (sampler, progress)
        });
        let mut requests = session.requests(Order::Zipf(0), answers.cloned());
        let outcome = session.run(&session.load(plan.rate, plan.duration), &mut requests, live);
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        let thread_ended = || BenchError::Failed("a thread of the measurement ended".to_owned());
        let (sampler, progress) = watcher.join().map_err(|_| thread_ended())?;
        let sync = sync.join().map_err(|_| thread_ended())??;
        let livez = livez.join().map_err(|_| thread_ended())?;
        let livez = livez.map_err(|error| BenchError::Failed(format!("`/livez` cannot be asked: {error}")))?;
        let run = outcome?;
        progress.end(&format!("{} decisions, {:.0}/s, {} errors", run.answered, run.throughput(), run.failed()));
        Ok(Measured {
            run,
            livez: livez.latencies,
            sync,
            sampler,
            unexpected: requests.unexpected,
            interrupted: session.is_stopped(),
        })
    })
}

/// Reads the daemon's figures each second, and shows the progress, until the load has ended.
fn watch(mut sampler: Sampler, live: &Live, ended: &AtomicBool, progress: &mut Progress) -> Sampler {
    let (mut before, mut at) = (0, Instant::now());
    for second in 1_u32.. {
        thread::park_timeout(Duration::from_secs(1));
        sampler.read_hits();
        if ended.load(Ordering::Relaxed) {
            break;
        }
        if second.is_multiple_of(FIGURES_INTERVAL) {
            sampler.read_figures();
        }
        let (answered, now) = (live.answered(), Instant::now());
        let new = u32::try_from(answered.saturating_sub(before)).unwrap_or(u32::MAX);
        let rate = f64::from(new) / (now - at).as_secs_f64().max(1e-9);
        (before, at) = (answered, now);
        progress.show(Shown {
            rate,
            p99_ms: live.p99_ms(),
            hit_percent: sampler.newest_hit_percent(),
            failed: live.failed(),
        });
    }
    sampler.read_figures();
    sampler
}
