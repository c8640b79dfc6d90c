//! `/v1/status`: the checks of the daemon, the constitution in force, and the state of the audit log.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::checks::{Check, CheckState, checks};
use super::worker_state::WorkerState;
use crate::actors::audit::log_size::LogSize;
use crate::actors::audit::reader::MeasureLog;
use crate::domain::{ConstitutionDigest, ConstitutionalHash};

/// The state of the daemon.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status, examples(json!({
    "state": "ready",
    "checks": [{"name": "audit", "state": "ok", "fault": null}, {"name": "database", "state": "ok", "fault": null}],
    "node": "acgs.example", "version": "0.1.0", "started_at": "2026-11-24T09:00:00.123456789Z",
    "constitution": {
        "name": "genesis", "version": "1.0.0", "hash": "cdd01ef066bc6cf2",
        "digest": "6a3f0c1e5b7d9824af06e1d2c3b4a5968778695a4b3c2d1e0f1e2d3c4b5a6978",
        "in_force_since": "2026-11-24T09:00:00.123456789Z"
    },
    "audit": {
        "records": 812, "queued": 0, "bytes": 402_112,
        "disk": {
            "segments": 134_217_728, "archives": 48_210_022, "tiles": 28_311_552, "index": 190_330_880,
            "archived": 802_816, "bytes_per_record": 92.2, "index_bytes_per_record": 227.1,
            "records_per_day": 86_400.0, "bytes_per_day": 27_587_520.0, "days_left": 3_624.8
        },
        "checkpoint": {"size": 812, "at": "2026-11-24T09:30:00.123456789Z"}, "cosigned": null, "witnesses": 0,
        "index_lag": 0
    },
    "dashboard": {"login": "required"}
})))]
struct StatusBody<'a> {
    state: Overall,
    checks: Vec<CheckBody<'a>>,
    /// The daemon's name among others: the origin of its log.
    node: &'a str,
    version: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Option<String>,
    constitution: ConstitutionBody<'a>,
    audit: AuditBody,
    dashboard: DashboardBody,
}

/// Whether decisions can be made, and whether all parts work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StatusState)]
enum Overall {
    Ready,
    /// Decisions can be made, but a part does not work.
    Degraded,
    /// No decision can be made.
    Down,
}

/// A part of the daemon.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusCheck)]
struct CheckBody<'a> {
    name: &'a str,
    state: CheckState,
    /// Its fault, if it has one.
    #[schema(required)]
    fault: Option<&'a str>,
}

/// The constitution in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusConstitution)]
struct ConstitutionBody<'a> {
    name: &'a str,
    version: &'a str,
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    hash: ConstitutionalHash,
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: ConstitutionDigest,
    #[schema(value_type = String, format = DateTime)]
    in_force_since: Option<String>,
}

/// The audit log. A member that could not be read in time is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusAudit)]
struct AuditBody {
    /// The records that are on disk.
    records: u64,
    /// The records that wait to be written, those of decisions in progress included.
    queued: usize,
    /// The size of the log's files.
    #[schema(required)]
    bytes: Option<u64>,
    /// What it takes on disk, measured at most a minute ago.
    #[schema(required)]
    disk: Option<DiskBody>,
    /// The newest signed checkpoint.
    #[schema(required)]
    checkpoint: Option<CheckpointBody>,
    /// The size of the newest checkpoint that witnesses cosigned.
    #[schema(required)]
    cosigned: Option<u64>,
    /// How many witnesses the settings name.
    witnesses: usize,
    /// How many records the search index lacks.
    #[schema(required)]
    index_lag: Option<u64>,
}

