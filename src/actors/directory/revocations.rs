//! Token revocation (RFC 7009).

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::clients::{ClientProof, prove};
use super::grants::{OWN_CLIENT, deny_stored};
use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, GRACE, delayed, deny_sessions, event, now};
use crate::actors::denied::Denied;
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
        let now = now();
        let caller = format!("client:{}", ask.client);
        if ask.client != OWN_CLIENT {
            self.store.transaction(|conn| prove(conn, &ask.client, &ask.proof, now).map(drop))?;
        }
        let digest = secret::digest(&ask.token);
        if let Some(token) = self.store.query(|conn| refresh_tokens::find(conn, &digest))? {
            // Refresh tokens of users are bearer secrets of the daemon's own client.
            if ask.client != OWN_CLIENT {
                return Ok(Withdrawn::Recorded(()));
            }
            return self.withdraw(RevokeSession { session: token.session, caller });
        }
        let Some((id, until)) = self.own_token(&ask.token, &ask.client, now) else {
            return Ok(Withdrawn::Recorded(()));
        };
        let name = Denied::token(&self.trust.issuer, &id);
        self.withdraw(RevokeAccessToken { name, id, until: until + GRACE, caller })
    }
}

/// Revokes one access token.
#[derive(Clone)]
struct RevokeAccessToken {
    name: SmolStr,
    id: String,
    until: i64,
    caller: String,
}

impl Withdrawal for RevokeAccessToken {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![self.name.clone()]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "revoked").name("token", &*self.id)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, _: i64) -> Result<Applied<()>, DirectoryError> {
        ended_tokens::deny(conn, &self.name, self.until)?;
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
        vec![Denied::session(&self.session)]
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
    /// The id and expiry (Unix seconds) of an access token that this daemon issued to `client`, if it has not expired.
    fn own_token(&self, token: &str, client: &str, now: i64) -> Option<(String, i64)> {
        let token = Unverified::parse(token).ok()?;
        let own = self.trust.own();
        let key = own.verifying.iter().find(|key| token.kid().is_some() && key.kid() == token.kid())?;
        token.verify(key).ok()?;
        let claims = token.claims().ok()?;
        let text = |name: &str| claims.get(name).and_then(|claim| claim.as_str());
        let Some(Json::Int(expires_at)) = claims.get("exp").cloned() else { return None };
        let is_own = text("client_id") == Some(client) && expires_at >= now;
        is_own.then(|| text("jti").map(|id| (id.to_owned(), expires_at))).flatten()
    }
}
