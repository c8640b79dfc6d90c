//! Prints the figures that the daemon is judged by, with the conditions they were taken under.
//!
//! `cargo bench --bench figures [-- ROW…]`, rows: `start ratios policies parallel open reload memory costs tokens`,
//! which are taken where none is named, and `stores entities zipf outages log archive`. `BENCH_SECONDS` is the length of a run
//! (default 5; the open loop runs six times as long), `BENCH_ROUNDS` how often each is repeated (default 3). Needs
//! `wrk` for the closed loops, and PostgreSQL and Redis for `stores entities zipf outages`.

mod archive;
mod backing;
mod bundles;
mod closed_loop;
mod costs;
mod daemon;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod long_log;
mod open_loop;
mod outages;
mod rows;
mod stored;
mod tokens;
mod zipf;

use std::str::FromStr;
use std::time::Duration;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    seconds: u64,
    rounds: usize,
}

impl Effort {
    fn from_environment() -> Self {
        Self { seconds: number("BENCH_SECONDS", 5), rounds: number("BENCH_ROUNDS", 3) }
    }

    fn open_loop(self) -> Duration {
        Duration::from_secs(self.seconds * 6)
    }
}

/// A number from the environment.
fn number<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One group of figures.
type Row = fn(Effort) -> Outcome;

/// Rows that take long, or need servers.
const LONG: [&str; 6] = ["stores", "entities", "zipf", "outages", "log", "archive"];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let effort = Effort::from_environment();
    // Cargo adds `--bench` to what the caller says.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let all: [(&str, Row); 15] = [
        ("start", rows::start),
        ("ratios", rows::ratios),
        ("policies", rows::policies),
        ("parallel", rows::parallel),
        ("open", rows::open),
        ("reload", rows::reload),
        ("memory", rows::memory),
        ("costs", costs::costs),
        ("tokens", tokens::tokens),
        ("stores", stored::stores),
        ("entities", stored::entities),
        ("zipf", zipf::zipf),
        ("outages", outages::outages),
        ("log", long_log::long_log),
        ("archive", archive::archive),
    ];
    conditions();
    for (name, row) in all {
        let chosen = if wanted.is_empty() { !LONG.contains(&name) } else { wanted.iter().any(|row| row == name) };
        if chosen {
            println!("\n## {name}");
            row(effort)?;
        }
    }
    Ok(())
}

/// What the figures depend on.
fn conditions() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let model = read("/proc/cpuinfo").lines().find_map(|line| Some(line.strip_prefix("model name")?.trim().to_owned()));
    println!("cores {cores}, cpu {}, load {}", model.unwrap_or_default(), read("/proc/loadavg").trim());
    println!(
        "durable audit; SQLite where no other store is named; default settings but for bind, data_dir and constitution; client on the same machine"
    );
}
