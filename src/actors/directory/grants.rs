//! Tokens, for those who have proven who they are.

use super::clients::{ClientProof, prove};
use super::{Directory, DirectoryError, GRACE, deny_sessions, event, new_id, now};
use crate::actors::trust::Denied;
use crate::auth::claims::{AT_JWT, AccessClaims};
use crate::auth::jws::Unverified;
use crate::auth::scope::{Roles, Scopes};
use crate::auth::secret;
use crate::domain::Json;
use crate::ledger::Event;
use crate::store::refresh_tokens::{self, RefreshToken, Rotation};
use crate::store::sessions::{self, Session};
use crate::store::users::{self, User};
use crate::store::{Connection, ended_tokens};
use actix::{Handler, Message};

/// The client through which people log in here.
pub(super) const OWN_CLIENT: &str = "acgs";

/// Tokens that were granted.
#[derive(Debug, Clone)]
pub struct Grant {
    /// An RFC 9068 access token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// What it permits.
    pub scopes: Scopes,
    /// For the next one; only people have such.
    pub refresh_token: Option<String>,
}

/// What an access token is to say.
pub(super) struct Wanted<'w> {
    pub(super) subject: &'w str,
    pub(super) client: &'w str,
    pub(super) session: &'w str,
    pub(super) roles: Roles,
    pub(super) scopes: Scopes,
}

impl Directory {
    /// Makes an access token, and answers it with its id.
    pub(super) fn issue(&self, wanted: &Wanted<'_>, now: i64) -> Result<(String, String), DirectoryError> {
        let (id, hash) = (new_id(), self.in_force.hash());
        let claims = AccessClaims {
            iss: &self.trust.issuer,
            sub: wanted.subject,
            aud: &self.trust.audience,
            exp: now + self.lifetimes.access,
            nbf: now,
            iat: now,
            jti: &id,
            client_id: wanted.client,
            scope: wanted.scopes,
            roles: wanted.roles,
            sid: wanted.session,
            constitutional_hash: Some(hash.as_str()),
        };
        let token = self.trust.own().current.sign(AT_JWT, &claims);
        Ok((token.map_err(|error| DirectoryError::Failed(error.to_string()))?, id))
    }

    /// Makes the tokens of a person's session; the refresh token is stored by the caller.
    pub(super) fn grant_session(
        &self,
        user: &User,
        session: &Session,
        narrowed: Option<Scopes>,
        now: i64,
    ) -> Result<(Grant, RefreshToken, String), DirectoryError> {
        let roles: Roles = user.roles.parse().map_err(|_| DirectoryError::Failed("stored roles are unknown".into()))?;
        let scopes = narrowed.unwrap_or(roles.scopes());
        if !roles.scopes().contains_all(scopes) {
            return Err(DirectoryError::BadScope);
        }
        let subject = format!("user:{}", user.name);
        let wanted = Wanted { subject: &subject, client: OWN_CLIENT, session: &session.id, roles, scopes };
        let (access_token, token_id) = self.issue(&wanted, now)?;
        let fresh = secret::RefreshToken::generate();
        let stored = RefreshToken {
            digest: fresh.digest().to_vec(),
            session: session.id.clone(),
            used_at: None,
            expires_at: session.expires_at,
        };
        let expires_in = self.lifetimes.access;
        Ok((
            Grant { access_token, expires_in, scopes, refresh_token: Some(fresh.as_str().to_owned()) },
            stored,
            token_id,
        ))
    }
}

/// Grants an access token to a client that proves who it is (RFC 6749, section 4.4).
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct GrantClient {
    /// The client's id.
    pub client: String,
    /// What it shows.
    pub proof: ClientProof,
    /// What it wants; all it may where it does not say.
    pub scopes: Option<Scopes>,
}

impl Handler<GrantClient> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: GrantClient, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let granted = self.record_use(|conn| {
            let client = prove(conn, &ask.client, &ask.proof, now)?;
            let roles: Roles =
                client.roles.parse().map_err(|_| DirectoryError::Failed("stored roles are unknown".into()))?;
            let scopes = ask.scopes.unwrap_or(roles.scopes());
            let subject = format!("client:{}", client.id);
            if !roles.scopes().contains_all(scopes) {
                // No error yet: that the client's assertion was used is to be committed.
                let event = event(&subject, "scope_refused").name("scopes", scopes.to_string());
                return Ok((Err(DirectoryError::BadScope), event));
            }
            let wanted = Wanted { subject: &subject, client: &client.id, session: &client.session, roles, scopes };
            let (access_token, token_id) = self.issue(&wanted, now)?;
            let event = event(&subject, "granted").name("token", token_id).name("scopes", scopes.to_string());
            let expires_in = self.lifetimes.access;
            Ok((Ok(Grant { access_token, expires_in, scopes, refresh_token: None }), event))
        });
        granted.flatten()
    }
}

