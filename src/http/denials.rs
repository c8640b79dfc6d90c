//! `GET /v1/audit/denials`: denials over time, by principle, subject or reason.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use utoipa::{IntoParams, ToSchema};

use super::audit_search::micros;
use super::problem::{BAD_REQUEST, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::audit::searcher::CountDenials;
use crate::domain::{InputFault, suggestion};
use crate::store::search_index::{DenialKey, DenialQuery, DenialSeries};

/// The names that are answered.
const TOP: usize = 20;

/// The most intervals.
const MAX_INTERVALS: i64 = 1_500;

/// The longest time, in microseconds.
const MAX_RANGE: i64 = 31 * 24 * HOUR;

const HOUR: i64 = 3_600 * SECOND;
const SECOND: i64 = 1_000_000;

/// The denials that are counted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DenialsQuery {
    /// The earliest time, RFC 3339; by default an hour before `until`, and at most 31 days before it.
    #[param(format = DateTime)]
    since: Option<String>,
    /// The time before which they were made, RFC 3339; by default now.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The names by which the answer counts; by default those of principles.
    #[param(inline, value_type = Option<DenialName>)]
    by: Option<String>,
    /// The length of an interval in seconds, 60 by default. At most 1,500 intervals are counted.
    #[param(minimum = 1, example = 60)]
    interval_s: Option<u32>,
}

/// The kind of name by which denials are counted.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the parameter `by`")]
enum DenialName {
    Principle,
    Subject,
    Reason,
}

/// Counted denials.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Denials, examples(json!({
    "since": "2026-11-24T09:27:00Z", "until": "2026-11-24T09:30:00Z", "interval_s": 60,
    "series": [{"name": "human-oversight", "total": 5, "counts": [0, 4, 1]}], "others": 0, "complete": true,
    "counted_since": "2026-11-24T09:27:00Z"
})))]
struct DenialsBody {
    #[schema(value_type = String, format = DateTime)]
    since: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    until: Option<String>,
    interval_s: i64,
    /// The 20 names with the most denials, the greatest number first.
    series: Vec<SeriesBody>,
    /// The denials of all other names.
    others: u64,
    /// Whether all of the time was examined. If not, only the newest denials are counted.
    complete: bool,
    /// The time from which on all denials are counted; `since` if all of the time was examined.
    #[schema(value_type = String, format = DateTime)]
    counted_since: Option<String>,
}

/// The denials of one name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DenialsOfName)]
struct SeriesBody {
    /// The principle, subject or reason. A subject is named `Type::"id"`, with the id as it is, without escapes; a
    /// faulty item of a batch has no subject, and the name is empty.
    name: String,
    total: u64,
    /// The number of denials in each interval; the last interval may be shorter. Intervals before `counted_since` are
    /// not counted, or not all of their denials are.
    counts: Vec<u64>,
}

