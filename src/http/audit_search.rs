//! `GET /v1/audit/entries?…`: searches the audit log.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::front::Front;
use super::page::Limit;
use super::problem::{BAD_REQUEST, Problem};
use crate::actors::searcher::SearchEntries;
use crate::domain::InputFault;
use crate::store::audit::{EntryCursor, Search, SoughtEntity};

/// What is sought: entries that have all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// The earliest time, RFC 3339.
    from: Option<String>,
    /// The time before which they were made, RFC 3339.
    to: Option<String>,
    /// The id of who wanted to act, and its type.
    subject: Option<String>,
    subject_type: Option<String>,
    action: Option<String>,
    /// The id of what it wanted to act on, and its type.
    resource: Option<String>,
    resource_type: Option<String>,
    decision: Option<bool>,
    reason: Option<String>,
    principle: Option<String>,
    kind: Option<String>,
    caller: Option<String>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// Answers the newest entries first. A page may have fewer than `limit`, or none, and yet a `next_cursor`: then the
/// search has not come to the end in the time it has.
pub async fn search(front: Data<Front>, query: Query<SearchQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = query.limit.get();
    let after = query.cursor.as_ref().map(|cursor| cursor.parse::<EntryCursor>()).transpose()?;
    let ask = SearchEntries { search: read(query)?, after, limit };
    let page = front.shared.searcher.ask(ask).await?;
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
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(text))
}

/// Reads the parameters; the error is every fault they have.
fn read(query: SearchQuery) -> Result<Search, Problem> {
    let mut faults = Vec::new();
    let mut time = |name: &str, text: Option<String>| {
        let text = text?;
        let read = OffsetDateTime::parse(&text, &Rfc3339).ok();
        let micros = read.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1000).ok());
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
    if !faults.is_empty() {
        return Err(Problem::faults(&BAD_REQUEST, faults));
    }
    Ok(Search {
        from,
        to,
        subject,
        action: query.action.map(Into::into),
        resource,
        decision: query.decision,
        reason: query.reason.map(Into::into),
        principle: query.principle.map(Into::into),
        kind: query.kind.map(Into::into),
        caller: query.caller.map(Into::into),
    })
}
