//! Posts alerts to a URL, signed, in order, and again until they are taken.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use ring::hmac;
use time::OffsetDateTime;
use ureq::Agent;

/// Notifications that may wait; more are dropped.
const WAITING: usize = 256;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before another attempt: at first, and at most, doubling each time.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// After this time a notification is given up.
const GIVE_UP: Duration = Duration::from_hours(1);

/// The longest sleep before the thread checks whether it has to end.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The header with the time and the signature.
const SIGNATURE: &str = "X-ACGS-Signature";

/// Where notifications are posted to, and the key that signs them.
#[derive(Clone)]
pub struct Target {
    /// The URL.
    pub url: String,
    /// The key.
    pub key: Vec<u8>,
}

/// Hands notifications to the thread that posts them; shared by all clones.
#[derive(Debug, Clone)]
pub struct Webhook {
    sender: SyncSender<Notification>,
    counts: DeliveryCounts,
    is_over: Arc<AtomicBool>,
}

/// What became of notifications; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct DeliveryCounts(Arc<[AtomicU64; 3]>);

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// An attempt failed.
    Failed,
    /// It was given up, or there was no room for it.
    Dropped,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl DeliveryCounts {
    /// The counts since the start, in the order of [`Delivery::ALL`].
    #[must_use]
    pub fn get(&self) -> [u64; 3] {
        std::array::from_fn(|place| self.0.get(place).map_or(0, |count| count.load(Ordering::Relaxed)))
    }

    fn add(&self, delivery: Delivery) {
        if let Some(count) = self.0.get(delivery as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Notification {
    body: String,
    made: Instant,
}

impl Webhook {
    /// Starts the thread.
    pub fn start(target: Target, counts: DeliveryCounts) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let is_over = Arc::new(AtomicBool::new(false));
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &target.key);
        let poster = Poster { url: target.url, key, agent, counts: counts.clone(), is_over: Arc::clone(&is_over) };
        thread::Builder::new().name("alert-webhook".to_owned()).spawn(move || poster.run(&receiver))?;
        Ok(Self { sender, counts, is_over })
    }

    /// Queues a JSON text, without blocking.
    pub fn post(&self, body: String) {
        match self.sender.try_send(Notification { body, made: Instant::now() }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.add(Delivery::Dropped);
                tracing::warn!("an alert is not posted to the webhook: too many wait for it");
            }
        }
    }

    /// Ends the thread after its present attempt.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

struct Poster {
    url: String,
    key: hmac::Key,
    agent: Agent,
    counts: DeliveryCounts,
    is_over: Arc<AtomicBool>,
}

impl Poster {
    fn run(&self, receiver: &Receiver<Notification>) {
        while !self.is_over.load(Ordering::Acquire) {
            match receiver.recv_timeout(POLL_INTERVAL) {
                Ok(notification) => self.deliver(&notification),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn deliver(&self, notification: &Notification) {
        let mut pause = PAUSES.0;
        loop {
            match self.attempt(&notification.body) {
                Ok(()) => return self.counts.add(Delivery::Delivered),
                Err(why) => {
                    self.counts.add(Delivery::Failed);
                    tracing::warn!(why, "the webhook did not take an alert; retried for an hour");
                }
            }
            if notification.made.elapsed() + pause > GIVE_UP || !self.sleep(pause) {
                tracing::error!(alert = notification.body, "an alert was not posted to the webhook");
                return self.counts.add(Delivery::Dropped);
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn attempt(&self, body: &str) -> Result<(), String> {
        let signature = signature(&self.key, OffsetDateTime::now_utc().unix_timestamp(), body);
        let posted = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", concat!("acgs/", env!("CARGO_PKG_VERSION")))
            .header(SIGNATURE, &signature)
            .send(body);
        match posted {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("status {}", answer.status().as_u16())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// False if the thread is to end.
    fn sleep(&self, length: Duration) -> bool {
        let until = Instant::now() + length;
        while !self.is_over.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(POLL_INTERVAL));
        }
        false
    }
}

/// The time in seconds since 1970, and the HMAC over it, a dot and the body: a receiver can refuse repetitions by age.
fn signature(key: &hmac::Key, at: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", HEXLOWER.encode(tag.as_ref()))
}

/// Without the key.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("url", &self.url).finish_non_exhaustive()
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
}
