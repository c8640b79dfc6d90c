//! Positions in the log on the command line: an index, a record's id, or a time.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description};
use uuid::Uuid;

use crate::ledger::{self, DiskStorage, LedgerError, Thoroughness};

/// A record, by its index or its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordName {
    /// Its index.
    Index(u64),
    /// Its id.
    Id(Uuid),
}

impl RecordName {
    /// The record's index; `None` if the log has no record with that id.
    pub fn find(&self, storage: &DiskStorage) -> Result<Option<u64>, LedgerError> {
        match self {
            Self::Index(index) => Ok(Some(*index)),
            Self::Id(id) => ledger::find_id(storage, id, ledger::size(storage)?, Thoroughness::Everywhere),
        }
    }
}

impl std::fmt::Display for RecordName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Id(id) => id.hyphenated().fmt(f),
        }
    }
}

impl FromStr for RecordName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())).map(Self::Index);
        let id = || Uuid::parse_str(text).ok().filter(|_| text.len() == 36).map(Self::Id);
        index.or_else(id).ok_or("it is neither an index nor an id like 0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
    }
}

/// A position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At this record.
    Record(RecordName),
    /// At the first record made at that time or later.
    Time(OffsetDateTime),
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let date = || {
            let form = format_description::parse_borrowed::<2>("[year]-[month]-[day]").ok()?;
            Date::parse(text, &form).ok().map(|date| date.midnight().assume_utc())
        };
        let time = || OffsetDateTime::parse(text, &Rfc3339).ok().or_else(date).map(Self::Time);
        let record = text.parse().ok().map(Self::Record);
        record
            .or_else(time)
            .ok_or("it is no index, no record's id, and no time like 2026-11-24T09:30:00Z or 2026-11-24")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_an_id_and_a_time_are_told_apart() {
        let id = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!("24".parse(), Ok(Position::Record(RecordName::Index(24))));
        assert_eq!(id.parse(), Ok(Position::Record(RecordName::Id(id.parse().unwrap()))));
        let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
        assert_eq!("2026-11-24".parse(), Ok(Position::Time(time("2026-11-24T00:00:00Z"))));
        let east = "2026-11-24T09:30:00+02:00";
        assert_eq!(east.parse(), Ok(Position::Time(time("2026-11-24T07:30:00Z"))));
        for wrong in [
            "",
            "-1",
            "+1",
            "1.5",
            "yesterday",
            "2026-13-01",
            "18446744073709551616",
            "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        ] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
