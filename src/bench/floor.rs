//! The floor: what this machine takes, at the same time, for the parts of a decision that no daemon can avoid.

use std::fs::{File, OpenOptions, remove_file};
use std::io::Write as _;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::error::BenchError;
use super::live::Live;
use super::open_loop::{Load, Requests, Run, run};
use crate::metrics::{BucketCounts, Latencies, LatencyRecorder};

/// The bytes that are written and synced.
const BLOCK: usize = 4096;

/// The blocks of the file, which are written one after the other.
const BLOCKS: u64 = 256;

/// A thread sleeps until each of `rate` times a second, writes 4 KiB of a file in the folder whose space is allocated
/// already, and syncs it, until `stop` is set or the time is over. The latencies count from when it was to wake.
pub fn sync_floor(
    folder: &Path,
    rate: NonZeroU32,
    duration: Duration,
    stop: &AtomicBool,
) -> Result<Latencies, BenchError> {
    let path = folder.join(format!(".acgs-bench-floor-{}-{:x}", std::process::id(), rand::random::<u32>()));
    let failed = |action| {
        let name = path.display().to_string();
        move |source| BenchError::File { action, name, source }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed("create"))?;
    // The space is freed when the file is closed, even if this process is killed.
    remove_file(&path).map_err(failed("remove"))?;
    let recorder = LatencyRecorder::default();
    write_and_sync(&mut file, rate, duration, stop, &recorder).map_err(failed("sync"))?;
    let mut counts = BucketCounts::new();
    recorder.drain(&mut counts);
    let mut latencies = Latencies::default();
    latencies.add(&counts);
    Ok(latencies)
}

fn write_and_sync(
    file: &mut File,
    rate: NonZeroU32,
    duration: Duration,
    stop: &AtomicBool,
    recorder: &LatencyRecorder,
) -> std::io::Result<()> {
    for _ in 0..BLOCKS {
        file.write_all(&[0; BLOCK])?;
    }
    file.sync_all()?;
    wake_on_time()?;
    let begin = Instant::now();
    for number in 0_u64.. {
        let after = Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(rate.get()));
        if after >= duration || stop.load(Ordering::Relaxed) {
            break;
        }
        let due = begin + after;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        file.write_all_at(&[1; BLOCK], number % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        recorder.record(due.elapsed());
    }
    Ok(())
}

/// Has this thread sleep no longer than it asks for: by default the kernel may add 50 µs.
fn wake_on_time() -> std::io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}

/// `GET /livez`, a request that decides and records nothing.
struct Livez(Vec<u8>);

impl Requests for Livez {
    fn write(&mut self, _: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.0);
    }

    fn judge(&mut self, _: u64, status: u16, _: &[u8]) -> Result<(), &'static str> {
        if status == 200 { Ok(()) } else { Err("`/livez` was not answered with 200") }
    }
}

/// The request for `/livez`.
#[must_use]
pub fn livez_request(endpoint: &Endpoint) -> Vec<u8> {
    format!("{}\r\n", endpoint.head("GET", "/livez", "")).into_bytes()
}

/// Asks for `/livez` with the same client and at a rate of its own.
pub fn livez_floor(load: &Load<'_>) -> std::io::Result<Run> {
    run(load, &mut Livez(livez_request(load.endpoint)), &Live::default())
}
