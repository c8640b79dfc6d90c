//! `/v1/auth/keys/…`: the keys that sign the daemon's own tokens.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::Who;
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
    who: Who,
    front: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: RotateBody = body::json(&request, payload, front.bounds()).await?;
    let rotate = RotateSigningKey { withdraw: body.withdraw, caller: who.name().to_owned() };
    let rotated = writes::write(&front, &front.shared.directory, rotate).await?;
    Ok(withdrawn::answer(rotated, |kid| HttpResponse::Ok().json(json!({"kid": kid}))))
}
