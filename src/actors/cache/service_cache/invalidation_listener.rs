//! Receives the notifications of other nodes. One triggers a poll of the database by the change feed, which invalidates
//! the caches; a notification itself invalidates nothing. Its content is not trusted, and it may be lost, since the
//! feed also polls from time to time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::PubSub;
use redis::{RedisResult, Value};
use tokio::time::{sleep, timeout};

use super::server::Server;
use super::shared_state::SharedState;

/// Where the messages are.
pub const CHANNEL: &str = "acgs:v1:changes";

/// How long connecting may take, and how long it is from one attempt to the next.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The silence after which a connection is pinged.
const SILENCE: Duration = Duration::from_secs(2);

/// Called for a notification, and whenever some may have been missed.
pub(super) type OnChange = Arc<dyn Fn() + Send + Sync>;

/// Listens for ever.
pub(super) async fn listen(server: &Server, state: &SharedState, on_change: &OnChange) {
    let mut said = String::new();
    loop {
        let failure = match timeout(PING_TIMEOUT, server.subscribe(CHANNEL)).await {
            Ok(Ok(messages)) => {
                state.listening.store(true, Ordering::Relaxed);
                state.was_unsubscribed.store(false, Ordering::Relaxed);
                // Earlier notifications may have been missed.
                on_change();
                said.clear();
                let outcome = receive(messages, state, on_change).await;
                state.listening.store(false, Ordering::Relaxed);
                state.was_unsubscribed.store(true, Ordering::Relaxed);
                outcome.err().map_or_else(|| "the connection ended".to_owned(), |error| error.to_string())
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if failure != said {
            tracing::warn!(
                error = failure,
                "redis pub/sub is unavailable; changes of other nodes are found by polling the database"
            );
            said = failure;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Calls `on_change` for each notification, once for several at a time, until the connection breaks.
async fn receive(messages: PubSub, state: &SharedState, on_change: &OnChange) -> RedisResult<()> {
    let (mut sink, mut stream) = messages.split();
    loop {
        match timeout(SILENCE, stream.next()).await {
            Ok(Some(_)) => {
                state.counters.messages.add(1);
                while let Some(Some(_)) = stream.next().now_or_never() {
                    state.counters.messages.add(1);
                }
                on_change();
            }
            Ok(None) => return Ok(()),
            Err(_) => match timeout(PING_TIMEOUT, sink.ping::<Value>()).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Ok(()),
            },
        }
    }
}
