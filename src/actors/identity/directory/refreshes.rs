//! Refresh token rotation: a refresh token is exchanged for new tokens once.
//!
//! An answer can be lost, and two browser tabs can send the same token. So for a few seconds after the first use the
//! same client gets the same successor again, until that successor is used. Any other reuse means that the token was
//! copied: the session ends.

use actix::{Handler, Message};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::grants::{Grant, deny_stored};
use super::logins::LoginOrigin;
use super::withdrawal::{Applied, Withdrawal};
use super::{Directory, DirectoryError, delayed, deny_sessions, event, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::caller::Caller;
use crate::auth::scope::Scopes;
use crate::auth::secret;
use crate::ledger::Event;
use crate::store::refresh_tokens::{self, RefreshToken, Rotation};
use crate::store::sessions::{self, Session};
use crate::store::users::{self, User};
use crate::store::{Connection, StoreError};

/// Exchanges a refresh token for new tokens.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct Refresh {
    /// The refresh token.
    pub token: String,
    /// The scopes of the new tokens; `None`: those of the session.
    pub scopes: Option<Scopes>,
    /// Where the request comes from.
    pub origin: LoginOrigin,
}

impl Handler<Refresh> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: Refresh, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let refused = match self.change(|conn| self.refresh(conn, &ask, now)) {
            Ok(Ok(grant)) => return Ok(grant),
            Ok(Err(refused)) => refused,
            // A copied token ends its session also if nothing can be written.
            Err(error) => match self.store.query(|conn| self.state_of(conn, &ask, now)) {
                Ok(RefreshState::Refused(refused @ Refused { copied: Some(_), .. })) => refused,
                Ok(_) | Err(_) => return Err(error),
            },
        };
        // Each further use of the token would queue one more withdrawal while nothing can be written.
        let is_over = |copied: &EndCopied| self.trust.denied().has_any(&copied.names(self));
        if let Some(copied) = refused.copied.filter(|copied| !is_over(copied)) {
            self.withdraw(copied)?;
        }
        Err(DirectoryError::BadGrant(refused.why))
    }
}

/// Why no tokens are granted.
struct Refused {
    why: &'static str,
    /// The session to end, if the token was copied.
    copied: Option<EndCopied>,
}

impl Refused {
    fn because(why: &'static str) -> Self {
        Self { why, copied: None }
    }
}

/// How a refresh token is to be answered.
enum RefreshState {
    /// It is replaced by its successor.
    Unused(Session, User),
    /// The same successor is given again.
    Repeated(secret::RefreshToken, Session, User),
    Refused(Refused),
}

/// The new tokens, or the reason for a refusal.
type Refreshed = (Result<Grant, Refused>, Vec<Event>);

impl Directory {
    fn refresh(&self, conn: &mut Connection, ask: &Refresh, now: i64) -> Result<Refreshed, DirectoryError> {
        match self.state_of(conn, ask, now)? {
            RefreshState::Unused(session, user) => self.rotate(conn, ask, &session, &user, now),
            RefreshState::Repeated(successor, session, user) => self.repeat(ask, &successor, &session, &user, now),
            RefreshState::Refused(refused) => Ok((Err(refused), Vec::new())),
        }
    }

    /// Looks a refresh token up, without writing.
    fn state_of(&self, conn: &mut Connection, ask: &Refresh, now: i64) -> Result<RefreshState, StoreError> {
        let unknown = || RefreshState::Refused(Refused::because("the refresh token is not valid"));
        let Some(token) = refresh_tokens::find(conn, &secret::digest(&ask.token))? else { return Ok(unknown()) };
        let Some(session) = sessions::find(conn, &token.session)? else { return Ok(unknown()) };
        let Some(user) = users::find_by_id(conn, &session.user_id)? else { return Ok(unknown()) };
        if session.ended_at.is_some() || user.disabled_at.is_some() {
            return Ok(RefreshState::Refused(Refused::because("the session has ended")));
        }
        if token.used_at.is_none() {
            return Ok(RefreshState::Unused(session, user));
        }
        Ok(match self.successor(conn, ask, &token, now)? {
            Some(successor) => RefreshState::Repeated(successor, session, user),
            None => RefreshState::Refused(Refused {
                why: "the refresh token was used before",
                copied: Some(EndCopied { session: session.id, user: user.name, address: ask.origin.address.clone() }),
            }),
        })
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
            Rotation::Rotated(_) => refresh_tokens::remember_use(conn, &old, &seed, &ask.origin.digest())?,
            Rotation::Reused(_) | Rotation::Expired | Rotation::Unknown => {
                return Ok((Err(Refused::because("the refresh token has expired")), Vec::new()));
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
    ) -> Result<Option<secret::RefreshToken>, StoreError> {
        let is_soon = token.used_at.is_some_and(|used| (used..=used + self.lifetimes.grace).contains(&now));
        let is_same = token.used_by.as_deref().is_some_and(|by| secret::equals(by, &ask.origin.digest()));
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
            .name("address", &*ask.origin.address);
        Ok((Ok(grant), vec![event]))
    }
}

/// Ends the session of a refresh token that was used twice.
#[derive(Clone)]
struct EndCopied {
    session: String,
    /// The user's name.
    user: String,
    /// The address from which the token came the second time.
    address: String,
}

impl Withdrawal for EndCopied {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::session(&self.session)]
    }

    fn delayed(&self) -> Event {
        delayed(&Caller::user_name(&self.user), "refresh_token_reused")
            .name("session", &*self.session)
            .name("address", &*self.address)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        let ended = [self.session.clone()];
        let is_first = sessions::end(conn, &self.session, "refresh_token_reused", now)?;
        deny_stored(conn, &ended, now)?;
        let event = event(&Caller::user_name(&self.user), "refresh_token_reused")
            .name("session", &*self.session)
            .name("address", &*self.address);
        let events = is_first.then_some(event).into_iter().collect();
        Ok(Applied { done: (), ids: deny_sessions(ended, now), events })
    }
}

impl LoginOrigin {
    /// A digest that tells apart the clients that send the same token.
    fn digest(&self) -> [u8; 32] {
        Sha256::new_with_prefix(&self.address).chain_update([0_u8]).chain_update(&self.user_agent).finalize().into()
    }
}
