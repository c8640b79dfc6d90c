//! How often the caches have what is asked for, where few questions are asked often and many seldom.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acgs::bench::zipf::Zipf;
use serde_json::Value;

use crate::backing::{Backing, Kind};
use crate::daemon::Daemon;
use crate::open_loop::{self, Target};
use crate::rows::evaluation_of;
use crate::stored::{path, record, user};
use crate::{Effort, Outcome, bundles};

/// Different questions, each about a stored record of its own.
const POPULATION: u64 = 100_000;
/// Stored users who ask.
const USERS: u64 = 1_000;
/// Questions a second.
const RATE: u32 = 5_000;
/// Periods after the first start, when no verdict is kept.
const PERIODS: usize = 2;

/// The hit rates over each kind of store from a first start on, and after a second one, while one record is written a
/// second.
pub fn zipf(effort: Effort) -> Outcome {
    let (bundle, zipf) = (bundles::write(3, 0)?, Zipf::new(POPULATION));
    println!(
        "{RATE}/s from a population of {POPULATION} by Zipf's law, exponent 1, each about a record of its own, one of \
         which is written a second, by the same law; periods of {:?}",
        effort.open_loop()
    );
    for kind in Kind::ALL {
        let backing = Backing::start(kind);
        let entity = |number: u64| if number < USERS { user(number) } else { record(number - USERS) };
        let daemon = backing.daemon(USERS + POPULATION, entity, bundle.path())?;
        until_filled(&daemon)?;
        for period in 0..PERIODS {
            measure(&format!("{}, period {}", kind.name(), period + 1), &daemon, &zipf, effort, period)?;
        }
        let daemon = again(&backing, daemon, bundle.path())?;
        measure(&format!("{}, started again", kind.name()), &daemon, &zipf, effort, PERIODS)?;
    }
    Ok(())
}

/// Starts the daemon again.
fn again(backing: &Backing, daemon: Daemon, constitution: &Path) -> Result<Daemon, Box<dyn Error>> {
    let daemon = backing.daemon_on(daemon.stop()?, constitution)?;
    until_filled(&daemon)?;
    Ok(daemon)
}

/// Waits until nothing more comes into the caches by itself, and says how long that took.
fn until_filled(daemon: &Daemon) -> Outcome {
    let (begun, mut entries) = (Instant::now(), None);
    loop {
        let shown: Value = serde_json::from_str(&daemon.request("GET", "/v1/cache", "")?.0)?;
        let now = ["/tiers/l1/entries", "/tiers/l3/entries"].map(|place| shown.pointer(place).and_then(Value::as_u64));
        if entries == Some(now) {
            println!("filled after {:.1?}: {now:?} in L1 and L3", begun.elapsed());
            return Ok(());
        }
        entries = Some(now);
        thread::sleep(Duration::from_secs(1));
    }
}

fn measure(name: &str, daemon: &Daemon, zipf: &Zipf, effort: Effort, period: usize) -> Outcome {
    let before = counted(daemon)?;
    let first = u64::from(RATE) * effort.open_loop().as_secs() * period as u64;
    let done = AtomicBool::new(false);
    let run = thread::scope(|scope| -> Result<open_loop::Run, Box<dyn Error>> {
        let writer = scope.spawn(|| write(daemon, zipf, &done).map_err(|error| error.to_string()));
        let target = Target::evaluation(daemon.address());
        let run = open_loop::run(&target, RATE, effort.open_loop(), |number| {
            let rank = zipf.rank(first + number);
            evaluation_of(rank % USERS, rank)
        });
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer ended")??;
        run
    })?;
    let shares = before.iter().zip(counted(daemon)?).map(|((name, hits, all), (_, more, most))| {
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let share = (more - hits) as f64 * 100.0 / (most - all).max(1) as f64;
        format!("{name} {share:.2} % of {}", most - all)
    });
    println!("{name}: {}; {}", shares.collect::<Vec<_>>().join(", "), run.latencies);
    Ok(())
}

/// Writes a record a second.
fn write(daemon: &Daemon, zipf: &Zipf, done: &AtomicBool) -> Outcome {
    for number in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let record = record(zipf.rank(u64::MAX / 2 + number));
        daemon.request("PUT", &path(&record), &serde_json::to_string(&record)?)?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// The name of a tier, hits, and all that was looked for.
type Counted = (&'static str, u64, u64);

/// Hits, and all that was looked for, since the start: overall, and in each tier.
fn counted(daemon: &Daemon) -> Result<[Counted; 4], Box<dyn Error>> {
    let shown: Value = serde_json::from_str(&daemon.request("GET", "/v1/cache", "")?.0)?;
    let tiers = [("overall", "/overall"), ("L1", "/tiers/l1"), ("L2", "/tiers/l2"), ("L3", "/tiers/l3")];
    let counted = tiers.map(|(name, place)| {
        let number = |member| shown.pointer(&format!("{place}/{member}")).and_then(Value::as_u64).unwrap_or_default();
        (name, number("hits"), number("hits") + number("misses"))
    });
    Ok(counted)
}
