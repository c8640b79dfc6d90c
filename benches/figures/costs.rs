//! What following the log costs: throughput and latency with tiles, checkpoints and the copy in the database, and
//! without.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::closed_loop::{self, Requests, Run, median};
use crate::daemon::Daemon;
use crate::{Effort, Outcome, bundles, rows};

/// A way to run the daemon.
struct Variant {
    name: &'static str,
    seals: bool,
    copies: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant { name: "neither", seals: false, copies: false },
    Variant { name: "tiles and checkpoints", seals: true, copies: false },
    Variant { name: "copy in the database", seals: false, copies: true },
    Variant { name: "all", seals: true, copies: true },
];

/// Rounds of all variants in turn, each on a daemon of its own, so that what the machine does hits all alike.
pub fn costs(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    for (requests, connections) in [(Requests::Same, 64), (Requests::Distinct, 64), (Requests::Same, 16)] {
        let mut runs: Vec<Vec<Run>> = VARIANTS.iter().map(|_| Vec::new()).collect();
        for _ in 0..effort.rounds {
            for (variant, runs) in VARIANTS.iter().zip(&mut runs) {
                let daemon = variant.start(bundle.path())?;
                closed_loop::run(daemon.address(), requests, connections, 1)?;
                runs.push(closed_loop::run(daemon.address(), requests, connections, effort.seconds)?);
            }
        }
        let rate = |runs: &[Run]| median(runs.iter().map(|run| run.rate).collect());
        let base = runs.first().map_or(f64::NAN, |runs| rate(runs));
        for (variant, runs) in VARIANTS.iter().zip(&runs) {
            println!(
                "{}, {connections} connections, {}: {:.0}/s ({:+.1} %), p99 {:.0} µs",
                requests.name(),
                variant.name,
                rate(runs),
                (rate(runs) / base - 1.0) * 100.0,
                median(runs.iter().map(|run| run.p99).collect())
            );
        }
    }
    for rate in [1_000, 10_000] {
        println!("{rate}/s of 100000 distinct:");
        for _ in 0..effort.rounds {
            for variant in &VARIANTS {
                let daemon = variant.start(bundle.path())?;
                closed_loop::run(daemon.address(), Requests::Distinct, 64, 1)?;
                let run = rows::open_loop(&daemon, rate, effort)?;
                println!("  {}: {}; the client late by {}", variant.name, run.latencies, run.late);
            }
        }
    }
    Ok(())
}

impl Variant {
    fn start(&self, constitution: &Path) -> std::io::Result<Daemon> {
        let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        if !self.copies {
            // A folder where the database should be: the copy waits for it to go away.
            fs::create_dir_all(data.path().join("data/acgs-audit.db"))?;
        }
        // The longest interval that the settings take: no checkpoint comes due.
        let interval = if self.seals { "1000" } else { "3600000" };
        Daemon::start_with(data, constitution, &[("ACGS_AUDIT__CHECKPOINT_INTERVAL_MS", interval)])
    }
}
