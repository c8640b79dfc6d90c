//! Refresh token rotation: a refresh token is exchanged for new tokens once.
//!
//! An answer can be lost, and two browser tabs can send the same token. So for a few seconds after the first use the
//! same client gets the same successor again, until that successor is used. Any other reuse means that the token was
//! copied: the session ends.

use std::time::Instant;

use actix::{Handler, Message};
use sha2::{Digest, Sha256};

use super::grants::{Grant, deny_stored};
use super::logins::Attempt;
use super::made::Made;
use super::revocations::RevokeSession;
use super::{Directory, DirectoryError, deny_sessions, event, now};
use crate::auth::scope::Scopes;
use crate::auth::secret;
use crate::ledger::Event;
use crate::store::Connection;
use crate::store::refresh_tokens::{self, RefreshToken, Rotation};
use crate::store::sessions::{self, Session};
use crate::store::users::{self, User};

/// Exchanges a refresh token for new tokens.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct Refresh {
    /// The refresh token.
    pub token: String,
    /// The scopes of the new tokens; `None`: those of the session.
    pub scopes: Option<Scopes>,
    /// Where the request comes from.
    pub attempt: Attempt,
}

impl Handler<Refresh> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: Refresh, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.settle()?;
        let (refreshed, revision) = self.record_and_commit(|conn| self.refresh(conn, &ask, now))?;
        refreshed.map_err(|ended| {
            if let Some((session, caller)) = ended.session {
                let ids = deny_sessions([session.clone()], now);
                self.trust.denied().add(ids.iter().cloned(), Instant::now());
                if let Some(revision) = revision {
                    let again = RevokeSession { session, caller };
                    self.made.add(Made::new(again, Vec::new(), ids, revision));
                }
            }
            DirectoryError::BadGrant(ended.why)
        })
    }
}

/// Why no tokens are granted.
struct Ended {
    why: &'static str,
    /// The id of the session that ended for it, and the name of its user in records.
    session: Option<(String, String)>,
}

/// The new tokens, or the reason for a refusal. A refusal is no error, since the end of its session must be committed.
type Refreshed = (Result<Grant, Ended>, Vec<Event>);

fn refused(why: &'static str) -> Refreshed {
    (Err(Ended { why, session: None }), Vec::new())
}

impl Directory {
    fn refresh(&self, conn: &mut Connection, ask: &Refresh, now: i64) -> Result<Refreshed, DirectoryError> {
        let unknown = "the refresh token is not valid";
        let Some(token) = refresh_tokens::find(conn, &secret::digest(&ask.token))? else { return Ok(refused(unknown)) };
        let Some(session) = sessions::find(conn, &token.session)? else { return Ok(refused(unknown)) };
        let Some(user) = users::find_by_id(conn, &session.user_id)? else { return Ok(refused(unknown)) };
        if session.ended_at.is_some() || user.disabled_at.is_some() {
            return Ok(refused("the session has ended"));
        }
        if token.used_at.is_none() {
            return self.rotate(conn, ask, &session, &user, now);
        }
        match self.successor(conn, ask, &token, now)? {
            Some(successor) => self.repeat(ask, &successor, &session, &user, now),
            None => end_family(conn, ask, session, &user, now),
        }
    }

    /// Replaces an unused token by its successor.
    fn rotate(
        &self,
        conn: &mut Connection,
        ask: &Refresh,
        session: &Session,
        user: &User,
        now: i64,
    ) -> Result<Refreshed, DirectoryError> {
        let (old, seed) = (secret::digest(&ask.token), secret::seed());
        let successor = secret::RefreshToken::following(&ask.token, &seed);
        let (grant, fresh, token_id) = self.grant_session(user, session, &successor, ask.scopes, now)?;
        match refresh_tokens::rotate(conn, &old, &fresh.digest, fresh.expires_at, now)? {
            Rotation::Rotated(_) => refresh_tokens::remember_use(conn, &old, &seed, &ask.attempt.digest())?,
            Rotation::Reused(_) | Rotation::Expired | Rotation::Unknown => {
                return Ok(refused("the refresh token has expired"));
            }
        }
        let event = event(&format!("user:{}", user.name), "refreshed").name("session", &*session.id);
        Ok((Ok(grant), vec![event.name("token", token_id)]))
    }

    /// The successor of a used token, if it may be given again: to the same client, within the grace period, while
    /// unused.
    fn successor(
        &self,
        conn: &mut Connection,
        ask: &Refresh,
        token: &RefreshToken,
        now: i64,
    ) -> Result<Option<secret::RefreshToken>, DirectoryError> {
        let is_soon = token.used_at.is_some_and(|used| (used..=used + self.lifetimes.grace).contains(&now));
        let is_same = token.used_by.as_deref().is_some_and(|by| secret::equals(by, &ask.attempt.digest()));
        let seed = token.seed.as_deref().and_then(|seed| <&[u8; 32]>::try_from(seed).ok());
        let Some(seed) = seed.filter(|_| self.lifetimes.grace > 0 && is_soon && is_same) else { return Ok(None) };
        let successor = secret::RefreshToken::following(&ask.token, seed);
        let stored = refresh_tokens::find(conn, &successor.digest())?;
        Ok(stored.filter(|stored| stored.used_at.is_none() && stored.expires_at > now).map(|_| successor))
    }

    /// Gives the same successor again.
    fn repeat(
        &self,
        ask: &Refresh,
        successor: &secret::RefreshToken,
        session: &Session,
        user: &User,
        now: i64,
    ) -> Result<Refreshed, DirectoryError> {
        let (grant, _, token_id) = self.grant_session(user, session, successor, ask.scopes, now)?;
        let event = event(&format!("user:{}", user.name), "refresh_repeated")
            .name("session", &*session.id)
            .name("token", token_id)
            .name("address", &*ask.attempt.address);
        Ok((Ok(grant), vec![event]))
    }
}

/// Ends the session of a refresh token that was used twice.
fn end_family(
    conn: &mut Connection,
    ask: &Refresh,
    session: Session,
    user: &User,
    now: i64,
) -> Result<Refreshed, DirectoryError> {
    sessions::end(conn, &session.id, "refresh_token_reused", now)?;
    deny_stored(conn, std::slice::from_ref(&session.id), now)?;
    let caller = format!("user:{}", user.name);
    let event =
        event(&caller, "refresh_token_reused").name("session", &*session.id).name("address", &*ask.attempt.address);
    Ok((Err(Ended { why: "the refresh token was used before", session: Some((session.id, caller)) }), vec![event]))
}

impl Attempt {
    /// A digest that tells apart the clients that send the same token.
    fn digest(&self) -> [u8; 32] {
        Sha256::new_with_prefix(&self.address).chain_update([0_u8]).chain_update(&self.user_agent).finalize().into()
    }
}
