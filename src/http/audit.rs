//! `/v1/audit…`: the log as C2SP tlog-tiles has it, single records, and proofs.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::{Data, Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::app_state::AuditState;
use super::problem::{BAD_REQUEST, NOT_FOUND, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::audit::checkpoints::Sealed;
use crate::actors::audit::reader::{ProveConsistency, ProveInclusion, ReadError, ReadRecord, ReadTile};
use crate::ledger::TileName;

/// `Cache-Control` of data that never changes: a year, in the client's own cache only.
const IMMUTABLE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, max-age=31536000, immutable");

/// `Cache-Control` of data that changes every second.
const CHANGING: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

/// How far the audit log is written, signed, cosigned and indexed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "origin": "acgs.local/host", "size": 26, "signed": {"size": 26, "fault": null}, "cosigned": {"size": null},
    "database": {"size": 26, "lag": 0, "fault": null}
})))]
struct AuditStatus<'a> {
    /// The log's name; null before the first checkpoint.
    #[schema(required)]
    origin: Option<&'a str>,
    /// The number of durable records.
    size: u64,
    signed: Signed,
    cosigned: Cosigned,
    database: Indexed,
}

/// The newest checkpoint.
#[derive(Debug, Serialize, ToSchema)]
struct Signed {
    /// The records that it covers.
    #[schema(required)]
    size: Option<u64>,
    #[schema(required)]
    fault: Option<String>,
}

/// The newest checkpoint that a witness cosigned.
#[derive(Debug, Serialize, ToSchema)]
struct Cosigned {
    /// The records that it covers.
    #[schema(required)]
    size: Option<u64>,
}

/// The search index.
#[derive(Debug, Serialize, ToSchema)]
struct Indexed {
    /// The records in it.
    #[schema(required)]
    size: Option<u64>,
    /// The records that are not in it yet.
    #[schema(required)]
    lag: Option<u64>,
    #[schema(required)]
    fault: Option<String>,
}

/// Show the state of the audit log
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "showAuditStatus", tag = "audit",
    responses((status = 200, description = "The state of the log.", body = AuditStatus<'static>)),
)]
pub async fn status(state: Data<WorkerState>) -> HttpResponse {
    let AuditState { queue, checkpoints, index_status, .. } = &state.app.audit;
    // Read in this order, since indexed records were durable before.
    let copied = index_status.next();
    let size = queue.durable();
    let covered = |sealed: Option<Arc<Sealed>>| sealed.map(|sealed| sealed.checkpoint.size);
    let newest = checkpoints.newest();
    let lag = copied.map(|copied| size.saturating_sub(copied));
    HttpResponse::Ok().insert_header(CHANGING).json(AuditStatus {
        origin: newest.as_ref().map(|sealed| &*sealed.checkpoint.origin),
        size,
        signed: Signed { size: covered(newest.clone()), fault: checkpoints.fault() },
        cosigned: Cosigned { size: covered(checkpoints.witnessed()) },
        database: Indexed { size: copied, lag, fault: index_status.fault() },
    })
}

/// The newest checkpoint
///
/// A signed note (C2SP tlog-checkpoint), with the cosignatures that came so far.
#[utoipa::path(
    get, path = "/v1/audit/log/checkpoint", operation_id = "showCheckpoint", tag = "audit",
    responses((status = 200, description = "The note.", body = String, content_type = "text/plain",
               example = "acgs.local/host\n26\ndQVA3vji5rK4WJ/5cllyEMR+XtT8ASLIU0idKyLJcGM=\n\n— acgs.local/host …\n")),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn checkpoint(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    show(state.app.audit.checkpoints.newest(), "no checkpoint was signed yet")
}

/// The newest checkpoint that a witness cosigned
#[utoipa::path(
    get, path = "/v1/audit/log/checkpoint/witnessed", operation_id = "showWitnessedCheckpoint", tag = "audit",
    responses((status = 200, description = "The note.", body = String, content_type = "text/plain")),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn witnessed(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    show(state.app.audit.checkpoints.witnessed(), "no witness has cosigned a checkpoint")
}

fn show(sealed: Option<Arc<Sealed>>, none: &str) -> Result<HttpResponse, Problem> {
    let sealed = sealed.ok_or_else(|| Problem::new(&NOT_FOUND, none))?;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header(ContentType::plaintext()).insert_header(CHANGING).body(sealed.note.to_string()))
}

