//! Tokens for authenticated users and clients.

use super::proofs::ClientProof;
use super::{Directory, DirectoryError, deny_sessions, event, new_id, now};
use crate::auth::claims::{AT_JWT, AccessClaims};
use crate::auth::scope::{Roles, Scopes};
use crate::auth::secret;
use crate::store::refresh_tokens::RefreshToken;
use crate::store::sessions::Session;
use crate::store::users::User;
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
    /// The scopes of the token.
    pub scopes: Scopes,
    /// For the next one; only people have such.
    pub refresh_token: Option<String>,
}

/// The contents of an access token.
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

    /// Makes the tokens of a user's session. `fresh` is the refresh token, which the caller stores.
    pub(super) fn grant_session(
        &self,
        user: &User,
        session: &Session,
        fresh: &secret::RefreshToken,
        narrowed: Option<Scopes>,
        now: i64,
    ) -> Result<(Grant, RefreshToken, String), DirectoryError> {
        let roles: Roles =
            user.roles.parse().map_err(|_| DirectoryError::Failed("the stored roles cannot be parsed".into()))?;
        let scopes = narrowed.unwrap_or(roles.scopes());
        if !roles.scopes().contains_all(scopes) {
            return Err(DirectoryError::BadScope);
        }
        let subject = format!("user:{}", user.name);
        let wanted = Wanted { subject: &subject, client: OWN_CLIENT, session: &session.id, roles, scopes };
        let (access_token, token_id) = self.issue(&wanted, now)?;
        let stored = RefreshToken {
            digest: fresh.digest().to_vec(),
            session: session.id.clone(),
            used_at: None,
            expires_at: session.expires_at,
            seed: None,
            used_by: None,
        };
        let expires_in = self.lifetimes.access;
        Ok((
            Grant { access_token, expires_in, scopes, refresh_token: Some(fresh.as_str().to_owned()) },
            stored,
            token_id,
        ))
    }
}

/// Grants an access token to a client that proves its identity (RFC 6749, section 4.4).
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct GrantClient {
    /// The client's id.
    pub client: String,
    /// The proof.
    pub proof: ClientProof,
    /// The wanted scopes; `None`: all that the client may have.
    pub scopes: Option<Scopes>,
}

impl Handler<GrantClient> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: GrantClient, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let granted = self.record_use(|conn| {
            let client = self.prove(conn, &ask.client, &ask.proof, now)?;
            let roles: Roles =
                client.roles.parse().map_err(|_| DirectoryError::Failed("the stored roles cannot be parsed".into()))?;
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

/// Denies sessions after a restart too.
pub(super) fn deny_stored(conn: &mut Connection, sessions: &[String], now: i64) -> Result<(), DirectoryError> {
    for (id, until) in deny_sessions(sessions.iter().cloned(), now) {
        ended_tokens::deny(conn, &id, until)?;
    }
    Ok(())
}
