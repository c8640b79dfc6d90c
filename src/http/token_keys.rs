//! `/v1/auth/keys/…`: the keys that sign the daemon's own tokens.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::RequestCaller;
use super::problem::Problem;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::RotateSigningKey;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// Whether tokens of the keys before end at once.
    #[serde(default)]
    withdraw: bool,
}

/// `POST /v1/auth/keys/rotate`: tokens are signed with a new key from now on. Those of the key before stay good until
/// they expire, unless it is withdrawn.
pub async fn rotate(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: RotateBody = body::json(&request, payload, state.bounds()).await?;
    let rotate = RotateSigningKey { withdraw: body.withdraw, caller: caller.name().to_owned() };
    let rotated = writes::write(&state, &state.app.identity.directory, rotate).await?;
    Ok(withdrawn::answer(rotated, |kid| HttpResponse::Ok().json(json!({"kid": kid}))))
}
