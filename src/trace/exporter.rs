//! Exports the spans of sampled requests to a collector: OTLP over HTTP, as JSON.
//!
//! Workers put answered requests into a bounded queue and never wait. If the queue is full, because the collector is
//! slow or unavailable or because more requests are sampled than the thread sends, their spans are dropped and counted.
//! So callers that send `traceparent` with the sampled flag cannot cause more load than the thread's bounded rate.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use ureq::Agent;

use super::context::TraceContext;
use super::otlp::{Resource, export_request, rejected};
use super::recording::Finished;
use crate::settings;

/// The most answered requests that wait for the thread.
const QUEUE_LIMIT: usize = 2_048;
/// The most requests in one export.
const BATCH: usize = 256;
/// The pause after each export; with [`BATCH`] it bounds the rate to 1,280 requests a second.
const INTERVAL: Duration = Duration::from_millis(200);
/// The timeout of one export.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stop waits for the last spans.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a failed export, which doubles each time, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often a batch is sent before its spans are given up.
const ATTEMPTS: u32 = 4;
/// The most bytes of an answer.
const MAX_ANSWER: u64 = 64 << 10;

/// Decides which requests are sampled, and takes answered requests; shared by all clones.
#[derive(Debug, Clone)]
pub struct Tracer {
    queue: SyncSender<Finished>,
    counts: Arc<SpanCounts>,
    /// A request without a parent is sampled if a random 32-bit number is below this.
    threshold: u64,
}

/// The outcomes of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// The thread that exports.
#[derive(Debug)]
pub struct Exporter {
    stop: Sender<()>,
    stopped: Receiver<()>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("{0}")]
    Unreachable(#[from] Box<ureq::Error>),
    #[error("it answered with status `{0}`")]
    Status(u16),
}

