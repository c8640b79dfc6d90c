//! The request that this worker is working on at the moment: its id and its trace, for log lines and spans.
//!
//! The context is in the thread only while the request's future is polled. A request that logs nothing and is not
//! sampled pays for two moves of the context a poll.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::swap;
use std::pin::pin;

use actix_web::http::header::HeaderValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::request_id::id_value;
use crate::ledger::new_id;
use crate::logging::RequestIds;
use crate::trace::{DecisionNote, Phase, Recording, TraceContext};

thread_local! {
    static CURRENT: RefCell<Option<RequestContext>> = const { RefCell::new(None) };
}

/// A request while it is handled.
#[derive(Debug)]
pub(super) struct RequestContext {
    id: RequestId,
    /// The trace that the request belongs to.
    pub(super) trace: Option<TraceContext>,
    /// The moments of a sampled request.
    pub(super) recording: Option<Box<Recording>>,
}

#[derive(Debug)]
enum RequestId {
    /// The caller's, or that of the answer.
    Known(HeaderValue),
    /// Made for the first decision or for a log line.
    Made(Uuid),
    /// None was needed yet.
    Unknown,
}

impl RequestContext {
    pub(super) fn new(given: Option<HeaderValue>, trace: Option<TraceContext>) -> Self {
        Self { id: given.map_or(RequestId::Unknown, RequestId::Known), trace, recording: None }
    }

    /// The id of the request, made now if it has none.
    fn id(&mut self) -> HeaderValue {
        match &self.id {
            RequestId::Known(id) => id.clone(),
            RequestId::Made(id) => id_value(*id),
            RequestId::Unknown => {
                let id = new_id(OffsetDateTime::now_utc());
                self.id = RequestId::Made(id);
                id_value(id)
            }
        }
    }
}

/// Runs a request's future with its context.
pub(super) async fn within<F: Future>(context: RequestContext, future: F) -> F::Output {
    let (mut context, mut future) = (Some(context), pin!(future));
    poll_fn(move |cx| {
        exchange(&mut context);
        let polled = future.as_mut().poll(cx);
        exchange(&mut context);
        polled
    })
    .await
}

fn exchange(context: &mut Option<RequestContext>) {
    CURRENT.with_borrow_mut(|current| swap(current, context));
}

fn with<T>(read: impl FnOnce(&mut RequestContext) -> T) -> Option<T> {
    CURRENT.with_borrow_mut(|current| current.as_mut().map(read))
}

fn record(note: impl FnOnce(&mut Recording)) {
    with(|context| context.recording.as_deref_mut().map(note));
}

/// Begins the span of a phase, if the request is sampled.
pub(super) fn begin(phase: Phase) {
    record(|recording| recording.begin(phase));
}

/// Ends the span of a phase, if the request is sampled.
pub(super) fn end(phase: Phase) {
    record(|recording| recording.end(phase));
}

/// Notes the decision, if the request is sampled.
pub(super) fn decided(decision: impl FnOnce() -> DecisionNote) {
    record(|recording| recording.decided(decision()));
}

/// The id of the request's first decision, which names a request without an id of the caller's.
pub(super) fn first_decision_id(at: OffsetDateTime) -> Uuid {
    let made = with(|context| match context.id {
        RequestId::Made(id) => id,
        RequestId::Known(_) => new_id(at),
        RequestId::Unknown => {
            let id = new_id(at);
            context.id = RequestId::Made(id);
            id
        }
    });
    made.unwrap_or_else(|| new_id(at))
}

/// The id of the request, made now if it has none.
pub(super) fn id() -> HeaderValue {
    with(RequestContext::id).unwrap_or_else(|| id_value(new_id(OffsetDateTime::now_utc())))
}

/// The trace of the request, and the moments of a sampled one, which end here.
pub(super) fn end_trace() -> (Option<TraceContext>, Option<Box<Recording>>) {
    with(|context| (context.trace, context.recording.take())).unwrap_or_default()
}

/// The ids for a log line that is written now; `None` outside of requests.
#[must_use]
pub fn ids() -> Option<RequestIds> {
    let read = |context: &mut RequestContext| RequestIds {
        request: context.id().to_str().unwrap_or_default().to_owned(),
        trace: context.trace.map(|trace| trace.trace().to_string()),
    };
    // A line that is written while the context is in use has no ids; there is none at present.
    CURRENT.with(|current| current.try_borrow_mut().ok()?.as_mut().map(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn interleaved_requests_keep_their_ids() {
        let request = |id: &'static str| {
            within(RequestContext::new(Some(HeaderValue::from_static(id)), None), async move {
                for _ in 0..3 {
                    assert_eq!(ids().map(|ids| ids.request).as_deref(), Some(id));
                    tokio::task::yield_now().await;
                }
                id
            })
        };
        let both = futures_util::future::join(request("a"), request("b")).await;
        assert_eq!((both, ids()), (("a", "b"), None));
    }

    #[actix_web::test]
    async fn a_log_line_and_the_first_decision_have_the_same_id() {
        within(RequestContext::new(None, None), async {
            let logged = ids().map(|ids| ids.request);
            let decided = first_decision_id(OffsetDateTime::now_utc()).to_string();
            assert_eq!((logged.as_deref(), id().to_str().ok()), (Some(&*decided), Some(&*decided)));
        })
        .await;
        within(RequestContext::new(None, None), async {
            let decided = first_decision_id(OffsetDateTime::now_utc()).to_string();
            assert_eq!(ids().map(|ids| ids.request), Some(decided));
        })
        .await;
    }
}
