//! Reads of the archive against the same reads of segments, and what a record takes in each.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use acgs::ledger::{
    DiskStorage, Hash, RecordLookup, Thoroughness, TileReader, TileWriter, find_id, record, records, retire, size,
    usage, verify, whole_records,
};
use tempfile::TempDir;

use crate::closed_loop::median;
use crate::long_log::{spread, write};
use crate::{Effort, Outcome, bundles, number};

/// How many single reads are timed together.
const READS: u64 = 300;
/// The records that one search finds, anywhere in the log.
const FOUND: u64 = 10;

/// Logs of `BENCH_RECORDS` (default 400,000) records in frames of 1, 4 and 32.
pub fn archive(effort: Effort) -> Outcome {
    let records: u64 = number("BENCH_RECORDS", 400_000);
    let bundle = bundles::write(3, 0)?;
    for frame in [1, 4, 32] {
        one(records, frame, bundle.path(), effort.rounds.max(5))?;
    }
    Ok(())
}

fn one(count: u64, frame: u64, constitution: &Path, rounds: usize) -> Outcome {
    let folders = [TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?, TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?];
    let [segments, archived] = folders.each_ref().map(|folder| DiskStorage::at(folder.path()));
    write(segments.folder(), count, frame, constitution)?;
    let mut tiles = TileWriter::create(segments.clone())?;
    let mut found = records(&segments, 0..count);
    while let Some((_, text)) = found.advance()? {
        tiles.push(Hash::leaf(text))?;
    }
    tiles.flush()?;
    tiles.sync()?;
    for file in fs::read_dir(segments.folder())? {
        let file = file?;
        fs::copy(file.path(), archived.folder().join(file.file_name()))?;
    }
    let since = Instant::now();
    let mut gone = 0;
    while let Some(end) = retire(&archived, count, &|| true)? {
        gone = end;
    }
    let took = since.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let per = |bytes: u64, records: u64| bytes as f64 / records.max(1) as f64;
    let (before, after) = (usage(&segments)?, usage(&archived)?);
    println!("\n{count} records in frames of {frame}, {gone} of them archived in {took:.1} s:");
    println!(
        "  bytes a record: {:.0} in segments, {:.1} in archives; tiles {:.1}",
        per(before.segments, count),
        per(after.archives, after.archived),
        per(after.tiles, count)
    );
    // Only what both have, the one in segments and the other in archives.
    let most = gone;
    let ids = ids(&segments, most)?;
    let rows: [(&str, Job<'_>); 7] = [
        ("single record", &|log| each(|n| Ok(black_box(record(log, spread(n) % most)?).is_some()))),
        ("record found by its id", &|log| {
            each(|n| {
                let id = ids.get(usize::try_from(n)? % ids.len()).ok_or("no id")?;
                Ok(find_id(log, id, most, Thoroughness::ByTime)?.is_some())
            })
        }),
        ("ten records of a search", &|log| {
            each(|n| {
                let mut lookup = RecordLookup::new(log);
                let found = (0..FOUND).map(|nth| Ok(lookup.get(spread(n * FOUND + nth) % most)?.is_some()));
                found
                    .collect::<Result<Vec<bool>, acgs::ledger::LedgerError>>()
                    .map(|all| all.into_iter().all(|is| is))
                    .map_err(Into::into)
            })
        }),
        ("entry bundle", &|log| {
            each(|n| {
                let first = spread(n) % (most / 256) * 256;
                Ok(records(log, first..first + 256).count() == 256)
            })
        }),
        ("inclusion proof and record", &|log| {
            each(|n| {
                use acgs::ledger::Nodes as _;
                let index = spread(n) % most;
                let proof = TileReader::new(log, count).prove_inclusion(index, count)?;
                Ok(record(log, index)?.is_some() && !proof.is_empty())
            })
        }),
        ("all records, as exports and replays read them", &|log| {
            let mut found = whole_records(log, 0..most);
            while let Some(record) = found.advance()? {
                black_box(record.text?.len());
            }
            Ok(())
        }),
        ("verification of the whole log", &|log| {
            black_box(verify(log)?);
            Ok(())
        }),
    ];
    assert!(size(&archived)? == count, "a record is missing");
    for (name, job) in rows {
        let mut measured = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            // Interleaved, each first in turn.
            for nth in [round % 2, (round + 1) % 2] {
                let log = if nth == 0 { &segments } else { &archived };
                let since = Instant::now();
                job(log)?;
                if let Some(measured) = measured.get_mut(nth) {
                    measured.push(since.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        let [in_segments, in_archives] = measured;
        let ratios = in_archives.iter().zip(&in_segments).map(|(archived, segments)| archived / segments).collect();
        let (in_segments, in_archives) = (median(in_segments), median(in_archives));
        println!(
            "  {name}: {in_segments:.1} ms in segments, {in_archives:.1} ms in archives, ratio {:.2}",
            median(ratios)
        );
    }
    Ok(())
}

/// A job on a log.
type Job<'j> = &'j dyn Fn(&DiskStorage) -> Outcome;

/// So many reads, all of which must find something.
fn each(read: impl Fn(u64) -> Result<bool, Box<dyn Error>>) -> Outcome {
    (0..READS).try_for_each(|number| if read(number)? { Ok(()) } else { Err("nothing was found".into()) })
}

/// The ids of some records.
fn ids(log: &DiskStorage, most: u64) -> Result<Vec<uuid::Uuid>, Box<dyn Error>> {
    let id = |number: u64| -> Result<uuid::Uuid, Box<dyn Error>> {
        let text = record(log, spread(number) % most)?.ok_or("no record")?;
        let value: serde_json::Value = serde_json::from_slice(&text)?;
        Ok(value.get("id").and_then(serde_json::Value::as_str).ok_or("no id")?.parse()?)
    };
    (0..READS).map(id).collect()
}
