//! Services that call by themselves.

use actix::{Handler, Message};

use super::grants::deny_stored;
use super::{Directory, DirectoryError, deny_sessions, end_access, event, new_id, now};
use crate::auth::claims::{self, Expected, Typ};
use crate::auth::jwk::Jwks;
use crate::auth::jws::Unverified;
use crate::auth::scope::Roles;
use crate::auth::secret::{self, ClientSecret};
use crate::store::clients::{self, Client};
use crate::store::{Connection, Part, assertions};

/// How far a client's clock may differ, in seconds.
const LEEWAY: u32 = 30;

/// How a client shows who it is (RFC 6749, section 2.3; RFC 7523, section 2.2).
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// Its secret.
    Secret(String),
    /// A token signed with its key, and meant for one of these audiences.
    Assertion {
        /// The token.
        token: String,
        /// What it may have as `aud`.
        audiences: Vec<String>,
    },
    /// Nothing.
    Nothing,
}

/// The client, where the proof is good.
pub(super) fn prove(conn: &mut Connection, id: &str, proof: &ClientProof, now: i64) -> Result<Client, DirectoryError> {
    let client = clients::find(conn, id)?.filter(|client| client.disabled_at.is_none());
    let client = client.ok_or(DirectoryError::BadClient)?;
    let good = match proof {
        ClientProof::Secret(given) => {
            let digest = secret::digest(given);
            client.secret.as_deref().is_some_and(|stored| secret::equals(stored, &digest))
        }
        ClientProof::Assertion { token, audiences } => {
            asserted(conn, &client, token, audiences, now).is_some_and(|unused| unused)
        }
        ClientProof::Nothing => false,
    };
    if good { Ok(client) } else { Err(DirectoryError::BadClient) }
}

/// Whether a client signed this for us, and for the first time.
fn asserted(conn: &mut Connection, client: &Client, token: &str, audiences: &[String], now: i64) -> Option<bool> {
    let keys = Jwks::parse(client.jwks.as_deref()?).ok()?;
    let token = Unverified::parse(token).ok()?;
    token.verify(keys.find(token.kid())?).ok()?;
    let checked = audiences.iter().find_map(|audience| {
        let expected =
            Expected { issuer: &client.id, audience, typ: Typ::ClientAssertion, leeway_s: LEEWAY, role_claim: None };
        claims::check(&token, &expected, now).ok()
    })?;
    if checked.subject != client.id {
        return None;
    }
    let id = checked.token_id?;
    assertions::use_once(conn, &client.id, &id, checked.expires_at + i64::from(LEEWAY), now).ok()
}

/// Looks whether a client is who it says it is.
#[derive(Debug, Message)]
#[rtype(result = "Result<Client, DirectoryError>")]
pub struct ProveClient {
    /// The client's id.
    pub client: String,
    /// What it shows.
    pub proof: ClientProof,
}

impl Handler<ProveClient> for Directory {
    type Result = Result<Client, DirectoryError>;

    fn handle(&mut self, ask: ProveClient, _: &mut Self::Context) -> Self::Result {
        self.change(|conn| Ok((prove(conn, &ask.client, &ask.proof, now())?, Vec::new())))
    }
}

/// Whether there is a client with this id.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, DirectoryError>")]
pub struct HasClient(pub String);

impl Handler<HasClient> for Directory {
    type Result = Result<bool, DirectoryError>;

    fn handle(&mut self, HasClient(id): HasClient, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| clients::find(conn, &id))?.is_some())
    }
}

/// A client to be made.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// Its public keys (a JWK set); it gets a secret where there are none.
    pub jwks: Option<String>,
}

/// A client that was made.
#[derive(Debug, Clone)]
pub struct ClientMade {
    /// As it is stored.
    pub client: Client,
    /// Its secret, which nobody is told again.
    pub secret: Option<String>,
}

/// Makes a client.
#[derive(Debug, Message)]
#[rtype(result = "Result<ClientMade, DirectoryError>")]
pub struct AddClient {
    /// The client.
    pub new: NewClient,
    /// Who makes it.
    pub caller: String,
}

impl Handler<AddClient> for Directory {
    type Result = Result<ClientMade, DirectoryError>;

