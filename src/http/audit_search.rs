//! `GET /v1/audit/entries?…`: searches the audit log.

use std::fmt::Write as _;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::audit::AuditRecord;
use super::pagination::{Limit, Page};
use super::problem::{BAD_REQUEST, NOT_FOUND, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::audit::reader::{FindRecord, FoundRecord};
use crate::actors::audit::searcher::{FindEntry, SearchEntries};
use crate::domain::{InputFault, suggestion};
use crate::ledger::{EventKind, RecordView};
use crate::store::search_index::{EntryCursor, EntryPage, FoundEntry, Search, SoughtEntity};

/// The conditions of a search; an entry must meet all of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// The earliest time, RFC 3339.
    #[param(format = DateTime)]
    from: Option<String>,
    /// The time before which they were made, RFC 3339.
    #[param(format = DateTime)]
    to: Option<String>,
    /// The subject's id.
    subject: Option<String>,
    /// The subject's type; goes with `subject`.
    subject_type: Option<String>,
    /// The action's name.
    action: Option<String>,
    /// The resource's id.
    resource: Option<String>,
    /// The resource's type; goes with `resource`.
    resource_type: Option<String>,
    /// Only permits, or only denies.
    #[param(value_type = Option<bool>)]
    decision: Option<String>,
    /// The reason of the decision.
    reason: Option<String>,
    /// A violated principle.
    principle: Option<String>,
    /// The kind of the record.
    #[param(inline, value_type = Option<EntryKind>)]
    kind: Option<String>,
    /// The caller's name.
    caller: Option<String>,
    /// The id of the request that caused the entry.
    request_id: Option<String>,
    /// The id of the entry; excludes all other parameters.
    #[param(format = "uuid")]
    id: Option<String>,
    /// The most items of the page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 1000, default = 100, required = false)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The kind of a record.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the parameter `kind`")]
enum EntryKind {
    Decision,
    Part,
    Shared,
    Start,
    Stop,
    Settings,
    Constitution,
    Entity,
    Log,
    Cache,
    Auth,
    Database,
    Clock,
    Entities,
    Alert,
    Compliance,
    Bench,
}

/// An entry of an audit log.
#[derive(ToSchema)]
#[schema(examples(json!({"origin": "acgs.local/host", "index": 0, "record": {
    "v": 1, "kind": "start", "id": "01a20968-1d2e-7f3a-8b4c-5d6e7f8a9b0c", "ts": "2026-11-24T09:30:00.123456Z",
    "caller": "acgs"
}})))]
#[expect(dead_code, reason = "describes what is written as text")]
struct Entry {
    /// The log's name.
    origin: String,
    /// The index in that log.
    index: u64,
    /// Null if the log is another node's and the record is not in the search index.
    #[schema(required)]
    record: Option<AuditRecord>,
}

/// The record of a decision with its place in the log.
#[derive(ToSchema)]
#[schema(examples(json!({"origin": "acgs.local/host", "index": 23, "proof": "/v1/audit/entries/23/proof", "record": {
    "v": 1, "kind": "decision", "id": "01a20968-28e9-7570-9ff2-740f540c5b2d", "ts": "2026-11-24T09:30:00.123456Z",
    "caller": "anonymous"
}})))]
#[expect(dead_code, reason = "describes what is written as text")]
struct RecordedDecision {
    /// The log's name.
    origin: String,
    /// The index in that log.
    index: u64,
    /// The path of its inclusion proof; null if another node has the log.
    #[schema(required)]
    proof: Option<String>,
    record: AuditRecord,
}

/// Search the audit log
///
/// Answers the newest entries first. A page may have fewer than `limit`, or none, and yet a `next_cursor`: then the
/// search has not come to the end in the time it has, or the records have more than 4 MiB.
#[utoipa::path(
    get, path = "/v1/audit/entries", operation_id = "searchEntries", tag = "audit", params(SearchQuery),
    responses((status = 200, description = "A page of entries, the newest first.", body = Page<Entry>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn search(
    request: HttpRequest,
    state: Data<WorkerState>,
    query: Query<SearchQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    if let Some(id) = &query.id {
        let is_alone =
            request.query_string().split('&').all(|pair| pair.starts_with("id=") || pair.starts_with("limit="));
        let id = Uuid::parse_str(id).ok().filter(|_| is_alone);
        let id =
            id.ok_or_else(|| Problem::fault("/id", "must be the id of an entry (a UUID), without other parameters"))?;
        let found = find(&state, id).await?;
        return Ok(page(&EntryPage { items: found.into_iter().collect(), next: None }));
    }
    let limit = query.limit.get();
    let after = query.cursor.as_ref().map(|cursor| cursor.parse::<EntryCursor>()).transpose()?;
    let ask = SearchEntries { search: read(query)?, after, limit };
    Ok(page(&state.app.audit.searcher.ask(ask).await?))
}

/// Finds an entry by its id: in this log, however new it is, or in another log whose search index is in the same
/// database.
pub async fn find(state: &WorkerState, id: Uuid) -> Result<Option<FoundEntry>, Problem> {
    let size = state.app.audit.queue.durable();
    if let Some(FoundRecord { index, record }) = state.app.audit.reader.ask(FindRecord { id, size }).await? {
        let (origin, record) = (state.app.audit.index_status.origin().into(), String::from_utf8(record).ok());
        return Ok(Some(FoundEntry { origin, index, record }));
    }
    Ok(state.app.audit.searcher.ask(FindEntry(id)).await?)
}

/// The record of a decision
#[utoipa::path(
    get, path = "/v1/decisions/{id}", operation_id = "showDecision", tag = "audit",
    params(("id" = String, Path, description = "The `id` in the answer of the decision.",
            example = "01a20968-28e9-7570-9ff2-740f540c5b2d")),
    responses((status = 200, description = "The record, with its place in the log.", body = RecordedDecision)),
    extensions(("x-problems" = json!([NOT_FOUND.slug, UNAVAILABLE.slug]))),
)]
pub async fn decision(state: Data<WorkerState>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let nothing = || Problem::new(&NOT_FOUND, format!("there is no decision `{id}`"));
    let uuid = Uuid::parse_str(&id).map_err(|_| nothing())?;
    let found = find(&state, uuid).await?.ok_or_else(nothing)?;
    let record = found.record.as_deref().unwrap_or("null");
    let is_decision = RecordView::parse(record.as_bytes()).is_ok_and(|view| view.is_decision());
    if !is_decision {
        return Err(nothing());
    }
    let (origin, index) = (json!(found.origin), found.index);
    let own = *found.origin == *state.app.audit.index_status.origin();
    let proof = json!(own.then(|| format!("/v1/audit/entries/{index}/proof")));
    let text = format!("{{\"origin\":{origin},\"index\":{index},\"proof\":{proof},\"record\":{record}}}");
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(text))
}

