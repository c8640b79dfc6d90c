//! `/v1/auth/totp…`: the second factor of the logged-in user (RFC 6238).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::body;
use super::forwarded::address;
use super::login::person;
use super::problem::{BAD_REQUEST, FORBIDDEN, LOGIN_REFUSED, OUTCOME_UNKNOWN, Problem, TOO_MANY};
use super::token_response::no_store;
use super::worker_state::WorkerState;
use super::writes;
use crate::actors::identity::directory::{ConfirmEnrolment, Enrol};

/// A code of the authenticator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecondFactorCode, examples(json!({"code": "492039"})))]
struct CodeBody {
    code: String,
}

/// A secret for an authenticator (RFC 6238).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecondFactorSecret, examples(json!({
    "secret": "JBSWY3DPEHPK3PXP", "url": "otpauth://totp/acgs:ann?secret=JBSWY3DPEHPK3PXP&issuer=acgs"
})))]
struct EnrolmentBody {
    /// The secret as a person types it, in base32.
    secret: String,
    /// The same as the URL of a QR code.
    url: String,
}

/// Codes that each replace the second factor once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"recovery_codes": ["k3v7-9q2m-xw4t", "b8rd-5nzc-7hjp"]})))]
struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// Enrol a second factor
///
/// It is asked for once a code has confirmed it.
#[utoipa::path(
    post, path = "/v1/auth/totp", operation_id = "enrolSecondFactor", tag = "authentication",
    responses((status = 200, description = "A new secret.", body = EnrolmentBody)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug]))),
)]
pub async fn enrol(caller: RequestCaller, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (user, _) = person(&caller)?;
    let enrolment = state.app.identity.directory.ask(Enrol { user: user.to_owned() }).await?;
    Ok(no_store(HttpResponse::Ok().json(EnrolmentBody { secret: enrolment.secret, url: enrolment.url })))
}

/// Confirm a second factor
///
/// From now on logins need a code.
#[utoipa::path(
    post, path = "/v1/auth/totp/confirm", operation_id = "confirmSecondFactor", tag = "authentication",
    request_body = CodeBody,
    responses((status = 200, description = "Recovery codes, which are not shown again.", body = RecoveryCodes)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn confirm(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: CodeBody = body::object(&request, payload, state.bounds()).await?;
    let (user, _) = person(&caller)?;
    let confirm = ConfirmEnrolment { user: user.to_owned(), code: body.code };
    let codes = writes::write(&state, &state.app.identity.directory, confirm).await?;
    Ok(no_store(HttpResponse::Ok().json(RecoveryCodes { recovery_codes: codes })))
}

/// Remove one's second factor
///
/// With a last code. Guessing codes is throttled like guessing passwords.
#[utoipa::path(
    delete, path = "/v1/auth/totp", operation_id = "removeSecondFactor", tag = "authentication",
    request_body = CodeBody,
    responses((status = 204, description = "Logins need no code any more.")),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug, LOGIN_REFUSED.slug, TOO_MANY.slug]))),
)]
pub async fn remove(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: CodeBody = body::object(&request, payload, state.bounds()).await?;
    let (user, _) = person(&caller)?;
    state.app.identity.logins.remove_second_factor(user, body.code, address(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}
