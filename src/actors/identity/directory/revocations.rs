//! Token revocation (RFC 7009). It is in force even if it cannot be recorded yet: see
//! [`withdrawal`](super::withdrawal).

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::grants::{OWN_CLIENT, deny_stored};
use super::proofs::{AssertionUse, ClientProof};
use super::signing::stored_key;
use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, GRACE, delayed, deny_sessions, event, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::jws::Unverified;
use crate::auth::secret;
use crate::domain::Json;
use crate::ledger::Event;
use crate::store::{Connection, ended_tokens, refresh_tokens, sessions};

/// Revokes a token. A text that is no valid token is no error (RFC 7009, section 2.2).
#[derive(Debug, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct RevokeToken {
    /// An access token or a refresh token.
    pub token: String,
    /// The id of the calling client, which may revoke only its own tokens.
    pub client: String,
    /// The client's proof of identity.
    pub proof: ClientProof,
}

impl Handler<RevokeToken> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, ask: RevokeToken, _: &mut Self::Context) -> Self::Result {
        let caller = format!("client:{}", ask.client);
        let assertion = if ask.client == OWN_CLIENT { None } else { self.verify_caller(&ask)? };
        if let Some((id, until)) = self.own_token(&ask.token, &ask.client)? {
            let name = Denylist::token(&self.trust.issuer, &id);
            let until = until.saturating_add(GRACE);
            return self.withdraw(RevokeAccessToken { name, id, until, caller, assertion });
        }
        if ask.client == OWN_CLIENT {
            // Refresh tokens of users are bearer secrets of the daemon's own client.
            let digest = secret::digest(&ask.token);
            if let Some(token) = self.store.query(|conn| refresh_tokens::find(conn, &digest))? {
                return self.withdraw(RevokeSession { session: token.session, caller });
            }
        }
        // Without a withdrawal that stores it, the use of the assertion is stored alone.
        if let Some(assertion) = assertion {
            let is_first = self.store.transaction(|conn| assertion.store(conn, now()))?;
            if !is_first {
                return Err(DirectoryError::BadClient);
            }
        }
        Ok(Withdrawn::Recorded(()))
    }
}

/// Revokes one access token.
#[derive(Clone)]
struct RevokeAccessToken {
    name: SmolStr,
    id: String,
    until: i64,
    caller: String,
    /// The assertion that authenticated the caller, if it was one.
    assertion: Option<AssertionUse>,
}

impl Withdrawal for RevokeAccessToken {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        // The assertion does not count again while its use is in memory only.
        std::iter::once(self.name.clone()).chain(self.assertion.as_ref().map(AssertionUse::name)).collect()
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "revoked").name("token", &*self.id)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        ended_tokens::deny(conn, &self.name, self.until)?;
        if let Some(assertion) = &self.assertion {
            // A use stored meanwhile is no error: to revoke a token twice is harmless.
            assertion.store(conn, now)?;
        }
        let events = vec![event(&self.caller, "revoked").name("token", &*self.id)];
        Ok(Applied { done: (), ids: vec![(self.name.clone(), self.until)], events })
    }
}

/// Ends the session to which a refresh token belongs.
#[derive(Clone)]
pub(super) struct RevokeSession {
    pub(super) session: String,
    /// The caller's name in records.
    pub(super) caller: String,
}

impl Withdrawal for RevokeSession {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::session(&self.session)]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "revoked").name("session", &*self.session)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        let ended = [self.session.clone()];
        sessions::end(conn, &self.session, "revoked", now)?;
        deny_stored(conn, &ended, now)?;
        let events = vec![event(&self.caller, "revoked").name("session", &*self.session)];
        Ok(Applied { done: (), ids: deny_sessions(ended, now), events })
    }
}

impl Directory {
    /// Verifies the caller's proof without writing, so that a full disk keeps no token valid. Answers the assertion
    /// whose use is to be stored, if the proof is one.
    fn verify_caller(&self, ask: &RevokeToken) -> Result<Option<AssertionUse>, DirectoryError> {
        let proven = self.store.query(|conn| self.verify(conn, &ask.client, &ask.proof, now()))?;
        Ok(proven.ok_or(DirectoryError::BadClient)?.assertion)
    }

    /// The id and expiry (Unix seconds) of an access token that this daemon issued to `client`.
    ///
    /// An expired token counts too, and so does one of a retired key: if the wall clock is ahead now, the token is
    /// valid again later.
    fn own_token(&self, token: &str, client: &str) -> Result<Option<(String, i64)>, DirectoryError> {
        let Ok(token) = Unverified::parse(token) else { return Ok(None) };
        let Some(kid) = token.kid() else { return Ok(None) };
        let in_use = self.trust.own().verifying.iter().find(|key| key.kid() == Some(kid)).cloned();
        let key = match in_use {
            Some(key) => Some(key),
            None => stored_key(&self.store, kid)?,
        };
        let Some(claims) = key.filter(|key| token.verify(key).is_ok()).and_then(|_| token.claims().ok()) else {
            return Ok(None);
        };
        let text = |name: &str| claims.get(name).and_then(|claim| claim.as_str());
        let Some(Json::Int(expires_at)) = claims.get("exp") else { return Ok(None) };
        let id = text("jti").filter(|_| text("client_id") == Some(client));
        Ok(id.map(|id| (id.to_owned(), *expires_at)))
    }
}