/// A tile of the log
///
/// In the form of C2SP tlog-tiles: hashes at `<L>/<N>[.p/<W>]`, records at `entries/<N>[.p/<W>]`.
#[utoipa::path(
    get, path = "/v1/audit/log/tile/{name}", operation_id = "showTile", tag = "audit",
    params(("name" = String, Path, description = "The tile's name, slashes included.", example = "0/000.p/1")),
    responses((status = 200, description = "The tile.", body = [u8], content_type = "application/octet-stream")),
    extensions(("x-problems" = json!([NOT_FOUND.slug, UNAVAILABLE.slug]))),
)]
pub async fn tile(state: Data<WorkerState>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let name: TileName = name.parse().map_err(|_| Problem::new(&NOT_FOUND, format!("`{name}` is no tile")))?;
    let tile = state.app.audit.reader.ask(ReadTile(name)).await?;
    Ok(HttpResponse::Ok().insert_header(ContentType::octet_stream()).insert_header(IMMUTABLE).body(tile))
}

/// A record of the log
///
/// Exactly as its leaf hash covers it.
#[utoipa::path(
    get, path = "/v1/audit/entries/{index}", operation_id = "showEntry", tag = "audit",
    params(("index" = u64, Path, description = "The index of the record.", maximum = 18_446_744_073_709_551_615_u64,
            example = 0)),
    responses((status = 200, description = "The record.", body = AuditRecord)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, NOT_FOUND.slug, UNAVAILABLE.slug]))),
)]
pub async fn entry(state: Data<WorkerState>, index: Path<u64>) -> Result<HttpResponse, Problem> {
    recorded(&state, *index)?;
    let record = state.app.audit.reader.ask(ReadRecord(*index)).await?;
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).insert_header(IMMUTABLE).body(record))
}

/// The inclusion proof of a record
///
/// In the form of C2SP tlog-proof. Waits for a checkpoint that covers the record.
#[utoipa::path(
    get, path = "/v1/audit/entries/{index}/proof", operation_id = "proveEntry", tag = "audit",
    params(("index" = u64, Path, description = "The index of the record.", maximum = 18_446_744_073_709_551_615_u64,
            example = 0)),
    responses((status = 200, description = "The proof.", body = String, content_type = "text/plain")),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, NOT_FOUND.slug, UNAVAILABLE.slug]))),
)]
pub async fn proof(state: Data<WorkerState>, index: Path<u64>) -> Result<HttpResponse, Problem> {
    recorded(&state, *index)?;
    cover(&state, index.saturating_add(1)).await?;
    let proof = state.app.audit.reader.ask(ProveInclusion(*index)).await?;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header(ContentType::plaintext()).insert_header(CHANGING).body(proof.to_string()))
}

/// Between which sizes consistency is to be proven.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConsistencyQuery {
    /// The size of the earlier log, in records.
    #[param(maximum = 18_446_744_073_709_551_615_u64, example = 1)]
    from: u64,
    /// The size of the later log; that of the newest checkpoint by default.
    #[param(value_type = u64, required = false, maximum = 18_446_744_073_709_551_615_u64)]
    to: Option<u64>,
}

/// A consistency proof (RFC 6962, section 2.1.2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsistencyProof, examples(json!({
    "from": 1, "to": 2, "proof": ["dQVA3vji5rK4WJ/5cllyEMR+XtT8ASLIU0idKyLJcGM="]
})))]
struct ProvenConsistency {
    from: u64,
    to: u64,
    /// The hashes, in base64.
    proof: Vec<String>,
}

/// Any record of the log: a decision, or an event of the kind that `kind` names, with further members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "v": 1, "kind": "start", "id": "01a20968-1d2e-7f3a-8b4c-5d6e7f8a9b0c", "ts": "2026-11-24T09:30:00.123456Z",
    "caller": "acgs"
})))]
pub struct AuditRecord {
    /// `decision`, `part`, `shared`, or the kind of an event.
    kind: String,
    /// The version of the format.
    v: u32,
    #[schema(format = "uuid")]
    id: Option<String>,
    #[schema(format = DateTime)]
    ts: Option<String>,
    /// The caller's name, or `anonymous`.
    caller: Option<String>,
}

/// Prove that the log was only extended
///
/// The proof that the log of `to` records continues that of `from`.
#[utoipa::path(
    get, path = "/v1/audit/consistency", operation_id = "proveConsistency", tag = "audit", params(ConsistencyQuery),
    responses((status = 200, description = "The proof.", body = ProvenConsistency)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, NOT_FOUND.slug, UNAVAILABLE.slug]))),
)]
pub async fn consistency(state: Data<WorkerState>, query: Query<ConsistencyQuery>) -> Result<HttpResponse, Problem> {
    let ConsistencyQuery { from, to } = query.into_inner();
    let size = from.max(to.unwrap_or_default());
    if let Some(last) = size.checked_sub(1) {
        recorded(&state, last)?;
    }
    cover(&state, size).await?;
    let proven = state.app.audit.reader.ask(ProveConsistency { from, to }).await?;
    let proof = proven.proof.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
    Ok(HttpResponse::Ok().json(ProvenConsistency { from: proven.from, to: proven.to, proof }))
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