/// Grants new tokens for a refresh token, which is good only once.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct Refresh {
    /// The refresh token.
    pub token: String,
    /// What is wanted; as much as before where the caller does not say.
    pub scopes: Option<Scopes>,
}

impl Handler<Refresh> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: Refresh, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let refreshed = self.change(|conn| self.refresh(conn, &ask, now))?;
        refreshed.map_err(|ended| {
            if let Some(session) = ended.session {
                self.trust.denied().add(deny_sessions([session], now), now);
            }
            DirectoryError::BadGrant(ended.why)
        })
    }
}

/// Why no tokens are granted, and the session that ends with it.
struct Ended {
    why: &'static str,
    session: Option<String>,
}

impl Directory {
    /// The new tokens. That there are none is no error here: what ended with it is to be committed.
    fn refresh(
        &self,
        conn: &mut Connection,
        ask: &Refresh,
        now: i64,
    ) -> Result<(Result<Grant, Ended>, Vec<Event>), DirectoryError> {
        let refused = |why| Ok((Err(Ended { why, session: None }), Vec::new()));
        let old = secret::digest(&ask.token);
        let Some(token) = refresh_tokens::find(conn, &old)? else {
            return refused("the refresh token is not valid");
        };
        let Some(session) = sessions::find(conn, &token.session)? else {
            return refused("the refresh token is not valid");
        };
        let Some(user) = users::find_by_id(conn, &session.user_id)? else {
            return refused("the refresh token is not valid");
        };
        let name = format!("user:{}", user.name);
        if token.used_at.is_some() && session.ended_at.is_none() {
            // Whoever has it is either not the one whom it was given to, or somebody took the one that followed it.
            sessions::end(conn, &session.id, "refresh_token_reused", now)?;
            deny_stored(conn, std::slice::from_ref(&session.id), now)?;
            let event = event(&name, "refresh_token_reused").name("session", &*session.id);
            return Ok((
                Err(Ended { why: "the refresh token was used before", session: Some(session.id) }),
                vec![event],
            ));
        }
        if session.ended_at.is_some() || user.disabled_at.is_some() || token.used_at.is_some() {
            return refused("the session has ended");
        }
        let (grant, fresh, token_id) = self.grant_session(&user, &session, ask.scopes, now)?;
        match refresh_tokens::rotate(conn, &old, &fresh.digest, fresh.expires_at, now)? {
            Rotation::Rotated(_) => {}
            Rotation::Reused(_) | Rotation::Expired | Rotation::Unknown => {
                return refused("the refresh token has expired");
            }
        }
        let event = event(&name, "refreshed").name("session", session.id).name("token", token_id);
        Ok((Ok(grant), vec![event]))
    }
}

/// Denies sessions after a restart too.
pub(super) fn deny_stored(conn: &mut Connection, sessions: &[String], now: i64) -> Result<(), DirectoryError> {
    for (id, until) in deny_sessions(sessions.iter().cloned(), now) {
        ended_tokens::deny(conn, &id, until)?;
    }
    Ok(())
}

/// Ends a token (RFC 7009). What is no token is no error.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RevokeToken {
    /// An access or refresh token.
    pub token: String,
    /// Who asks: a client may end only its own tokens.
    pub client: String,
    /// What it shows.
    pub proof: ClientProof,
}

impl Handler<RevokeToken> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RevokeToken, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let caller = format!("client:{}", ask.client);
        let denied = self.change(|conn| {
            if ask.client != OWN_CLIENT {
                prove(conn, &ask.client, &ask.proof, now)?;
            }
            if let Some(token) = refresh_tokens::find(conn, &secret::digest(&ask.token))? {
                // People's refresh tokens are bearer secrets of the own client.
                if ask.client != OWN_CLIENT {
                    return Ok((Vec::new(), Vec::new()));
                }
                let ended = [token.session];
                let [session] = &ended;
                sessions::end(conn, session, "revoked", now)?;
                deny_stored(conn, &ended, now)?;
                let event = event(&caller, "revoked").name("session", session.as_str());
                return Ok((deny_sessions(ended, now), vec![event]));
            }
            let Some((id, until)) = self.own_token(&ask.token, &ask.client, now) else {
                return Ok((Vec::new(), Vec::new()));
            };
            let name = Denied::token(&self.trust.issuer, &id);
            ended_tokens::deny(conn, &name, until + GRACE)?;
            Ok((vec![(name, until + GRACE)], vec![event(&caller, "revoked").name("token", id)]))
        })?;
        if !denied.is_empty() {
            self.trust.denied().add(denied, now);
        }
        Ok(())
    }
}

impl Directory {
    /// The id and expiry of an access token that this daemon made for a client, where it still matters.
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
