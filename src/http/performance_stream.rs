//! `/v1/performance/stream`: key figures and alerts as they change (server-sent events).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use tokio::sync::watch;

use super::connection::Peer;
use super::problem::{OVERLOADED, Problem};
use super::worker_state::WorkerState;
use crate::actors::monitor::Tick;

/// The most streams at the same time.
const MOST: usize = 64;

/// A stream ends after so many seconds. Browsers then connect again by themselves.
const LONGEST: u64 = 600;

/// The key figures are sent once in so many seconds.
const PERFORMANCE_INTERVAL: u64 = 5;

/// A place among the streams, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        if place.0.fetch_add(1, Ordering::Relaxed) < MOST { Some(place) } else { None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one client has been sent.
struct Client {
    ticks: watch::Receiver<Tick>,
    draining: Arc<AtomicBool>,
    alerts_version: Option<u64>,
    first: bool,
    /// How many seconds are left: a credential is checked again when the client connects again.
    left: u64,
    peer: Option<Peer>,
    _place: Place,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            peer.set_streaming(false);
        }
    }
}

/// Follow figures and alerts
///
/// Server-sent events: `point` each second, `performance` at once and every five seconds, and `alerts` at once and when
/// one of them changes. The data of `point` is a `PerformancePoint`; the others have the bodies of `/v1/performance` and
/// `/v1/alerts`. The stream ends after ten minutes, and when the daemon stops; 64 streams can be open at the same time.
#[utoipa::path(
    get, path = "/v1/performance/stream", operation_id = "streamPerformance", tag = "operation",
    responses((
        status = 200, description = "Events, until the stream ends.", body = String,
        content_type = "text/event-stream",
        example = ":\nevent: point\ndata: {\"at\":1795512601.0,\"permitted\":9.0,\"denied\":0.0}\n\n",
    )),
    extensions(("x-problems" = json!([OVERLOADED.slug]))),
)]
pub async fn stream(request: HttpRequest, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let place =
        Place::take(&state.app.streams).ok_or_else(|| Problem::overloaded(format!("{MOST} streams are open")))?;
    let peer = request.conn_data::<Peer>().cloned();
    if let Some(peer) = &peer {
        peer.set_streaming(true);
    }
    let client = Client {
        ticks: state.app.monitor.ticks(),
        draining: Arc::clone(&state.app.draining),
        alerts_version: None,
        first: true,
        left: LONGEST,
        peer,
        _place: place,
    };
    let events = stream::unfold(client, |mut client| async move {
        let text = client.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), client))
    });
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would hold events back.
        .insert_header(("X-Accel-Buffering", "no"));
    Ok(response.streaming(events))
}

impl Client {
    /// The events of the next second; `None` when the daemon stops.
    async fn next(&mut self) -> Option<String> {
        if !self.first {
            self.ticks.changed().await.ok()?;
        }
        if self.draining.load(Ordering::Relaxed) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let tick = self.ticks.borrow_and_update().clone();
        let mut events = VecDeque::from([("point", &tick.point)]);
        if self.first || tick.number.is_multiple_of(PERFORMANCE_INTERVAL) {
            events.push_back(("performance", &tick.performance));
        }
        if self.alerts_version != Some(tick.alerts_version) {
            self.alerts_version = Some(tick.alerts_version);
            events.push_back(("alerts", &tick.alerts));
        }
        self.first = false;
        // Before anything is measured there is nothing to tell. The comment keeps the connection busy.
        let told = events.into_iter().filter(|(_, data)| !data.is_empty());
        Some(told.fold(String::from(":\n"), |text, (name, data)| text + &format!("event: {name}\ndata: {data}\n\n")))
    }
}