/// Count denials
///
/// Denials over time, of the 20 principles, subjects or reasons with the most of them. `complete` is false if not all of
/// the time could be examined; then the denials from `counted_since` on are counted.
#[utoipa::path(
    get, path = "/v1/audit/denials", operation_id = "countDenials", tag = "audit", params(DenialsQuery),
    responses((status = 200, description = "The counts of each interval.", body = DenialsBody)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn count(state: Data<WorkerState>, query: Query<DenialsQuery>) -> Result<HttpResponse, Problem> {
    let query = read(query.into_inner(), OffsetDateTime::now_utc())?;
    let intervals = intervals(&query);
    let (from, to, interval) = (query.from, query.to, query.interval);
    let counted = state.app.audit.searcher.ask(CountDenials(query)).await?;
    let series = counted.series.into_iter().map(|DenialSeries { name, total, counts }| {
        let mut dense = vec![0; intervals];
        for (interval, count) in counts {
            if let Some(place) = dense.get_mut(interval) {
                *place = count;
            }
        }
        SeriesBody { name, total, counts: dense }
    });
    Ok(HttpResponse::Ok().json(DenialsBody {
        since: text(from),
        until: text(to),
        interval_s: interval / SECOND,
        series: series.collect(),
        others: counted.others,
        complete: counted.is_complete,
        counted_since: text(counted.counted_since),
    }))
}

/// Reads the parameters; the error is every fault they have.
fn read(query: DenialsQuery, now: OffsetDateTime) -> Result<DenialQuery, Problem> {
    let mut faults = Vec::new();
    let mut time = |name: &str, text: Option<String>, default: i64| {
        let Some(text) = text else { return default };
        micros(&text).unwrap_or_else(|| {
            faults.push(InputFault::new(format!("/{name}"), "must be a time like 2026-11-24T09:30:00Z (RFC 3339)"));
            default
        })
    };
    let now = i64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
    let to = time("until", query.until, now);
    let from = time("since", query.since, to.saturating_sub(HOUR));
    let by = query.by.as_deref().unwrap_or("principle");
    let key = match by {
        "principle" => DenialKey::Principle,
        "subject" => DenialKey::Subject,
        "reason" => DenialKey::Reason,
        other => {
            let known = ["principle", "subject", "reason"];
            let detail = format!("must be one of `{}`{}", known.join("`, `"), suggestion(other, known));
            faults.push(InputFault::new("/by", detail));
            DenialKey::Principle
        }
    };
    let interval = i64::from(query.interval_s.unwrap_or(60)) * SECOND;
    let range = to.saturating_sub(from);
    if range <= 0 {
        faults.push(InputFault::new("/since", "must be before `until`"));
    } else if range > MAX_RANGE {
        faults.push(InputFault::new("/since", "must be at most 31 days before `until`"));
    } else if interval == 0 || ceil(range, interval) > MAX_INTERVALS {
        let least = ceil(ceil(range, MAX_INTERVALS), SECOND);
        faults.push(InputFault::new("/interval_s", format!("must be at least `{least}` for this time")));
    }
    if !faults.is_empty() {
        return Err(Problem::faults(&BAD_REQUEST, faults));
    }
    Ok(DenialQuery { key, from, to, interval, top: TOP })
}

/// The number of intervals, the last of which may be shorter.
fn intervals(query: &DenialQuery) -> usize {
    usize::try_from(ceil(query.to.saturating_sub(query.from), query.interval)).unwrap_or_default()
}

/// The quotient of positive numbers, rounded up.
fn ceil(dividend: i64, divisor: i64) -> i64 {
    (dividend - 1) / divisor + 1
}

fn text(micros: i64) -> Option<String> {
    (OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros)).format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * HOUR;

    fn faults(query: &str) -> String {
        let query = Query::<DenialsQuery>::from_query(query).unwrap().into_inner();
        read(query, OffsetDateTime::UNIX_EPOCH + Duration::days(20_000))
            .err()
            .map_or_else(String::new, |p| p.to_string())
    }

    #[test]
    fn a_count_is_bounded_in_time_and_in_intervals() {
        for (query, expected) in [
            ("", ""),
            ("by=subject&interval_s=3", ""),
            ("interval_s=0", "`interval_s` must be at least `3` for this time"),
            ("interval_s=2", "`interval_s` must be at least `3` for this time"),
            ("since=2024-09-01T00:00:00Z&until=2024-10-02T00:00:00Z&interval_s=3600", ""),
            (
                "since=2024-09-01T00:00:00Z&until=2024-10-02T00:00:00Z",
                "`interval_s` must be at least `1786` for this time",
            ),
            ("since=2024-09-01T00:00:00Z&until=2024-10-02T00:00:01Z", "`since` must be at most 31 days before `until`"),
            ("since=2024-09-01T00:00:00Z&until=2024-09-01T00:00:00Z", "`since` must be before `until`"),
            ("since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", "`since` must be at most 31 days before `until`"),
        ] {
            assert_eq!(faults(query), expected, "{query}");
        }
        assert!(faults("by=principles").contains("did you mean `principle`"), "{}", faults("by=principles"));
        assert!(faults("since=now").starts_with("`since` must be a time"));
        let bounds = DenialQuery { key: DenialKey::Reason, from: 0, to: DAY, interval: 7 * HOUR, top: 1 };
        assert_eq!(intervals(&bounds), 4);
    }
}
