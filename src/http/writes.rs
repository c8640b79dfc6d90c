//! Changes: each is made, or refused and never made, or answered with 202 and a URL that tells its outcome later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, MailboxError, Message};
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;
use uuid::Uuid;

use super::problem::{NOT_FOUND, OUTCOME_UNKNOWN, Problem};
use super::worker_state::WorkerState;
use crate::actors::database::write_ticket::Write;
use crate::actors::{Mailbox, Outcome};

/// How long the outcome of a change is kept after its end.
const KEPT: Duration = Duration::from_hours(1);

/// The most outcomes that are kept; the oldest is dropped first.
const MOST: usize = 4_096;

/// Changes whose callers got 202; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Writes(Arc<Mutex<VecDeque<Pending>>>);

#[derive(Debug)]
struct Pending {
    id: Uuid,
    /// The time of its end, and the error if it failed.
    ended: Option<(Instant, Option<String>)>,
}

impl Writes {
    fn begin(&self, id: Uuid) {
        let mut writes = self.lock();
        writes.retain(|write| write.ended.as_ref().is_none_or(|(at, _)| at.elapsed() < KEPT));
        if writes.len() >= MOST {
            writes.pop_front();
        }
        writes.push_back(Pending { id, ended: None });
    }

    fn end(&self, id: Uuid, failure: Option<String>) {
        if let Some(write) = self.lock().iter_mut().find(|write| write.id == id) {
            write.ended = Some((Instant::now(), failure));
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.0.lock()
    }
}

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
    let writes = state.app.store.writes.lock();
    let write = writes.iter().find(|write| write.id == id).ok_or_else(unknown)?;
    let (state, detail) = match &write.ended {
        None => ("unknown", None),
        Some((_, None)) => ("done", None),
        Some((_, Some(failure))) => ("refused", Some(failure)),
    };
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "state": state, "detail": detail})))
}
