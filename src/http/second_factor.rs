//! `/v1/auth/totp…`: the second factor of the logged-in user (RFC 6238).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::RequestCaller;
use super::body;
use super::forwarded::address;
use super::login::person;
use super::problem::Problem;
use super::token_response::no_store;
use super::worker_state::WorkerState;
use super::writes;
use crate::actors::identity::directory::{ConfirmEnrolment, Enrol};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    code: String,
}

/// `POST /v1/auth/totp`: a secret for an authenticator.
pub async fn enrol(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, _) = person(&caller)?;
    let enrolment = state.app.identity.directory.ask(Enrol { user: user.to_owned() }).await?;
    Ok(no_store(HttpResponse::Ok().json(json!({"secret": enrolment.secret, "url": enrolment.url}))))
}

/// `POST /v1/auth/totp/confirm`: from now on logins need a code; the answer has recovery codes.
pub async fn confirm(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: CodeBody = body::json(&request, payload, state.bounds()).await?;
    let (user, _) = person(&caller)?;
    let confirm = ConfirmEnrolment { user: user.to_owned(), code: body.code };
    let codes = writes::write(&state, &state.app.identity.directory, confirm).await?;
    Ok(no_store(HttpResponse::Ok().json(json!({"recovery_codes": codes}))))
}

/// `DELETE /v1/auth/totp`, with a last code. Guessing codes is throttled like guessing passwords.
pub async fn remove(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: CodeBody = body::json(&request, payload, state.bounds()).await?;
    let (user, _) = person(&caller)?;
    state.app.identity.logins.remove_second_factor(user, body.code, address(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
