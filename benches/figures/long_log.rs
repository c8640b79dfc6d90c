//! A log of many records: how long starts, proofs and searches take, and what a record costs on disk.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use acgs::constitution::{Bundle, Constitution};
use acgs::domain::{Evaluation, Object, UnknownMembers};
use acgs::ledger::{Batch, CheckpointFile, DecisionRecord, DiskStorage, Ledger, Options, SharedMembers, new_id};
use acgs::settings::{HashEnforcement, RequestProperties, RequestRecord};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::closed_loop::median;
use crate::daemon::Daemon;
use crate::{Effort, Outcome, bundles, number};

/// Records in one frame, as under load.
const FRAME: u64 = 32;
/// Who asks, and for what: so many subjects and resources.
const SUBJECTS: u64 = 10_000;
const RESOURCES: u64 = 2_000;
/// How many proofs and records are asked for.
const QUESTIONS: u64 = 500;

/// Logs of a hundredth, a tenth and all of `BENCH_RECORDS` (default 10,000,000) records.
pub fn long_log(_: Effort) -> Outcome {
    let most: u64 = number("BENCH_RECORDS", 10_000_000);
    let bundle = bundles::write(3, 0)?;
    for records in [most / 100, most / 10, most] {
        one(records, bundle.path())?;
    }
    Ok(())
}

fn one(records: u64, constitution: &Path) -> Outcome {
    let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = data.path().join("data");
    fs::create_dir(&folder)?;
    write(&folder.join("audit"), records, FRAME, constitution)?;
    println!("\n{records} records:");

    let daemon = Daemon::start_on(data, constitution)?;
    println!("  first start, without tiles: ready after {:.0} ms", millis(daemon.until_ready));
    let since = Instant::now();
    wait(&daemon, records, "/signed/size")?;
    println!("  tiles made and signed after {:.1} s", since.elapsed().as_secs_f64());
    wait(&daemon, records, "/database/size")?;
    println!("  copied into the database after {:.1} s", since.elapsed().as_secs_f64());
    questions(&daemon, records)?;
    let data = daemon.stop()?;

    let mut starts = Vec::new();
    let mut data = Some(data);
    for _ in 0..5 {
        let daemon = Daemon::start_on(data.take().ok_or("no folder")?, constitution)?;
        starts.push(millis(daemon.until_ready));
        data = Some(daemon.stop()?);
    }
    println!("  later starts: ready after {:.0} ms", median(starts));
    let data = data.ok_or("no folder")?;
    disk(&data.path().join("data"), records)
}

/// Writes a log of decisions in frames of so many, as the daemon does.
pub fn write(folder: &Path, records: u64, frame: u64, constitution: &Path) -> Outcome {
    let constitution = Constitution::from_bundle(&Bundle::read(constitution)?)?;
    let digest = constitution.digest().to_string();
    let storage = DiskStorage::create(folder)?;
    let (mut ledger, _) = Ledger::open(storage.clone(), Options::default())?;
    CheckpointFile::open(&storage)?;
    let mut batch = Batch::default();
    for number in 0..records {
        let (subject, resource) = (spread(number) % SUBJECTS, spread(number ^ 0x5555) % RESOURCES);
        // One in twenty is denied, and violates a principle.
        let (status, risk) = if number % 20 == 0 { ("secret-1", 9) } else { ("active", 0) };
        let question = format!(
            r#"{{"subject":{{"type":"user","id":"user-{subject}","properties":{{"role":"editor"}}}},"action":{{"name":"write"}},"resource":{{"type":"record","id":"record-{resource}","properties":{{"status":"{status}"}}}},"context":{{"risk":{risk}}}}}"#
        );
        let question: Object = serde_json::from_str(&question)?;
        let evaluation =
            Evaluation::from_object(&question, UnknownMembers::Refused).map_err(|_| "a faulty question")?;
        let at = OffsetDateTime::now_utc();
        let record = DecisionRecord {
            id: new_id(at),
            at,
            caller: "anonymous",
            request_id: "",
            bench: None,
            evaluation: &evaluation,
            shortened: None,
            shared: &SharedMembers::default(),
            verdict: &constitution.decide(RequestProperties::Merge, &evaluation, |_| None),
            hash: constitution.hash(),
            digest: &digest,
            hash_enforcement: HashEnforcement::WhenPresent,
            request_properties: RequestProperties::Merge,
            entities: None,
            cached: false,
        };
        record.push(RequestRecord::Full, &mut batch)?;
        if u64::from(batch.count()) == frame || number + 1 == records {
            ledger.append(&batch)?;
            batch.clear();
        }
    }
    Ok(())
}

