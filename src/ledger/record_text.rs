//! The common beginning of all records, and helpers to write their text.

use data_encoding::HEXLOWER;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{BenchRun, write_json};

/// The version of a record that is one entry.
const WHOLE: &str = "1";
/// The version of a part or a head.
const CONTINUED: &str = "2";

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

fn begin_version(text: &mut Vec<u8>, version: &str, id: Uuid, at: OffsetDateTime, kind: &str, caller: &str) {
    let mut id_text = Uuid::encode_buffer();
    let id = &*id.hyphenated().encode_lower(&mut id_text);
    append(text, &["{\"v\":", version, ",\"id\":\"", id, "\",\"ts\":\""]);
    timestamp(at, text);
    append(text, &["\",\"kind\":\"", kind, "\",\"caller\":"]);
    write_json(text, caller);
}

/// Writes the members `request_id`, unless it is empty, and `bench`, for decisions of a run of `acgs bench`.
pub(super) fn write_origin(text: &mut Vec<u8>, request_id: &str, bench: Option<BenchRun<'_>>) {
    if !request_id.is_empty() {
        text.extend_from_slice(b",\"request_id\":");
        write_json(text, request_id);
    }
    if let Some(run) = bench {
        append(text, &[",\"bench\":\"", run.as_str(), "\""]);
    }
}

/// Appends texts; several times quicker than formatting them.
pub(super) fn append(text: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

/// RFC 3339 in UTC with microseconds; years from 0 to 9999.
pub(super) fn timestamp(at: OffsetDateTime, text: &mut Vec<u8>) {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micros) = at.to_hms_micro();
    let year = u32::try_from(year).unwrap_or_default();
    let fields = [
        (year, 4, b'-'),
        (u8::from(month).into(), 2, b'-'),
        (day.into(), 2, b'T'),
        (hour.into(), 2, b':'),
        (minute.into(), 2, b':'),
        (second.into(), 2, b'.'),
        (micros, 6, b'Z'),
    ];
    for (number, digits, end) in fields {
        let digit = |power| u8::try_from(number / 10_u32.pow(power) % 10).map_or(b'0', |digit| b'0' + digit);
        text.extend((0..digits).rev().map(digit));
        text.push(end);
    }
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