impl SpanCounts {
    /// Each outcome, with its count.
    #[must_use]
    pub fn get(&self) -> [(&'static str, u64); 3] {
        [("exported", &self.exported), ("dropped", &self.dropped), ("failed", &self.failed)]
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}

impl Tracer {
    /// The trace of a request: the caller's, or a new one if there is none and the request is sampled.
    #[must_use]
    pub fn trace(&self, continued: Option<TraceContext>) -> Option<TraceContext> {
        continued.or_else(|| (u64::from(rand::random::<u32>()) < self.threshold).then(TraceContext::sampled))
    }

    /// Takes an answered request, or drops its spans if too many wait.
    pub fn finish(&self, request: Finished) {
        let spans = request.spans();
        if self.queue.try_send(request).is_err() {
            self.counts.dropped.fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// The outcomes of spans so far.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }
}

impl Exporter {
    /// Starts the thread, if a collector is set.
    pub fn start(settings: &settings::Trace) -> io::Result<Option<(Self, Tracer)>> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let (queue, requests) = mpsc::sync_channel(QUEUE_LIMIT);
        let (stop, stopping) = mpsc::channel();
        let (ended, stopped) = mpsc::channel();
        let counts = Arc::<SpanCounts>::default();
        let instance = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let sender = BatchSender {
            // The path of OTLP over HTTP, relative to the endpoint (section "OTLP/HTTP Request").
            url: format!("{endpoint}/v1/traces"),
            agent: Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .http_status_as_error(false)
                .max_redirects(0)
                .build()
                .into(),
            resource: Resource { service: settings.service_name.to_string(), instance: instance.to_string() },
            counts: Arc::clone(&counts),
            is_failing: false,
        };
        thread::Builder::new().name("trace-export".to_owned()).spawn(move || {
            sender.run(&requests, &stopping);
            // The receiver may be gone.
            let _ = ended.send(());
        })?;
        // Exact for every percentage that can be told apart in practice.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
        let threshold = (settings.sample_percent.share() * f64::from(u32::MAX) + 1.0) as u64;
        let threshold = if settings.sample_percent.get() > 0.0 { threshold } else { 0 };
        Ok(Some((Self { stop, stopped }, Tracer { queue, counts, threshold })))
    }

    /// Has the waiting spans exported, and waits a few seconds for that. A thread that still waits for the collector
    /// then ends with the process.
    pub fn stop(self) {
        drop(self.stop);
        if self.stopped.recv_timeout(STOP_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the collector does not answer; the last spans are lost");
        }
    }
}

/// The state of the thread.
struct BatchSender {
    url: String,
    agent: Agent,
    resource: Resource,
    counts: Arc<SpanCounts>,
    is_failing: bool,
}

impl BatchSender {
    fn run(mut self, requests: &Receiver<Finished>, stopping: &Receiver<()>) {
        loop {
            let is_stopping = sleep(stopping, INTERVAL);
            let batch: Vec<Finished> = requests.try_iter().take(BATCH).collect();
            if !batch.is_empty() {
                self.export(&batch, stopping);
            } else if is_stopping {
                return;
            }
        }
    }

    /// Sends a batch, again after pauses if the collector is unavailable. While the daemon stops it is sent once.
    fn export(&mut self, batch: &[Finished], stopping: &Receiver<()>) {
        let spans = batch.iter().map(Finished::spans).sum();
        let body = export_request(&self.resource, batch).to_string();
        let mut pause = BACKOFF.0;
        for attempt in 1..=ATTEMPTS {
            match self.send(&body) {
                Ok(rejected) => {
                    self.succeeded();
                    let rejected = rejected.min(spans);
                    self.counts.failed.fetch_add(rejected, Ordering::Relaxed);
                    self.counts.exported.fetch_add(spans - rejected, Ordering::Relaxed);
                    return;
                }
                Err(error) => {
                    self.failed(&error);
                    if !error.is_transient() || attempt == ATTEMPTS || sleep(stopping, pause) {
                        break;
                    }
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
        self.counts.failed.fetch_add(spans, Ordering::Relaxed);
    }

    /// Sends a batch once. Returns the number of rejected spans.
    fn send(&self, body: &str) -> Result<u64, ExportError> {
        let request = self.agent.post(&self.url).header("Content-Type", "application/json");
        let mut answer = request.send(body).map_err(Box::new)?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(ExportError::Status(status));
        }
        // By its status the collector has taken the batch, so it is not sent again if the answer cannot be read.
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string().unwrap_or_default();
        Ok(rejected(&text).map_or(0, |(count, reason)| {
            tracing::warn!(count, reason, "the collector rejected spans");
            count
        }))
    }

    fn failed(&mut self, error: &ExportError) {
        if !self.is_failing {
            let url = &self.url;
            tracing::warn!(url, %error, "spans cannot be exported and will be dropped; requests are answered as before");
        }
        self.is_failing = true;
    }

    fn succeeded(&mut self) {
        if self.is_failing {
            tracing::info!(url = self.url, "spans are exported again");
        }
        self.is_failing = false;
    }
}

impl ExportError {
    /// Whether the same batch may be taken later (OTLP, section "Retryable Response Codes").
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => matches!(status, 429 | 502 | 503 | 504),
        }
    }
}

/// Sleeps, or returns early with true if the daemon stops.
fn sleep(stopping: &Receiver<()>, time: Duration) -> bool {
    stopping.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// The outcome of one batch, if the collector answers with this text and closes the connection.
    fn sent(answer: &'static str) -> Result<u64, ExportError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let collector = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n{}") {
                let mut part = [0; 1024];
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let sender = BatchSender {
            url,
            agent: Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into(),
            resource: Resource { service: "acgs".to_owned(), instance: "1".to_owned() },
            counts: Arc::default(),
            is_failing: false,
        };
        let outcome = sender.send("{}");
        collector.join().unwrap();
        outcome
    }

    #[test]
    fn a_batch_that_the_collector_has_taken_is_not_sent_again() {
        assert_eq!(sent("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{").unwrap(), 0, "the answer is cut off");
        let partial = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":\"2\"}}";
        assert_eq!(sent(partial).unwrap(), 2);
        let busy = sent("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap_err();
        assert!(busy.is_transient(), "{busy}");
    }
}
