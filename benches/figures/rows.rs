//! The rows: each starts what it needs, measures, and prints.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use acgs::constitution::{Bundle, Constitution};
use acgs::domain::{Evaluation, Object, UnknownMembers};
use acgs::settings::RequestProperties;

use crate::closed_loop::{self, Requests, Run, median};
use crate::daemon::{Daemon, scratch};
use crate::open_loop::Target;
use crate::{Effort, Outcome, bundles, open_loop};

/// The shipped constitution.
fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/settings/constitution"))
}

/// From the start of the process to `READY=1`.
pub fn start(effort: Effort) -> Outcome {
    let mut first = Vec::new();
    let mut again = Vec::new();
    for _ in 0..effort.rounds.max(5) {
        let daemon = Daemon::start(shipped())?;
        first.push(daemon.until_ready.as_secs_f64() * 1e3);
        let daemon = Daemon::start_on(daemon.stop()?, shipped())?;
        again.push(daemon.until_ready.as_secs_f64() * 1e3);
    }
    println!(
        "start to ready, shipped constitution: first start {}, later starts {}",
        spread(&first, "ms"),
        spread(&again, "ms")
    );
    Ok(())
}

/// Throughput against `/livez` of the same daemon, runs interleaved.
pub fn ratios(effort: Effort) -> Outcome {
    for (name, applicable, kinds) in
        [("3 policies", 3, &[Requests::Same, Requests::Distinct][..]), ("20 policies", 20, &[Requests::Distinct][..])]
    {
        let bundle = bundles::write(applicable, 0)?;
        let daemon = Daemon::start(bundle.path())?;
        warm(&daemon)?;
        for connections in [1, 16, 64] {
            for kind in kinds {
                let mut pairs = Vec::new();
                for _ in 0..effort.rounds {
                    let decisions = closed_loop::run(daemon.address(), *kind, connections, effort.seconds)?;
                    let livez = closed_loop::run(daemon.address(), Requests::Livez, connections, effort.seconds)?;
                    pairs.push((decisions, livez));
                }
                print_ratio(name, kind.name(), connections, &pairs);
            }
        }
    }
    Ok(())
}

/// 20 policies that apply, alone and among 10,000.
pub fn policies(effort: Effort) -> Outcome {
    let (few, many) = (bundles::write(20, 0)?, bundles::write(20, 9_980)?);
    let (few, many) = (Daemon::start(few.path())?, Daemon::start(many.path())?);
    println!("start to ready with 10,000 policies: {:.0} ms", many.until_ready.as_secs_f64() * 1e3);
    warm(&few)?;
    warm(&many)?;
    for connections in [1, 16] {
        let mut ratios = Vec::new();
        for _ in 0..effort.rounds {
            let one = closed_loop::run(few.address(), Requests::Distinct, connections, effort.seconds)?;
            let other = closed_loop::run(many.address(), Requests::Distinct, connections, effort.seconds)?;
            println!(
                "{connections} connections, distinct: 20 policies p50 {:.0} µs, 10,000 policies p50 {:.0} µs",
                one.p50, other.p50
            );
            ratios.push(other.p50 / one.p50);
        }
        println!("10,000 policies ÷ 20 policies, p50, {connections} connections: {}", spread(&ratios, ""));
    }
    Ok(())
}

/// One decision over slices of different sizes, by one thread and by several.
pub fn parallel(_: Effort) -> Outcome {
    for policies in [256, 1_024, 4_096, 16_384] {
        let folder = bundles::write(policies, 0)?;
        let bundle = Bundle::read(folder.path())?;
        let question: Object = serde_json::from_str(&evaluation(1))?;
        let question = Evaluation::from_object(&question, UnknownMembers::Refused).map_err(|_| "a faulty question")?;
        let mut times = Vec::new();
        for from in [usize::MAX, 1] {
            let constitution = Constitution::from_bundle(&bundle)?.parallel_from(from);
            let mut each = Vec::new();
            for _ in 0..100 {
                let since = Instant::now();
                black_box(constitution.decide(RequestProperties::Merge, &question, |_| None));
                each.push(since.elapsed().as_secs_f64() * 1e6);
            }
            times.push(median(each));
        }
        println!("{policies} policies apply: median {times:.0?} µs by one thread and by several");
    }
    Ok(())
}

