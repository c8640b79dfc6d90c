//! `/v1/performance/stream`: key figures and alerts as they change (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use tokio::sync::watch;

use super::connection::Peer;
use super::count_guard::CountGuard;
use super::problem::{OVERLOADED, Problem};
use super::worker_state::WorkerState;
use crate::actors::monitor::Tick;

/// The most streams that are open at the same time.
const MAX_STREAMS: usize = 64;

/// The seconds after which a stream ends. Browsers then connect again by themselves, and show their credential again.
const MAX_STREAM_SECONDS: u64 = 600;

/// The seconds from one event with the key figures, or with the alerts, to the next.
const REPEAT_INTERVAL: u64 = 5;

/// One client, and the events that it was sent.
struct Client {
    ticks: watch::Receiver<Tick>,
    draining: Arc<AtomicBool>,
    alerts_version: Option<u64>,
    is_first: bool,
    /// The number of ticks until the stream ends; the monitor ticks once a second.
    ticks_left: u64,
    peer: Option<Peer>,
    _guard: CountGuard,
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
/// Server-sent events: `point` each second, `performance` and `alerts` at once and every five seconds, and `alerts` also
/// when one of them changes its state. The data of `point` is a `PerformancePoint`; the others have the bodies of
/// `/v1/performance` and `/v1/alerts`. The stream ends after ten minutes, and when the daemon stops; 64 streams can be
/// open at the same time.
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
    let guard = CountGuard::within(&state.app.streams, MAX_STREAMS)
        .ok_or_else(|| Problem::overloaded(format!("{MAX_STREAMS} streams are open")))?;
    let peer = request.conn_data::<Peer>().cloned();
    if let Some(peer) = &peer {
        peer.set_streaming(true);
    }
    let client = Client {
        ticks: state.app.monitor.ticks(),
        draining: Arc::clone(&state.app.draining),
        alerts_version: None,
        is_first: true,
        ticks_left: MAX_STREAM_SECONDS,
        peer,
        _guard: guard,
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
        if !self.is_first {
            self.ticks.changed().await.ok()?;
        }
        if self.draining.load(Ordering::Relaxed) {
            return None;
        }
        self.ticks_left = self.ticks_left.checked_sub(1)?;
        let tick = self.ticks.borrow_and_update().clone();
        let repeats = self.is_first || tick.number.is_multiple_of(REPEAT_INTERVAL);
        // The values of alerts change without their states, so they are repeated, too.
        let has_alerts = repeats || self.alerts_version != Some(tick.alerts_version);
        let events = [
            Some(("point", &tick.point)),
            repeats.then_some(("performance", &tick.performance)),
            has_alerts.then_some(("alerts", &tick.alerts)),
        ];
        self.is_first = false;
        self.alerts_version = Some(tick.alerts_version);
        // Before anything is measured there is nothing to tell. The comment keeps the connection busy.
        let told = events.into_iter().flatten().filter(|(_, data)| !data.is_empty());
        Some(told.fold(String::from(":\n"), |text, (name, data)| text + &format!("event: {name}\ndata: {data}\n\n")))
    }
}
