//! Changes: each is made, or refused and never made, or answered with 202 and a URL that tells its outcome later.

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, MailboxError, Message};
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use serde_json::json;
use uuid::Uuid;

use super::pending_writes::WriteOutcome;
use super::problem::{NOT_FOUND, OUTCOME_UNKNOWN, Problem};
use super::worker_state::WorkerState;
use crate::actors::database::write_ticket::Write;
use crate::actors::{Mailbox, Outcome};

/// Asks for a change. If it is late, it is cancelled and never made; if it has begun by then, the answer is 202, and
/// its outcome is kept for `GET /v1/writes/{id}`.
pub async fn write<A, M, T, E>(state: &WorkerState, mailbox: &Mailbox<A>, message: M) -> Result<T, Problem>
where
    A: Actor + Handler<M, Result = Result<T, E>> + Handler<Write<A>>,
    A::Context: ToEnvelope<A, Write<A>>,
    M: Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<MailboxError> + Into<Problem> + Send + 'static,
{
    let asked = match mailbox.write(message).await {
        Outcome::Known(done) => return done.map_err(Into::into),
        Outcome::Unknown(asked) => asked,
    };
    let (id, writes) = (uuid::Builder::from_random_bytes(rand::random()).into_uuid(), state.app.store.writes.clone());
    writes.begin(id);
    actix_web::rt::spawn(async move {
        writes.end(id, asked.await.err().map(|error| error.into().detail().to_owned()));
    });
    let place = HeaderValue::from_str(&format!("/v1/writes/{id}")).map_err(|error| {
        Problem::logged(&super::problem::INTERNAL, "the URL of a change's outcome cannot be formed", &error)
    })?;
    let problem = Problem::new(&OUTCOME_UNKNOWN, format!("the change was begun; `/v1/writes/{id}` tells its outcome"));
    Err(problem.with_header(header::LOCATION, place))
}

/// `GET /v1/writes/{id}`: the outcome of a change that was answered with 202.
pub async fn show(id: Path<String>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let unknown = || {
        let text = "no outcome is kept for that id; read the data that the change was about";
        Problem::new(&NOT_FOUND, text)
    };
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let (state, detail) = match state.app.store.writes.outcome(id).ok_or_else(unknown)? {
        WriteOutcome::Unknown => ("unknown", None),
        WriteOutcome::Done => ("done", None),
        WriteOutcome::Refused(failure) => ("refused", Some(failure)),
    };
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "state": state, "detail": detail})))
}