/// What the log takes on disk, in bytes, and what is to be expected. A member that is not known yet is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusDisk)]
struct DiskBody {
    /// The segments that are in use, prepared, or not archived yet.
    segments: u64,
    /// The compressed records.
    archives: u64,
    /// The hashes of the tree.
    tiles: u64,
    /// The search index, wherever it is.
    #[schema(required)]
    index: Option<u64>,
    /// How many records are in archives.
    archived: u64,
    /// A record in archives and tiles.
    #[schema(required)]
    bytes_per_record: Option<f64>,
    /// A record in the search index.
    #[schema(required)]
    index_bytes_per_record: Option<f64>,
    /// The records of the last day; of a younger log, at the rate so far.
    #[schema(required)]
    records_per_day: Option<f64>,
    /// What these take on the disk of the log.
    #[schema(required)]
    bytes_per_day: Option<f64>,
    /// For how many such days that disk has space.
    #[schema(required)]
    days_left: Option<f64>,
}

impl From<LogSize> for DiskBody {
    fn from(LogSize { usage, index, forecast }: LogSize) -> Self {
        Self {
            segments: usage.segments,
            archives: usage.archives,
            tiles: usage.tiles,
            index: index.map(|index| index.bytes),
            archived: usage.archived,
            bytes_per_record: forecast.bytes_per_record,
            index_bytes_per_record: forecast.index_bytes_per_record,
            records_per_day: forecast.records_per_day,
            bytes_per_day: forecast.bytes_per_day,
            days_left: forecast.days_left,
        }
    }
}

/// A signed checkpoint of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusCheckpoint)]
struct CheckpointBody {
    /// How many records it covers.
    size: u64,
    /// When it was stored.
    #[schema(required, format = DateTime)]
    at: Option<String>,
}

/// How people get to the dashboard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusDashboard)]
struct DashboardBody {
    login: DashboardLogin,
}

/// Whether the dashboard needs a login.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DashboardLogin {
    /// Everyone on this host may read without one.
    Open,
    Required,
}

/// Show the state of the daemon
///
/// The checks, the constitution in force, and the state of the audit log.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "showStatus", tag = "operation",
    responses((status = 200, description = "The state, whether it is good or bad.", body = StatusBody<'static>)),
)]
pub async fn show(state: Data<WorkerState>) -> HttpResponse {
    let checks = checks(&state).await;
    let overall = if checks.iter().any(Check::has_failed) {
        Overall::Down
    } else if checks.iter().any(|check| check.state() == CheckState::Degraded) {
        Overall::Degraded
    } else {
        Overall::Ready
    };
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let is_open = state.app.settings.is_dashboard_open();
    let mut response = HttpResponse::Ok().json(StatusBody {
        state: overall,
        checks: checks.iter().map(check_body).collect(),
        node: state.app.audit.index_status.origin(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: text_of(state.app.started_at),
        constitution: ConstitutionBody {
            name: constitution.name(),
            version: constitution.version(),
            hash: constitution.hash(),
            digest: constitution.digest(),
            in_force_since: text_of(active.activated_at),
        },
        audit: audit_body(&state).await,
        dashboard: DashboardBody { login: if is_open { DashboardLogin::Open } else { DashboardLogin::Required } },
    });
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn check_body(check: &Check) -> CheckBody<'_> {
    CheckBody { name: check.name, state: check.state(), fault: check.fault.as_deref() }
}

async fn audit_body(state: &WorkerState) -> AuditBody {
    let audit = &state.app.audit;
    let size = audit.reader.ask(MeasureLog).await.ok();
    let usage = size.map(|size| size.usage);
    // Read in this order, since indexed and signed records were durable before.
    let (indexed, newest) = (audit.index_status.next(), audit.checkpoints.newest());
    let durable = audit.queue.durable();
    let stored = usage.and_then(|usage| usage.checkpoint_at).and_then(|at| text_of(OffsetDateTime::from(at)));
    AuditBody {
        records: durable,
        queued: audit.queue.waiting(),
        bytes: usage.map(|usage| usage.bytes),
        disk: size.map(DiskBody::from),
        checkpoint: newest.map(|sealed| CheckpointBody { size: sealed.checkpoint.size, at: stored }),
        cosigned: audit.checkpoints.witnessed().map(|sealed| sealed.checkpoint.size),
        witnesses: state.app.settings.audit.witness.len(),
        index_lag: indexed.map(|indexed| durable.saturating_sub(indexed)),
    }
}

fn text_of(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
