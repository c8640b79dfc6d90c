//! `/v1/log-level`: how much the running daemon logs, until a reload or a restart.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::body;
use super::problem::{BAD_REQUEST, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::ledger::{Event, EventKind};
use crate::logging::LevelSwitch;
use crate::settings::LogLevel;

/// The longest time for which a level can be set.
const MAX_SECONDS: u64 = 7 * 86_400;

/// The most bytes of a level.
const MAX_LEVEL: usize = 1_000;

/// How much the daemon logs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLevel, examples(json!({"level": "debug", "setting": "info", "until": "2026-11-24T09:30:00Z"})))]
struct ShownLevel {
    /// The level in force.
    level: String,
    /// The level of the settings.
    setting: String,
    /// When the level is that of the settings again; null if it is already, or if that is not known.
    #[schema(required, format = DateTime)]
    until: Option<String>,
}

/// Show the log level
///
/// The level in force, that of the settings, and until when they differ.
#[utoipa::path(
    get, path = "/v1/log-level", operation_id = "showLogLevel", tag = "operation",
    responses((status = 200, description = "The level.", body = ShownLevel)),
    extensions(("x-problems" = json!([UNAVAILABLE.slug]))),
)]
pub async fn show(state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(status(switch(&state)?)))
}

/// Another level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"level": "info", "for_s": 600})))]
struct LevelChange {
    /// A level such as `debug`, or directives such as `info,acgs=debug`: at most 1,000 bytes.
    #[schema(max_length = 1000)]
    level: String,
    /// Seconds until the level is that of the settings again; if missing, it stays until the settings are read again.
    #[schema(minimum = 1, maximum = 604_800)]
    for_s: Option<u64>,
}

/// Change the log level
///
/// Until a reload or a restart, or for a time. The change is recorded before it takes effect.
#[utoipa::path(
    put, path = "/v1/log-level", operation_id = "changeLogLevel", tag = "operation", request_body = LevelChange,
    responses((status = 200, description = "The new level.", body = ShownLevel)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn put(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let LevelChange { level, for_s } = body::object(&request, payload, state.bounds()).await?;
    if level.len() > MAX_LEVEL {
        return Err(Problem::fault("/level", format!("has {} bytes; at most {MAX_LEVEL} are taken", level.len())));
    }
    let level: LogLevel = level.parse().map_err(|wrong: String| Problem::fault("/level", wrong))?;
    if for_s.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
        return Err(Problem::fault("/for_s", format!("must be a number of seconds from 1 to {MAX_SECONDS}")));
    }
    let switch = switch(&state)?.clone();
    let event = Event::new(EventKind::Settings, caller.name()).name("event", "log_level");
    let event = event.detail("level", level.as_str()).detail("for_s", for_s);
    let journal = state.app.audit.journal.clone();
    let recorded = actix_web::rt::task::spawn_blocking(move || journal.record(&[event])).await;
    recorded.map_err(|error| Problem::new(&UNAVAILABLE, error.to_string()))??;
    let time = for_s.map(Duration::from_secs);
    let change = switch.change(level, time);
    let answer = status(&switch);
    if let Some(time) = time {
        actix_web::rt::spawn(async move {
            tokio::time::sleep(time).await;
            switch.revert(change);
        });
    }
    Ok(HttpResponse::Ok().json(answer))
}

fn switch(state: &WorkerState) -> Result<&LevelSwitch, Problem> {
    // Only the parts that run for one command have none.
    state.app.log_level.as_ref().ok_or_else(|| Problem::new(&UNAVAILABLE, "no daemon runs, so there is no log"))
}

fn status(switch: &LevelSwitch) -> ShownLevel {
    let status = switch.status();
    let until = status.until.and_then(|until| until.format(&Rfc3339).ok());
    ShownLevel { level: status.level.as_str().to_owned(), setting: status.setting.as_str().to_owned(), until }
}
