//! Periodic purging of expired sessions, tokens and denied ids, and the check of the signing key's age.

use std::time::{Duration, Instant};

use actix::{Handler, Message};

use super::{Directory, DirectoryError, now};
use crate::store::{assertions, ended_tokens, refresh_tokens, sessions, signing_keys};

/// How long expired sessions and refresh tokens are kept, in seconds: until then the answer is that they have expired,
/// and not that they are unknown.
const RETENTION_S: i64 = 7 * 86_400;

/// Expired sessions are purged by the wall clock only if it has not jumped for this long: a clock that is wrong for a
/// while must not end sessions for good.
const STEADY: Duration = Duration::from_hours(2);

/// Purges expired rows, and answers whether the signing key is due for rotation.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, DirectoryError>")]
pub struct PurgeExpired {
    /// How long a key may sign, in seconds.
    pub key_lifetime: i64,
    /// Time since the wall clock last jumped, or since the start of this process.
    pub steady: Duration,
}

impl Handler<PurgeExpired> for Directory {
    type Result = Result<bool, DirectoryError>;

    fn handle(&mut self, ask: PurgeExpired, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.trust.denied().forget(now, Instant::now());
        self.store.transaction(|conn| {
            ended_tokens::purge(conn, now)?;
            assertions::purge(conn, now)?;
            if ask.steady >= STEADY {
                refresh_tokens::purge(conn, now - RETENTION_S)?;
                sessions::purge(conn, now - RETENTION_S)?;
            }
            let signing = signing_keys::all(conn)?.into_iter().filter(|key| key.retired_at.is_none());
            let newest = signing.map(|key| key.created_at).max().unwrap_or(now);
            Ok::<_, DirectoryError>(now - newest >= ask.key_lifetime)
        })
    }
}
