//! `acgs audit size`: what the log takes on disk, what it grows by, and for how long there is space.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::super::{EXIT_CONFIG, EXIT_IO, fail, print_line};
use super::failed;
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage, Forecast, IndexUsage, LedgerError, LogUsage};
use crate::store::{StoreError, Target, search_index};

/// How long a database that is in use is waited for.
const WAIT: Duration = Duration::from_secs(5);

/// The arguments of `acgs audit size`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The data folder [default: the one that the settings name].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object: bytes, records, and per-day figures; what is not known is null.
    #[arg(long)]
    json: bool,
}

/// All that is printed.
struct Size {
    records: u64,
    usage: LogUsage,
    index: Option<IndexUsage>,
    free: Option<u64>,
    forecast: Forecast,
}

impl Arguments {
    pub(super) fn run(&self, source: &Source) -> Result<ExitCode, ExitCode> {
        let loaded = source.load();
        let settings = loaded.as_ref().ok().map(|loaded| &loaded.settings);
        let folder = match (&self.data, settings) {
            (Some(folder), _) => folder.clone(),
            (None, Some(settings)) => settings.data_dir.clone(),
            (None, None) => return Err(loaded.map_or_else(|faults| fail(&faults, EXIT_CONFIG), |_| ExitCode::FAILURE)),
        };
        let log = daemon::audit_folder(&folder);
        let storage = DiskStorage::at(&log);
        // The database of the settings belongs to their own data folder, not to another one.
        let own = settings.filter(|settings| settings.data_dir == folder);
        let beside = || search_index::beside(&Target::Sqlite(folder.join("acgs.db")));
        let index = index(&own.map_or_else(beside, |settings| daemon::search_options(settings).target));
        let index = index.map_err(|error| fail(&format!("the search index cannot be measured: {error}"), EXIT_IO))?;
        let size = measure(&storage, index).map_err(|error| failed(&error, &log))?;
        if self.json {
            print_line(&as_json(&size).to_string());
        } else {
            for line in as_lines(&size) {
                print_line(&line);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn index(target: &Target) -> Result<Option<IndexUsage>, StoreError> {
    let size = search_index::size(target, WAIT)?;
    let is_beside_log = target.path().is_some();
    Ok(size.map(|size| IndexUsage { bytes: size.bytes, records: size.records, is_beside_log }))
}

fn measure(storage: &DiskStorage, index: Option<IndexUsage>) -> Result<Size, LedgerError> {
    let usage = ledger::usage(storage)?;
    let records = ledger::size(storage)?;
    let per_day = ledger::records_per_day(storage, records, OffsetDateTime::now_utc())?;
    let free = ledger::free_bytes(storage);
    Ok(Size { records, usage, index, free, forecast: ledger::forecast(&usage, index, per_day, free) })
}

fn as_json(size: &Size) -> serde_json::Value {
    let Size { records, usage, index, free, forecast } = size;
    json!({
        "records": records,
        "archived_records": usage.archived,
        "bytes": {
            "log": usage.bytes, "segments": usage.segments, "archives": usage.archives, "tiles": usage.tiles,
            "index": index.map(|index| index.bytes), "free": free,
        },
        "bytes_per_record": forecast.bytes_per_record,
        "index_bytes_per_record": forecast.index_bytes_per_record,
        "records_per_day": forecast.records_per_day,
        "bytes_per_day": forecast.bytes_per_day,
        "days_left": forecast.days_left,
    })
}

fn as_lines(size: &Size) -> Vec<String> {
    let Size { records, usage, index, free, forecast } = size;
    let whole = |value: Option<f64>| value.map(|value| format!("{value:.0}"));
    let unknown = |value: Option<String>, why: &str| value.unwrap_or_else(|| format!("unknown: {why}"));
    let nothing_archived = "no segment has been archived yet";
    let too_young = "the log is younger than ten minutes";
    let per_record = whole(forecast.bytes_per_record).map(|bytes| format!("{bytes} bytes, tiles included"));
    let in_index = whole(forecast.index_bytes_per_record).map(|bytes| format!(", {bytes} bytes a record"));
    let in_index = index.map(|index| format!("{}{}", bytes(index.bytes), in_index.unwrap_or_default()));
    let growth = forecast.bytes_per_day.map(|per_day| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, at least none")]
        let per_day = bytes(per_day as u64);
        format!("{per_day} a day, of {} records", whole(forecast.records_per_day).unwrap_or_default())
    });
    let why = if forecast.bytes_per_record.is_none() { nothing_archived } else { too_young };
    let left = forecast.days_left.map(|days| format!("{days:.0} days at this growth"));
    let idle = if forecast.bytes_per_day.is_some() { "the log does not grow" } else { why };
    vec![
        format!("records         {records}, {} of them archived", usage.archived),
        format!("segments        {}: in use, prepared, or not archived yet", bytes(usage.segments)),
        format!("archives        {}", bytes(usage.archives)),
        format!("tiles           {}", bytes(usage.tiles)),
        format!("search index    {}", unknown(in_index, "there is none, or it is not of this data folder")),
        format!("record at rest  {}", unknown(per_record, nothing_archived)),
        format!("growth          {}", unknown(growth, why)),
        format!("free            {}", unknown(free.map(bytes), "the file system does not say")),
        format!("space for       {}", unknown(left, idle)),
    ]
}

/// A number of bytes with its unit, as people read it.
fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    let mut shown = "bytes";
    for unit in units {
        if value < 1_000.0 {
            break;
        }
        value /= 1_000.0;
        shown = unit;
    }
    if shown == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_a_unit_that_fits() {
        let shown: Vec<String> = [0, 999, 1_000, 1_250_000, 35_000_000_000, u64::MAX].map(bytes).to_vec();
        assert_eq!(shown, ["0 bytes", "999 bytes", "1.0 kB", "1.2 MB", "35.0 GB", "18446.7 PB"]);
    }

    #[test]
    fn what_is_not_known_says_why() {
        let nothing = Size {
            records: 3,
            usage: LogUsage::default(),
            index: None,
            free: Some(5_000),
            forecast: Forecast::default(),
        };
        let lines = as_lines(&nothing);
        assert_eq!(lines[0], "records         3, 0 of them archived");
        assert_eq!(lines[5], "record at rest  unknown: no segment has been archived yet");
        assert_eq!(lines[8], "space for       unknown: no segment has been archived yet");
        assert_eq!(as_json(&nothing)["days_left"], serde_json::Value::Null);
        let grows = Forecast {
            bytes_per_record: Some(80.4),
            index_bytes_per_record: Some(220.0),
            records_per_day: Some(1_000.0),
            bytes_per_day: Some(300_000.0),
            days_left: Some(20.4),
        };
        let lines = as_lines(&Size { forecast: grows, ..nothing });
        assert_eq!(lines[5], "record at rest  80 bytes, tiles included");
        assert_eq!(lines[6], "growth          300.0 kB a day, of 1000 records");
        assert_eq!(lines[8], "space for       20 days at this growth");
    }
}
