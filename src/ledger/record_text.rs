//! The common beginning of all records, and helpers to write their text.

use std::io::Write as _;

use data_encoding::HEXLOWER;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::write_json;

/// The version of a record that is one entry.
const WHOLE: u8 = 1;
/// The version of a part or a head.
const CONTINUED: u8 = 2;

/// An id for something that happens now: a `UUIDv7`, which is the time in milliseconds and random bits.
#[must_use]
pub fn new_id(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

/// Writes the members `v`, `id`, `ts`, `kind` and `caller`, and leaves the object open.
pub(super) fn begin(text: &mut Vec<u8>, id: Uuid, at: OffsetDateTime, kind: &str, caller: &str) {
    begin_version(text, WHOLE, id, at, kind, caller);
}

/// Begins a part or a head.
pub(super) fn begin_continued(text: &mut Vec<u8>, id: Uuid, at: OffsetDateTime, kind: &str, caller: &str) {
    begin_version(text, CONTINUED, id, at, kind, caller);
}

fn begin_version(text: &mut Vec<u8>, version: u8, id: Uuid, at: OffsetDateTime, kind: &str, caller: &str) {
    let _ = write!(text, "{{\"v\":{version},\"id\":\"{}\",\"ts\":\"", id.hyphenated());
    timestamp(at, text);
    let _ = write!(text, "\",\"kind\":\"{kind}\",\"caller\":");
    write_json(text, caller);
}

/// RFC 3339 in UTC with microseconds.
pub(super) fn timestamp(at: OffsetDateTime, text: &mut Vec<u8>) {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micros) = at.to_hms_micro();
    let month = u8::from(month);
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