/// Times of proofs, records and searches, each asked on a connection of its own.
fn questions(daemon: &Daemon, records: u64) -> Outcome {
    let each = |path: &dyn Fn(u64) -> String| -> Result<(f64, f64), Box<dyn Error>> {
        let mut times = Vec::new();
        for number in 0..QUESTIONS {
            let since = Instant::now();
            get(daemon, &path(number))?;
            times.push(millis(since.elapsed()));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(f64::NAN);
        Ok((at(50), at(99)))
    };
    let index = |number: u64| spread(number) % records;
    let rows: [(&str, &dyn Fn(u64) -> String); 9] = [
        ("record", &|n| format!("/v1/audit/entries/{}", index(n))),
        ("inclusion proof", &|n| format!("/v1/audit/entries/{}/proof", index(n))),
        ("consistency proof", &|n| format!("/v1/audit/consistency?from={}", index(n).max(1))),
        ("entry bundle", &|n| format!("/v1/audit/log/tile/{}", bundle(index(n), records))),
        ("search by subject", &|n| format!("/v1/audit/entries?subject=user-{}&limit=10", spread(n) % SUBJECTS)),
        ("search by resource", &|n| format!("/v1/audit/entries?resource=record-{}&limit=10", spread(n) % RESOURCES)),
        ("search by principle", &|_| "/v1/audit/entries?principle=ownership&limit=10".to_owned()),
        ("search by subject and denied", &|n| {
            format!("/v1/audit/entries?subject=user-{}&decision=false&limit=10", spread(n) % SUBJECTS)
        }),
        ("search for what is not there", &|n| format!("/v1/audit/entries?subject=nobody-{n}&limit=10")),
    ];
    for (name, path) in rows {
        // A caller who asks more than some thousand times a second is refused.
        thread::sleep(Duration::from_secs(1));
        let (p50, p99) = each(path)?;
        println!("  {name}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
    Ok(())
}

/// The whole bundle with a record, or the last whole one before it.
fn bundle(index: u64, records: u64) -> String {
    let number = (index / 256).min((records / 256).saturating_sub(1));
    acgs::ledger::TileName { kind: acgs::ledger::TileKind::Entries, index: number, width: 256 }.to_string()
}

fn disk(folder: &Path, records: u64) -> Outcome {
    let mut sizes = [("segments", 0_u64), ("tiles", 0), ("database", 0), ("archives", 0)];
    for entry in fs::read_dir(folder)?.chain(fs::read_dir(folder.join("audit"))?) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let slot = match name.as_str() {
            name if name.starts_with("segment-0") => 0,
            name if name.starts_with("tiles-") => 1,
            name if name.starts_with("acgs-audit") => 2,
            name if name.starts_with("archive-") => 3,
            _ => continue,
        };
        if let Some((_, size)) = sizes.get_mut(slot) {
            *size += entry.metadata()?.len();
        }
    }
    for (name, size) in sizes {
        println!("  {name}: {} bytes a record", size / records);
    }
    Ok(())
}

/// Waits until a member of the log's status has reached so many records.
fn wait(daemon: &Daemon, records: u64, member: &str) -> Outcome {
    loop {
        let status: Value = serde_json::from_str(&get(daemon, "/v1/audit")?)?;
        if status.pointer(member).and_then(Value::as_u64).is_some_and(|size| size >= records) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn get(daemon: &Daemon, path: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(daemon.address())?;
    let token = daemon.token("auditor")?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(format!("{path}: {answer}").into()) }
}

/// Any number from any number, the same each time.
pub fn spread(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
