//! How clients prove their identity: with a secret, or with an assertion that counts once.

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::{Directory, DirectoryError, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::claims::{self, Expected, Typ};
use crate::auth::jwks::Jwks;
use crate::auth::jws::Unverified;
use crate::auth::secret;
use crate::store::clients::{self, Client};
use crate::store::{Connection, StoreError, assertions};

/// How far a client's clock may differ, in seconds.
const LEEWAY: u32 = 30;

/// A client's proof of identity (RFC 6749, section 2.3; RFC 7523, section 2.2).
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// Its secret.
    Secret(String),
    /// A token signed with its key, and meant for one of these audiences.
    Assertion {
        /// The token.
        token: String,
        /// The accepted values of `aud`.
        audiences: Vec<String>,
    },
    /// Nothing.
    Nothing,
}

/// A client whose proof is valid. If the proof is an assertion, its use is not stored yet.
pub(super) struct Proven {
    client: Client,
    pub(super) assertion: Option<AssertionUse>,
}

/// The use of an assertion.
#[derive(Debug, Clone)]
pub(super) struct AssertionUse {
    client: String,
    id: String,
    /// When the assertion is refused as expired, in Unix seconds.
    expires_at: i64,
}

impl AssertionUse {
    /// The id by which the assertion is denied while its use is not stored.
    pub(super) fn name(&self) -> SmolStr {
        Denylist::assertion(&self.client, &self.id)
    }

    /// Stores the use. False if the assertion was used before.
    pub(super) fn store(&self, conn: &mut Connection, now: i64) -> Result<bool, StoreError> {
        assertions::use_once(conn, &self.client, &self.id, self.expires_at, now)
    }
}

impl Directory {
    /// Verifies a client's proof, and stores the use of an assertion.
    pub(super) fn prove(
        &self,
        conn: &mut Connection,
        id: &str,
        proof: &ClientProof,
        now: i64,
    ) -> Result<Client, DirectoryError> {
        let Proven { client, assertion } = self.verify(conn, id, proof, now)?.ok_or(DirectoryError::BadClient)?;
        match assertion {
            Some(assertion) if !assertion.store(conn, now)? => Err(DirectoryError::BadClient),
            Some(_) | None => Ok(client),
        }
    }

    /// Verifies a client's proof, and that an assertion was not used before, without writing to the database. `None` if
    /// the proof is not valid.
    pub(super) fn verify(
        &self,
        conn: &mut Connection,
        id: &str,
        proof: &ClientProof,
        now: i64,
    ) -> Result<Option<Proven>, StoreError> {
        let Some(client) = clients::find(conn, id)?.filter(|client| client.disabled_at.is_none()) else {
            return Ok(None);
        };
        match proof {
            ClientProof::Secret(given) => {
                let digest = secret::digest(given);
                let is_right = client.secret.as_deref().is_some_and(|stored| secret::equals(stored, &digest));
                Ok(is_right.then_some(Proven { client, assertion: None }))
            }
            ClientProof::Assertion { token, audiences } => {
                let Some(assertion) = signed(&client, token, audiences, now) else { return Ok(None) };
                // The use may be in memory only. Memory is read first: a use leaves it after it is stored.
                let is_used = self.trust.denied().has_any([&assertion.name()])
                    || assertions::is_used(conn, &assertion.client, &assertion.id, now)?;
                Ok((!is_used).then_some(Proven { client, assertion: Some(assertion) }))
            }
            ClientProof::Nothing => Ok(None),
        }
    }
}

/// The use of an assertion that this client signed for this daemon, and that is valid now.
fn signed(client: &Client, token: &str, audiences: &[String], now: i64) -> Option<AssertionUse> {
    let keys = Jwks::parse(client.jwks.as_deref()?).ok()?;
    let token = Unverified::parse(token).ok()?;
    keys.candidates(token.kid()).find(|key| token.verify(key).is_ok())?;
    let checked = audiences.iter().find_map(|audience| {
        let expected =
            Expected { issuer: &client.id, audience, typ: Typ::ClientAssertion, leeway_s: LEEWAY, role_claim: None };
        claims::check(&token, &expected, now).ok()
    })?;
    if checked.subject != client.id {
        return None;
    }
    let expires_at = checked.expires_at + i64::from(LEEWAY);
    Some(AssertionUse { client: client.id.clone(), id: checked.token_id?, expires_at })
}

/// Verifies a client's proof of identity.
#[derive(Debug, Message)]
#[rtype(result = "Result<Client, DirectoryError>")]
pub struct ProveClient {
    /// The client's id.
    pub client: String,
    /// The proof.
    pub proof: ClientProof,
}

impl Handler<ProveClient> for Directory {
    type Result = Result<Client, DirectoryError>;

    fn handle(&mut self, ask: ProveClient, _: &mut Self::Context) -> Self::Result {
        self.store.transaction(|conn| self.prove(conn, &ask.client, &ask.proof, now()))
    }
}
