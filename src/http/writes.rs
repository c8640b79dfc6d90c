//! Changes: each is made, or refused and never made, or answered with 202 and a URL that tells its outcome later.

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, MailboxError, Message};
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::pending_writes::WriteOutcome;
use super::problem::{NOT_FOUND, OUTCOME_UNKNOWN, Problem};
use super::worker_state::WorkerState;
use crate::actors::identity::directory::DirectoryError;
use crate::actors::write_ticket::Write;
use crate::actors::{Mailbox, Outcome};
use crate::store::StoreError;

/// The error of a change.
pub trait ChangeError: Into<Problem> {
    /// Whether the change may have been made all the same.
    fn is_uncertain(&self) -> bool;
}

impl ChangeError for StoreError {
    fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain(_))
    }
}

impl ChangeError for DirectoryError {
    fn is_uncertain(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_uncertain())
    }
}

/// Asks for a change. If it is late, it is cancelled and never made. If it has begun by then, or the answer to its
/// commit was lost, the answer is 202, and its outcome is kept for `GET /v1/writes/{id}`.
pub async fn write<A, M, T, E>(state: &WorkerState, mailbox: &Mailbox<A>, message: M) -> Result<T, Problem>
where
    A: Actor + Handler<M, Result = Result<T, E>> + Handler<Write<A>>,
    A::Context: ToEnvelope<A, Write<A>>,
    M: Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<MailboxError> + ChangeError + Send + 'static,
{
    let (id, writes) = (uuid::Builder::from_random_bytes(rand::random()).into_uuid(), state.app.store.writes.clone());
    match mailbox.write(message).await {
        Outcome::Known(Err(error)) if error.is_uncertain() => {
            tracing::warn!(error = error.into().detail(), %id, "the answer to a commit was lost");
            writes.begin(id);
        }
        Outcome::Known(done) => return done.map_err(Into::into),
        Outcome::Unknown(asked) => {
            writes.begin(id);
            actix_web::rt::spawn(async move {
                match asked.await {
                    Err(error) if error.is_uncertain() => {}
                    done => writes.end(id, done.err().map(|error| error.into().detail().to_owned())),
                }
            });
        }
    }
    let place = HeaderValue::from_str(&format!("/v1/writes/{id}")).map_err(|error| {
        Problem::logged(&super::problem::INTERNAL, "the URL of a change's outcome cannot be formed", &error)
    })?;
    let problem = Problem::new(&OUTCOME_UNKNOWN, format!("the change was begun; `/v1/writes/{id}` tells its outcome"));
    Err(problem.with_header(header::LOCATION, place))
}

/// The outcome of a change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WriteOutcome, examples(json!({"id": "5f0d6c0e-5f8e-4c57-9d3e-2d1f6a0f8a11", "state": "done", "detail": null})))]
struct OutcomeBody {
    id: String,
    state: WriteState,
    /// Why the change was refused.
    #[schema(required)]
    detail: Option<String>,
}

/// The state of a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WriteState {
    /// It has not ended yet.
    Unknown,
    /// It was made.
    Done,
    /// It was not made.
    Refused,
}

/// Show the outcome of a change
///
/// Of a change that was answered with 202, until an hour after its end.
#[utoipa::path(
    get, path = "/v1/writes/{id}", operation_id = "showWrite", tag = "operation",
    params(("id" = String, Path, description = "The id that the 202 named.",
            example = "5f0d6c0e-5f8e-4c57-9d3e-2d1f6a0f8a11")),
    responses((status = 200, description = "The outcome, as far as it is known.", body = OutcomeBody)),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn show(id: Path<String>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let unknown = || {
        let text = "no outcome is kept for that id; read the data that the change was about";
        Problem::new(&NOT_FOUND, text)
    };
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let (state, detail) = match state.app.store.writes.outcome(id).ok_or_else(unknown)? {
        WriteOutcome::Unknown => (WriteState::Unknown, None),
        WriteOutcome::Done => (WriteState::Done, None),
        WriteOutcome::Refused(failure) => (WriteState::Refused, Some(failure)),
    };
    Ok(HttpResponse::Ok().json(OutcomeBody { id: id.to_string(), state, detail }))
}
