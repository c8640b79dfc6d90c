//! How large the audit log and its search index are, and for how long the disk has space for them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::actors::audit::index_status::IndexStatus;
use crate::ledger::{
    DiskStorage, Forecast, IndexUsage, LedgerError, LogUsage, checkpoint_at, forecast, free_bytes, records_per_day,
    usage,
};

/// How long a measurement is answered again: it reads the metadata of every file.
const LIFETIME: Duration = Duration::from_mins(1);

/// The size of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogSize {
    /// The files of the log.
    pub usage: LogUsage,
    /// The search index; `None` before it was measured.
    pub index: Option<IndexUsage>,
    /// The bytes that the log grows by in a day, and the days until the disk is full.
    pub forecast: Forecast,
}

/// The last measurement; shared by the threads that ask for it.
#[derive(Debug, Default)]
pub(super) struct KeptSize(Mutex<Option<(Instant, LogSize)>>);

impl KeptSize {
    /// The measurement at a moment, of a log of so many records. The time of the newest checkpoint is never an older
    /// one.
    pub(super) fn at(
        &self,
        storage: &DiskStorage,
        index: &IndexStatus,
        records: u64,
        now: Instant,
    ) -> Result<LogSize, LedgerError> {
        // Locked while the files are measured, so that they are not measured twice at a time.
        let mut kept = self.0.lock();
        match *kept {
            Some((at, size)) if now.duration_since(at) < LIFETIME => {
                Ok(LogSize { usage: LogUsage { checkpoint_at: checkpoint_at(storage), ..size.usage }, ..size })
            }
            _ => {
                let size = measure(storage, index, records)?;
                *kept = Some((now, size));
                Ok(size)
            }
        }
    }
}

fn measure(storage: &DiskStorage, index: &IndexStatus, records: u64) -> Result<LogSize, LedgerError> {
    let usage = usage(storage)?;
    let index = index.size();
    let per_day = records_per_day(storage, records, OffsetDateTime::now_utc())?;
    Ok(LogSize { usage, index, forecast: forecast(&usage, index, per_day, free_bytes(storage)) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_size_of_the_log_is_measured_once_a_minute_and_the_checkpoint_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, kept, start) = (DiskStorage::at(folder.path()), KeptSize::default(), Instant::now());
        let index = IndexStatus::new("acgs.example/log".to_owned());
        let measured = |second| {
            let size = kept.at(&storage, &index, 0, start + Duration::from_secs(second)).unwrap();
            assert!(size.index.is_none());
            (size.usage.bytes, size.usage.checkpoint_at.is_some())
        };
        assert_eq!(measured(0), (0, false));
        fs::write(folder.path().join("checkpoint"), [0; 100]).unwrap();
        assert_eq!(measured(59), (0, true));
        assert_eq!(measured(60), (100, true));
    }
}