fn page(page: &EntryPage) -> HttpResponse {
    let mut text = String::from("{\"items\":[");
    for (nth, found) in page.items.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        // Records are JSON, and shown as they are in the log.
        let (origin, index) = (json!(found.origin), found.index);
        let record = found.record.as_deref().unwrap_or("null");
        let _ = write!(text, "{comma}{{\"origin\":{origin},\"index\":{index},\"record\":{record}}}");
    }
    let next = json!(page.next.map(|cursor| cursor.to_string()));
    let _ = write!(text, "],\"next_cursor\":{next}}}");
    HttpResponse::Ok().insert_header(ContentType::json()).body(text)
}

/// A time in RFC 3339, in microseconds since 1970. Entries have whole microseconds, so it is rounded up to the next one.
pub(super) fn micros(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from((time.unix_timestamp_nanos() + 999).div_euclid(1000)).ok()
}

/// The kinds of records, by their names.
fn kinds() -> impl Iterator<Item = &'static str> {
    ["decision", "part", "shared"].into_iter().chain(EventKind::ALL.map(EventKind::as_str))
}

/// Reads the parameters; the error is every fault they have.
fn read(query: SearchQuery) -> Result<Search, Problem> {
    let mut faults = Vec::new();
    let mut time = |name: &str, text: Option<String>| {
        let text = text?;
        let micros = micros(&text);
        if micros.is_none() {
            faults.push(InputFault::new(format!("/{name}"), "must be a time like 2026-11-24T09:30:00Z (RFC 3339)"));
        }
        micros
    };
    let (from, to) = (time("from", query.from), time("to", query.to));
    let mut entity = |name: &str, id: Option<String>, kind: Option<String>| match (id, kind) {
        (Some(id), kind) => Some(SoughtEntity { kind: kind.map(Into::into), id: id.into() }),
        (None, None) => None,
        (None, Some(_)) => {
            faults.push(InputFault::new(format!("/{name}_type"), format!("goes with `{name}`, the id")));
            None
        }
    };
    let subject = entity("subject", query.subject, query.subject_type);
    let resource = entity("resource", query.resource, query.resource_type);
    let decision = query.decision.and_then(|text| {
        let read = text.parse::<bool>().ok();
        if read.is_none() {
            faults.push(InputFault::new("/decision", "must be `true` or `false`"));
        }
        read
    });
    if let Some(kind) = &query.kind {
        let kinds: Vec<&str> = kinds().collect();
        if !kinds.contains(&kind.as_str()) {
            let detail = format!("must be one of `{}`{}", kinds.join("`, `"), suggestion(kind, kinds.iter().copied()));
            faults.push(InputFault::new("/kind", detail));
        }
    }
    if !faults.is_empty() {
        return Err(Problem::faults(&BAD_REQUEST, faults));
    }
    Ok(Search {
        from,
        to,
        subject,
        action: query.action.map(Into::into),
        resource,
        decision,
        reason: query.reason.map(Into::into),
        principle: query.principle.map(Into::into),
        kind: query.kind.map(Into::into),
        caller: query.caller.map(Into::into),
        request_id: query.request_id.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn the_described_kinds_are_those_that_can_be_searched() {
        let schema = serde_json::to_value(EntryKind::schema()).unwrap();
        assert_eq!(schema["enum"], json!(kinds().collect::<Vec<_>>()));
    }

    #[test]
    fn a_time_between_two_microseconds_is_that_of_the_later_one() {
        for (time, micros) in [
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1970-01-01T00:00:00.000001001Z", 2),
            ("1970-01-01T05:30:00.000001999%2B05:30", 2),
            ("1969-12-31T23:59:59.9999985Z", -1),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_800_000_000),
        ] {
            let query = Query::<SearchQuery>::from_query(&format!("from={time}&to={time}")).unwrap();
            let search = read(query.into_inner()).unwrap();
            assert_eq!((search.from, search.to), (Some(micros), Some(micros)), "{time}");
        }
    }
}
