//! Posts alerts to a URL, signed, in order, and again until the receiver takes them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use ring::hmac;
use time::OffsetDateTime;
use ureq::Agent;

/// The most alerts that wait; further ones are dropped.
const QUEUE_LIMIT: usize = 256;

/// The timeout of an attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of the last attempt for each waiting alert, while the daemon stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a stop waits for these last attempts.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest and the longest pause before another attempt; each pause is twice as long as the one before.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The age at which an alert is given up.
const MAX_AGE: Duration = Duration::from_hours(1);

/// The longest sleep before the thread checks whether it has to end.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The header with the time and the signature.
const SIGNATURE: &str = "X-ACGS-Signature";

/// The receiver of alerts, and the key that signs them.
#[derive(Clone)]
pub struct WebhookEndpoint {
    /// The URL.
    pub url: String,
    /// The key.
    pub key: Vec<u8>,
}

/// Hands alerts to the thread that posts them; shared by all clones.
#[derive(Debug, Clone)]
pub struct Webhook {
    sender: SyncSender<Notification>,
    counts: DeliveryCounts,
}

/// The thread that posts alerts.
#[derive(Debug)]
pub struct WebhookThread {
    stop: Sender<()>,
    stopped: Receiver<()>,
    counts: DeliveryCounts,
}

/// Counts of posted alerts and of failed attempts since the start; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct DeliveryCounts(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    queued: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

/// The outcome of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Dropped,
}

impl DeliveryCounts {
    /// Each outcome of an alert, with the number of alerts: `delivered`, or `dropped` because the receiver did not take
    /// it, or because too many were waiting.
    #[must_use]
    pub fn outcomes(&self) -> [(&'static str, u64); 2] {
        let Counters { delivered, dropped, .. } = &*self.0;
        [("delivered", delivered), ("dropped", dropped)].map(|(outcome, count)| (outcome, get(count)))
    }

    /// Failed attempts. An alert has as many attempts as it needs.
    #[must_use]
    pub fn failures(&self) -> u64 {
        get(&self.0.failures)
    }

    /// Alerts that wait, or are being posted.
    fn waiting(&self) -> u64 {
        let [(_, delivered), (_, dropped)] = self.outcomes();
        get(&self.0.queued).saturating_sub(delivered + dropped)
    }

    fn settle(&self, delivery: Delivery) {
        match delivery {
            Delivery::Delivered => add(&self.0.delivered),
            Delivery::Dropped => add(&self.0.dropped),
        }
    }
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// An alert to be posted.
#[derive(Debug)]
struct Notification {
    body: String,
    made: Instant,
}

impl Webhook {
    /// Starts the thread.
    pub fn start(endpoint: WebhookEndpoint, counts: DeliveryCounts) -> io::Result<(Self, WebhookThread)> {
        let (sender, receiver) = sync_channel(QUEUE_LIMIT);
        let (stop, stopping) = mpsc::channel();
        let (ended, stopped) = mpsc::channel();
        let agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &endpoint.key);
        let poster = Poster { url: endpoint.url, key, agent, counts: counts.clone() };
        thread::Builder::new().name("alert-webhook".to_owned()).spawn(move || {
            poster.run(&receiver, &stopping);
            // The receiver may be gone.
            let _ = ended.send(());
        })?;
        Ok((Self { sender, counts: counts.clone() }, WebhookThread { stop, stopped, counts }))
    }

    /// Queues a JSON text, without blocking.
    pub fn post(&self, body: String) {
        add(&self.counts.0.queued);
        let why = match self.sender.try_send(Notification { body, made: Instant::now() }) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => format!("{QUEUE_LIMIT} alerts wait for the receiver"),
            Err(TrySendError::Disconnected(_)) => "the thread that posts alerts has ended".to_owned(),
        };
        self.counts.settle(Delivery::Dropped);
        tracing::warn!(why, "an alert is not posted to the webhook; /v1/alerts and the audit log have it");
    }
}

