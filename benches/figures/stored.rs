//! What it costs where entities are stored, and how many.

use std::error::Error;
use std::time::Duration;

use acgs::domain::{Entity, EntityUid, Object};

use crate::backing::{Backing, Kind};
use crate::closed_loop::{self, Requests, median};
use crate::daemon::Daemon;
use crate::open_loop::{self, Latencies, Target};
use crate::rows::{evaluation_of, spread, warm};
use crate::{Effort, Outcome, bundles};

/// Stored users that questions are about.
const HOT: u64 = 1_000;
/// Writes that are measured, one after another.
const WRITES: u64 = 300;

/// A stored user.
pub fn user(number: u64) -> Entity {
    entity("user", number, r#"{"role":"editor"}"#, vec![EntityUid::new("team", format!("team-{}", number % 100))])
}

/// A stored record.
pub fn record(number: u64) -> Entity {
    entity("record", number, r#"{"status":"active"}"#, Vec::new())
}

fn entity(kind: &str, number: u64, attrs: &str, parents: Vec<EntityUid>) -> Entity {
    let attrs: Object = serde_json::from_str(attrs).unwrap_or_default();
    Entity { uid: EntityUid::new(kind, format!("{kind}-{number}")), attrs, parents, tags: Object::default() }
}

/// The same daemon over each kind of store, in turn.
pub fn stores(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    let mut daemons = Vec::new();
    for kind in Kind::ALL {
        let backing = Backing::start(kind);
        let daemon = backing.daemon(HOT, user, bundle.path())?;
        println!("{}: start to ready {:.0} ms", kind.name(), daemon.until_ready.as_secs_f64() * 1e3);
        warm(&daemon)?;
        daemons.push((kind, daemon, backing));
    }
    for (requests, connections) in [(Requests::Same, 64), (Requests::Distinct, 64), (Requests::Same, 16)] {
        let mut runs = vec![Vec::new(); daemons.len()];
        for _ in 0..effort.rounds {
            for ((_, daemon, _), runs) in daemons.iter().zip(&mut runs) {
                let run = closed_loop::run(daemon.address(), requests, connections, effort.seconds)?;
                let livez = closed_loop::run(daemon.address(), Requests::Livez, connections, effort.seconds)?;
                runs.push((run.rate / livez.rate, run.rate, run.p99));
            }
        }
        for ((kind, ..), runs) in daemons.iter().zip(&runs) {
            let ratios: Vec<f64> = runs.iter().map(|(ratio, ..)| *ratio).collect();
            println!(
                "{}, {connections} connections, {}: {:.0}/s, p99 {:.0} µs, ratio to livez {}",
                requests.name(),
                kind.name(),
                median(runs.iter().map(|(_, rate, _)| *rate).collect()),
                median(runs.iter().map(|(_, _, p99)| *p99).collect()),
                spread(&ratios, "")
            );
        }
    }
    for rate in [1_000, 10_000] {
        for round in 0..effort.rounds {
            for (kind, daemon, _) in &daemons {
                let run = hot_questions(daemon, round, rate, effort.open_loop())?;
                println!("open loop {rate}/s, {}: {}", kind.name(), run.latencies);
            }
        }
    }
    for (kind, daemon, _) in &daemons {
        let took = writes(daemon)?;
        println!("{WRITES} writes of an entity, one after another, {}: {took}", kind.name());
        println!("resident, {}: {:.0} MiB", kind.name(), daemon.resident());
    }
    Ok(())
}

/// Different questions, each about one of the hot users, in each round others.
pub fn hot_questions(
    daemon: &Daemon,
    round: usize,
    rate: u32,
    length: Duration,
) -> Result<open_loop::Run, Box<dyn Error>> {
    let (target, first) = (Target::evaluation(daemon.address()), (u64::from(rate) << 40) + ((round as u64) << 32));
    open_loop::run(&target, rate, length, |number| evaluation_of(number % HOT, first + number))
}

fn writes(daemon: &Daemon) -> Result<Latencies, Box<dyn Error>> {
    let write = |number: u64| -> Result<Duration, Box<dyn Error>> {
        let user = user(number);
        let (_, took) = daemon.request("PUT", &path(&user), &serde_json::to_string(&user)?)?;
        Ok(took)
    };
    (0..WRITES).map(write).collect::<Result<Vec<_>, _>>().map(Latencies::new)
}

/// Where an entity is written.
pub fn path(entity: &Entity) -> String {
    format!("/v1/entities/{}/{}", entity.uid.kind, entity.uid.id)
}

/// 1,000 stored users against 1,000,000, each request about one of 1,000 hot ones.
pub fn entities(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let backings = [Backing::start(kind), Backing::start(kind)];
        let [few, many] = &backings;
        let (few, many) = (few.daemon(HOT, user, bundle.path())?, many.daemon(1_000_000, user, bundle.path())?);
        println!(
            "{}: start to ready {:.0} ms with 1,000 entities, {:.0} ms with 1,000,000",
            kind.name(),
            few.until_ready.as_secs_f64() * 1e3,
            many.until_ready.as_secs_f64() * 1e3
        );
        let length = Duration::from_secs(effort.seconds);
        // Both know the hot users before anything is measured.
        for daemon in [&few, &many] {
            hot_questions(daemon, 0, 2_000, Duration::from_secs(1))?;
        }
        let mut ratios = Vec::new();
        for round in 1..=effort.rounds {
            let p99 = |daemon| {
                Ok::<_, Box<dyn Error>>(hot_questions(daemon, round, 2_000, length)?.latencies.percentile(0.99))
            };
            let (one, other) = (p99(&few)?, p99(&many)?);
            println!("open loop 2000/s, p99: 1,000 entities {one:.3} ms, 1,000,000 entities {other:.3} ms");
            ratios.push(other / one);
        }
        println!("{}: 1,000,000 ÷ 1,000 entities, p99 with a warm L3: {}", kind.name(), spread(&ratios, ""));
        println!("resident: {:.0} MiB with 1,000 entities, {:.0} MiB with 1,000,000", few.resident(), many.resident());
    }
    Ok(())
}
