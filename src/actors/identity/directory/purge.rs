//! Periodic purging of expired sessions, tokens and denied ids.

use std::time::{Duration, Instant};

use actix::{Handler, Message};

use super::{Directory, DirectoryError, now};
use crate::store::{assertions, ended_tokens, refresh_tokens, sessions};

/// How long expired sessions and refresh tokens are kept, in seconds: until then the answer is that they have expired,
/// and not that they are unknown.
const RETENTION_S: i64 = 7 * 86_400;

/// Expired sessions are purged by the wall clock only if it has not jumped for this long: a clock that is wrong for a
/// while must not end sessions for good.
const STEADY: Duration = Duration::from_hours(2);

/// Purges expired rows.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct PurgeExpired {
    /// Time since the wall clock last jumped, or since the start of this process.
    pub steady: Duration,
}

impl Handler<PurgeExpired> for Directory {
    type Result = Result<(), DirectoryError>;

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
            Ok(())
        })
    }
}
