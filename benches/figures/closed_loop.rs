//! Closed loops, for throughput: `wrk` with one thread.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// What one run gave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// Requests a second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99: f64,
}

/// Which requests to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// `GET /livez`
    Livez,
    /// The same evaluation again and again.
    Same,
    /// No evaluation twice.
    Distinct,
}

impl Requests {
    /// How it is called in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Livez => "livez",
            Self::Same => "same",
            Self::Distinct => "distinct",
        }
    }
}

/// Runs `wrk` for some seconds.
pub fn run(address: &str, requests: Requests, connections: usize, seconds: u64) -> Result<Run, Box<dyn Error>> {
    run_as("", address, requests, connections, seconds)
}

/// The same with a token, where it is not empty.
pub fn run_as(
    token: &str,
    address: &str,
    requests: Requests,
    connections: usize,
    seconds: u64,
) -> Result<Run, Box<dyn Error>> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/figures/requests.lua");
    let mut wrk = Command::new("wrk");
    wrk.env("BENCH_TOKEN", token);
    wrk.args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    match requests {
        Requests::Livez => wrk.arg(format!("http://{address}/livez")),
        _ => wrk
            .arg("-s")
            .arg(script)
            .arg(format!("http://{address}/access/v1/evaluation"))
            .args(["--", requests.name()]),
    };
    let output = wrk.output().map_err(|error| format!("wrk cannot be run ({error}): install the package `wrk`"))?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("requests failed:\n{text}").into());
    }
    let after = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label))?;
        Some(line.trim_start().trim_start_matches(label).trim().to_owned())
    };
    let rate = after("Requests/sec:").and_then(|rate| rate.parse().ok()).ok_or("wrk gave no rate")?;
    let latency = |label| after(label).and_then(|text| microseconds(&text)).ok_or("wrk gave no latency");
    Ok(Run { rate, p50: latency("50%")?, p99: latency("99%")? })
}

fn microseconds(text: &str) -> Option<f64> {
    let (number, factor) = match (text.strip_suffix("us"), text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _, _) => (number, 1.0),
        (_, Some(number), _) => (number, 1e3),
        (_, _, Some(number)) => (number, 1e6),
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// The middle one, by some measure.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