impl WebhookThread {
    /// Has each waiting alert posted once more, and waits a few seconds for that. A thread that still waits for the
    /// receiver then ends with the process.
    pub fn stop(self) {
        let (waiting, delivered) = (self.counts.waiting(), get(&self.counts.0.delivered));
        drop(self.stop);
        // The number of lost alerts tells whether the thread has ended.
        let _ = self.stopped.recv_timeout(STOP_TIMEOUT);
        let lost = waiting.saturating_sub(get(&self.counts.0.delivered) - delivered);
        if lost > 0 {
            tracing::warn!(
                lost,
                "the webhook does not take alerts, and the daemon stops; the audit log has these alerts"
            );
        }
    }
}

/// Why the receiver did not take an alert.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("{0}")]
    Unreachable(#[from] Box<ureq::Error>),
    #[error("it answered with status `{0}`")]
    Status(u16),
}

impl PostError {
    /// Whether the receiver would refuse the same alert again: a status that blames the request.
    fn is_final(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Status(408 | 429) => false,
            Self::Status(status) => (400..500).contains(status),
        }
    }
}

/// The state of the thread.
struct Poster {
    url: String,
    key: hmac::Key,
    agent: Agent,
    counts: DeliveryCounts,
}

impl Poster {
    fn run(&self, receiver: &Receiver<Notification>, stopping: &Receiver<()>) {
        while stopping.try_recv() != Err(TryRecvError::Disconnected) {
            match receiver.recv_timeout(POLL_INTERVAL) {
                Ok(notification) => self.counts.settle(self.deliver(&notification, stopping)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        for notification in receiver.try_iter() {
            self.counts.settle(self.deliver_now(&notification));
        }
    }

    /// Posts an alert until it is taken, refused or too old, or until the daemon stops.
    fn deliver(&self, notification: &Notification, stopping: &Receiver<()>) -> Delivery {
        let mut pause = BACKOFF.0;
        loop {
            let Err(error) = self.attempt(&notification.body, TIMEOUT) else { return Delivery::Delivered };
            if error.is_final() || notification.made.elapsed() + pause > MAX_AGE {
                let alert = &notification.body;
                tracing::error!(%error, alert, "the webhook did not take an alert; it is not posted again");
                return Delivery::Dropped;
            }
            let pause_s = pause.as_secs();
            tracing::warn!(%error, pause_s, "the webhook did not take an alert; it is posted again after a pause");
            if stopping.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return self.deliver_now(notification);
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Posts an alert once.
    fn deliver_now(&self, notification: &Notification) -> Delivery {
        match self.attempt(&notification.body, LAST_TIMEOUT) {
            Ok(()) => Delivery::Delivered,
            Err(error) => {
                let alert = &notification.body;
                tracing::warn!(%error, alert, "the webhook did not take an alert, and the daemon stops");
                Delivery::Dropped
            }
        }
    }

    fn attempt(&self, body: &str, timeout: Duration) -> Result<(), PostError> {
        let outcome = self.send(body, timeout);
        if outcome.is_err() {
            add(&self.counts.0.failures);
        }
        outcome
    }

    fn send(&self, body: &str, timeout: Duration) -> Result<(), PostError> {
        let signature = signature(&self.key, OffsetDateTime::now_utc().unix_timestamp(), body);
        let request = self.agent.post(&self.url).config().timeout_global(Some(timeout)).build();
        let answer = request
            .header("Content-Type", "application/json")
            .header("User-Agent", concat!("acgs/", env!("CARGO_PKG_VERSION")))
            .header(SIGNATURE, &signature)
            .send(body)
            .map_err(Box::new)?;
        if answer.status().is_success() { Ok(()) } else { Err(PostError::Status(answer.status().as_u16())) }
    }
}

/// The time in seconds since 1970, and the HMAC over it, a dot and the body: a receiver can refuse repetitions by age.
fn signature(key: &hmac::Key, at: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", HEXLOWER.encode(tag.as_ref()))
}

/// Without the key, and without the URL, whose path may be a token.
impl fmt::Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEndpoint").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        let expected = "t=1700000000,v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23";
        assert_eq!(signature(&key, 1_700_000_000, "{\"a\":1}"), expected);
    }

    #[test]
    fn an_alert_that_the_receiver_refuses_is_not_posted_again() {
        let is_final = [301, 400, 404, 408, 410, 429, 500, 503].map(|status| PostError::Status(status).is_final());
        assert_eq!(is_final, [false, true, true, false, true, false, false, false]);
    }
}
