//! `/v1/auth/keys/…`: the keys that sign the daemon's own tokens.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::problem::{BAD_REQUEST, OUTCOME_UNKNOWN, Problem};
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::RotateSigningKey;

/// How to rotate the signing key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotation, examples(json!({"withdraw": false})))]
struct RotateBody {
    /// Whether tokens of the keys before end at once.
    #[serde(default)]
    withdraw: bool,
}

/// The key that signs from now on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"kid": "mJ7Vw0rJ4fL2nqk9"})))]
struct SigningKeyId {
    /// Its id, as tokens name it.
    kid: String,
}

/// Rotate the signing key of tokens
///
/// Tokens are signed with a new key from now on. Tokens of the previous key stay valid until they expire,
/// unless that key is withdrawn.
#[utoipa::path(
    post, path = "/v1/auth/keys/rotate", operation_id = "rotateSigningKey", tag = "authentication",
    request_body = RotateBody,
    responses(
        (status = 200, description = "The key was rotated.", body = SigningKeyId),
        (status = 202, description = "Earlier keys are withdrawn on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn rotate(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: RotateBody = body::object(&request, payload, state.bounds()).await?;
    let rotate = RotateSigningKey { withdraw: body.withdraw, caller: caller.name().to_owned() };
    let rotated = writes::write(&state, &state.app.identity.directory, rotate).await?;
    Ok(withdrawn::answer(rotated, |kid| HttpResponse::Ok().json(SigningKeyId { kid })))
}
