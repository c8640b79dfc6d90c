//! `/v1/audit…`: the log as C2SP tlog-tiles has it, single records, and proofs.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::{Data, Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::app_state::AuditState;
use super::problem::{NOT_FOUND, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::audit::checkpoints::Sealed;
use crate::actors::audit::reader::{ProveConsistency, ProveInclusion, ReadError, ReadRecord, ReadTile};
use crate::ledger::TileName;

/// `Cache-Control` of data that never changes: a year, in the client's own cache only.
const IMMUTABLE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, max-age=31536000, immutable");

/// `Cache-Control` of data that changes every second.
const CHANGING: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

/// `GET /v1/audit`: how far the log is written, signed, cosigned and copied into the database.
pub async fn status(state: Data<WorkerState>) -> HttpResponse {
    let AuditState { queue, checkpoints, index_status, .. } = &state.app.audit;
    // Read in this order, since indexed records were durable before.
    let copied = index_status.next();
    let size = queue.durable();
    let covered = |sealed: Option<Arc<Sealed>>| sealed.map(|sealed| sealed.checkpoint.size);
    let newest = checkpoints.newest();
    HttpResponse::Ok().insert_header(CHANGING).json(json!({
        "origin": newest.as_ref().map(|sealed| &sealed.checkpoint.origin),
        "size": size,
        "signed": {"size": covered(newest.clone()), "fault": checkpoints.fault()},
        "cosigned": {"size": covered(checkpoints.witnessed())},
        "database": {"size": copied, "lag": copied.map(|copied| size.saturating_sub(copied)), "fault": index_status.fault()},
    }))
}

/// `GET /v1/audit/log/checkpoint`: the newest checkpoint, with the cosignatures that came so far.
pub async fn checkpoint(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    show(state.app.audit.checkpoints.newest(), "no checkpoint was signed yet")
}

/// `GET /v1/audit/log/checkpoint/witnessed`: the newest checkpoint that a witness cosigned.
pub async fn witnessed(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    show(state.app.audit.checkpoints.witnessed(), "no witness has cosigned a checkpoint")
}

fn show(sealed: Option<Arc<Sealed>>, none: &str) -> Result<HttpResponse, Problem> {
    let sealed = sealed.ok_or_else(|| Problem::new(&NOT_FOUND, none))?;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header(ContentType::plaintext()).insert_header(CHANGING).body(sealed.note.to_string()))
}

/// `GET /v1/audit/log/tile/<L>/<N>[.p/<W>]` and `…/tile/entries/<N>[.p/<W>]`
pub async fn tile(state: Data<WorkerState>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let name: TileName = name.parse().map_err(|_| Problem::new(&NOT_FOUND, format!("`{name}` is no tile")))?;
    let tile = state.app.audit.reader.ask(ReadTile(name)).await?;
    Ok(HttpResponse::Ok().insert_header(ContentType::octet_stream()).insert_header(IMMUTABLE).body(tile))
}

/// `GET /v1/audit/entries/{index}`: the record, exactly as its leaf hash covers it.
pub async fn entry(state: Data<WorkerState>, index: Path<u64>) -> Result<HttpResponse, Problem> {
    recorded(&state, *index)?;
    let record = state.app.audit.reader.ask(ReadRecord(*index)).await?;
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).insert_header(IMMUTABLE).body(record))
}

/// `GET /v1/audit/entries/{index}/proof`: the proof that the record is in the log (C2SP tlog-proof).
pub async fn proof(state: Data<WorkerState>, index: Path<u64>) -> Result<HttpResponse, Problem> {
    recorded(&state, *index)?;
    cover(&state, index.saturating_add(1)).await?;
    let proof = state.app.audit.reader.ask(ProveInclusion(*index)).await?;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header(ContentType::plaintext()).insert_header(CHANGING).body(proof.to_string()))
}

/// Between which sizes consistency is to be proven.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    from: u64,
    to: Option<u64>,
}

/// `GET /v1/audit/consistency?from=&to=`: the proof that the log of `to` records continues that of `from`. By default
/// `to` is the size of the newest checkpoint.
pub async fn consistency(state: Data<WorkerState>, query: Query<ConsistencyQuery>) -> Result<HttpResponse, Problem> {
    let ConsistencyQuery { from, to } = query.into_inner();
    let size = from.max(to.unwrap_or_default());
    if let Some(last) = size.checked_sub(1) {
        recorded(&state, last)?;
    }
    cover(&state, size).await?;
    let proven = state.app.audit.reader.ask(ProveConsistency { from, to }).await?;
    let hashes: Vec<_> = proven.proof.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
    Ok(HttpResponse::Ok().json(json!({"from": proven.from, "to": proven.to, "proof": hashes})))
}

/// Fails for a record that is not durable, even if it can be read already.
fn recorded(state: &WorkerState, index: u64) -> Result<(), Problem> {
    if index < state.app.audit.queue.durable() { Ok(()) } else { Err(ReadError::NoRecord(index).into()) }
}

/// Waits for a checkpoint that covers `size` durable records.
async fn cover(state: &WorkerState, size: u64) -> Result<(), Problem> {
    let covered = tokio::time::timeout(state.deadline(), state.app.audit.checkpoints.covering(size)).await;
    match covered {
        Ok(Some(_)) => Ok(()),
        Ok(None) | Err(_) => Err(ReadError::NotCovered(size).into()),
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoTile(_) | ReadError::NoRecord(_) => Self::new(&NOT_FOUND, error.to_string()),
            ReadError::Backwards { .. } => Self::fault("/to", error.to_string()),
            ReadError::NotCovered(_) | ReadError::Late => Self::new(&UNAVAILABLE, error.to_string()),
            ReadError::Ledger(_) => Self::logged(&UNAVAILABLE, "the audit log cannot be read", &error),
        }
    }
}