    fn handle(&mut self, AddClient { new, caller }: AddClient, _: &mut Self::Context) -> Self::Result {
        if let Some(jwks) = &new.jwks {
            Jwks::parse(jwks).map_err(|error| DirectoryError::Refused(format!("`jwks`: {error}")))?;
        }
        let secret = new.jwks.is_none().then(ClientSecret::generate);
        let client = Client {
            id: new_id(),
            name: new.name,
            secret: secret.as_ref().map(|secret| secret.digest().to_vec()),
            jwks: new.jwks,
            roles: new.roles.to_string(),
            session: new_id(),
            disabled_at: None,
            created_at: now(),
            version: 1,
        };
        self.change(|conn| {
            clients::insert(conn, &client)?;
            let event = event(&caller, "client_added")
                .name("client", &*client.id)
                .name("roles", &*client.roles)
                .detail("name", &*client.name);
            Ok(((), vec![event]))
        })?;
        Ok(ClientMade { client, secret: secret.map(|secret| secret.as_str().to_owned()) })
    }
}

/// Lists clients by id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Part<Client>, DirectoryError>")]
pub struct ListClients {
    /// The id after which to begin.
    pub after: Option<String>,
    /// Clients at most.
    pub limit: std::num::NonZeroU16,
}

impl Handler<ListClients> for Directory {
    type Result = Result<Part<Client>, DirectoryError>;

    fn handle(&mut self, ask: ListClients, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| clients::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// Disables or enables a client, gives it other roles, or a new secret. Its tokens end with any of these, and so do the API
/// keys that it made, but with a new secret.
#[derive(Debug, Message)]
#[rtype(result = "Result<ClientMade, DirectoryError>")]
pub struct SetClient {
    /// The client's id.
    pub id: String,
    /// Whether it may do anything; as before where none.
    pub disabled: Option<bool>,
    /// What it may do; as before where none.
    pub roles: Option<Roles>,
    /// Whether it gets a new secret in place of the old one.
    pub new_secret: bool,
    /// Who asks.
    pub caller: String,
}

impl Handler<SetClient> for Directory {
    type Result = Result<ClientMade, DirectoryError>;

    fn handle(&mut self, ask: SetClient, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let secret = ask.new_secret.then(ClientSecret::generate);
        let (made, ended) = self.change(|conn| {
            let mut client =
                clients::find(conn, &ask.id)?.ok_or_else(|| DirectoryError::Missing(format!("client `{}`", ask.id)))?;
            let ended = vec![std::mem::replace(&mut client.session, new_id())];
            if let Some(disabled) = ask.disabled {
                client.disabled_at = disabled.then(|| client.disabled_at.unwrap_or(now));
            }
            if let Some(roles) = ask.roles {
                client.roles = roles.to_string();
            }
            if let Some(secret) = &secret {
                client.secret = Some(secret.digest().to_vec());
            }
            client.version = clients::update(conn, &client)?;
            // With a new secret only the tokens end: it is still the same client that made the keys.
            let ended = if ask.disabled == Some(true) || ask.roles.is_some() {
                end_access(conn, ended, &format!("client:{}", client.id), now)?
            } else {
                deny_stored(conn, &ended, now)?;
                deny_sessions(ended, now)
            };
            let event = event(&ask.caller, "client_changed")
                .name("client", &*client.id)
                .name("roles", &*client.roles)
                .name("disabled", client.disabled_at.is_some())
                .name("new_secret", secret.is_some());
            Ok(((client, ended), vec![event]))
        })?;
        self.trust.denied().add(ended, now);
        Ok(ClientMade { client: made, secret: secret.map(|secret| secret.as_str().to_owned()) })
    }
}

/// Removes a client, and ends its tokens.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RemoveClient {
    /// The client's id.
    pub id: String,
    /// Who asks.
    pub caller: String,
}

impl Handler<RemoveClient> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RemoveClient, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let ended = self.change(|conn| {
            let client =
                clients::find(conn, &ask.id)?.ok_or_else(|| DirectoryError::Missing(format!("client `{}`", ask.id)))?;
            clients::remove(conn, &ask.id)?;
            let ended = end_access(conn, [client.session], &format!("client:{}", ask.id), now)?;
            Ok((ended, vec![event(&ask.caller, "client_removed").name("client", &*ask.id)]))
        })?;
        self.trust.denied().add(ended, now);
        Ok(())
    }
}