/// Latency at a constant rate of arrivals.
pub fn open(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    let daemon = Daemon::start(bundle.path())?;
    warm(&daemon)?;
    for _ in 0..effort.rounds {
        let floor = open_loop::floor(scratch(), 1_000, effort.open_loop())?;
        println!("1000/s, this machine without the daemon, a sleep and a sync of 4 KiB: {floor}");
    }
    for rate in [1_000, 10_000] {
        for _ in 0..effort.rounds {
            let livez = open_loop::run(&Target::livez(daemon.address()), rate, effort.open_loop(), |_| String::new())?;
            println!("{rate}/s of `/livez`: {}; the client late by {}", livez.latencies, livez.late);
            let run = open_loop(&daemon, rate, effort)?;
            println!("{rate}/s, {} requests of {DISTINCT} distinct: {}", run.latencies.count(), run.latencies);
            println!("  of which the client was late: {}", run.late);
        }
    }
    Ok(())
}

/// How many different requests an open loop asks.
const DISTINCT: u64 = 100_000;

/// Requests at a constant rate, in an order that repeats only when all have been asked.
pub fn open_loop(daemon: &Daemon, rate: u32, effort: Effort) -> Result<open_loop::Run, Box<dyn Error>> {
    open_loop::run(&Target::evaluation(daemon.address()), rate, effort.open_loop(), |number| {
        evaluation(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % DISTINCT)
    })
}

/// How long a reload takes under load.
pub fn reload(effort: Effort) -> Outcome {
    let bundle = bundles::write(20, 0)?;
    let daemon = Daemon::start(bundle.path())?;
    let address = daemon.address();
    let mut times = Vec::new();
    std::thread::scope(|scope| -> Outcome {
        let load = scope.spawn(|| {
            closed_loop::run(address, Requests::Distinct, 16, effort.seconds).map_err(|error| error.to_string())
        });
        for _ in 0..effort.rounds.max(5) {
            let since = Instant::now();
            daemon.request("POST", "/v1/constitution/reload", "")?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        let run = load.join().map_err(|_| "the load ended")??;
        println!("decisions meanwhile: {:.0}/s, p99 {:.0} µs, none failed", run.rate, run.p99);
        Ok(())
    })?;
    println!("reload of 20 policies until in force in every worker, under load: {}", spread(&times, "ms"));
    Ok(())
}

/// Resident memory with 10,000 policies and full caches.
pub fn memory(effort: Effort) -> Outcome {
    let bundle = bundles::write(20, 9_980)?;
    let daemon = Daemon::start(bundle.path())?;
    let before = daemon.resident();
    closed_loop::run(daemon.address(), Requests::Distinct, 64, effort.seconds * 2)?;
    println!(
        "resident with 10,000 policies: {before:.0} MiB after the start, {:.0} MiB with full verdict caches",
        daemon.resident()
    );
    Ok(())
}

/// A question of its own for each number.
pub fn evaluation(number: u64) -> String {
    evaluation_of(number, number)
}

/// Somebody's question about a record.
pub fn evaluation_of(user: u64, record: u64) -> String {
    format!(
        r#"{{"subject":{{"type":"user","id":"user-{user}","properties":{{"role":"editor"}}}},"action":{{"name":"write"}},"resource":{{"type":"record","id":"record-{record}","properties":{{"status":"active"}}}}}}"#
    )
}

pub fn warm(daemon: &Daemon) -> Result<Run, Box<dyn Error>> {
    closed_loop::run(daemon.address(), Requests::Distinct, 64, 2)
}

fn print_ratio(bundle: &str, requests: &str, connections: usize, pairs: &[(Run, Run)]) {
    let ratios: Vec<f64> = pairs.iter().map(|(decisions, livez)| decisions.rate / livez.rate).collect();
    let of = |measure: fn(&Run) -> f64| median(pairs.iter().map(|(run, _)| measure(run)).collect());
    let livez = median(pairs.iter().map(|(_, livez)| livez.rate).collect());
    println!(
        "{bundle}, {requests:<8}, {connections:>2} connections: {:>6.0}/s, p50 {:>5.0} µs, p99 {:>6.0} µs, livez {livez:>6.0}/s, ratio {}",
        of(|run| run.rate),
        of(|run| run.p50),
        of(|run| run.p99),
        spread(&ratios, "")
    );
}

/// Median and range.
pub fn spread(values: &[f64], unit: &str) -> String {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    format!("{:.2} {unit} ({low:.2} to {high:.2})", median(values.to_vec()))
}
