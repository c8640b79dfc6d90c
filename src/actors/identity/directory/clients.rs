//! Services that call by themselves.

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::grants::deny_stored;
use super::withdrawal::Sets;
use super::withdrawal::{Applied, Withdrawal, Withdrawn, are_less};
use super::{Directory, DirectoryError, Ended, delayed, deny_sessions, end_access, event, new_id, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::caller::Caller;
use crate::auth::granter::Granter;
use crate::auth::jwks::Jwks;
use crate::auth::scope::Roles;
use crate::auth::secret::ClientSecret;
use crate::ledger::Event;
use crate::store::clients::{self, Client};
use crate::store::{Connection, ListPage};

/// Asks whether a client with this id exists.
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
    /// The label for people.
    pub name: String,
    /// The roles of the client.
    pub roles: Roles,
    /// Its public keys (a JWK set); without them it gets a secret.
    pub jwks: Option<String>,
}

/// A client that was made.
#[derive(Debug, Clone)]
pub struct ClientMade {
    /// The stored client.
    pub client: Client,
    /// Its secret, which is not shown again.
    pub secret: Option<String>,
}

/// Makes a client.
#[derive(Debug, Message)]
#[rtype(result = "Result<ClientMade, DirectoryError>")]
pub struct AddClient {
    /// The client.
    pub new: NewClient,
    /// The caller.
    pub granter: Granter,
}

impl Handler<AddClient> for Directory {
    type Result = Result<ClientMade, DirectoryError>;

    fn handle(&mut self, AddClient { new, granter }: AddClient, _: &mut Self::Context) -> Self::Result {
        granter.check_roles(new.roles)?;
        if let Some(jwks) = &new.jwks {
            let refused = |cause: &dyn std::fmt::Display| DirectoryError::Refused(format!("`jwks`: {cause}"));
            let keys = Jwks::parse(jwks).map_err(|error| refused(&error))?;
            if let Some(skipped) = keys.skipped().first() {
                return Err(refused(&format_args!("key {}: {}", skipped.place, skipped.cause)));
            }
            if keys.keys().is_empty() {
                return Err(refused(&"it has no key"));
            }
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
            made_by: Some(granter.name.to_string()),
        };
        self.change(|conn| {
            self.check_granter(conn, &granter)?;
            clients::insert(conn, &client)?;
            let event = event(&granter.name, "client_added")
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
#[rtype(result = "Result<ListPage<Client>, DirectoryError>")]
pub struct ListClients {
    /// The id after which to begin.
    pub after: Option<String>,
    /// Clients at most.
    pub limit: std::num::NonZeroU16,
}

impl Handler<ListClients> for Directory {
    type Result = Result<ListPage<Client>, DirectoryError>;

    fn handle(&mut self, ask: ListClients, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| clients::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// Disables or enables a client, or gives it other roles or a new secret. Each of these ends its tokens, and, except
/// for a new secret, the API keys that it made.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<ClientMade>, DirectoryError>")]
pub struct SetClient {
    /// The client's id.
    pub id: String,
    /// Whether to disable it; `None`: no change.
    pub disabled: Option<bool>,
    /// The new roles; `None`: no change.
    pub roles: Option<Roles>,
    /// The new secret, which replaces the old one.
    pub secret: Option<ClientSecret>,
    /// The caller.
    pub granter: Granter,
}

impl SetClient {
    /// Whether the change only takes rights away.
    fn withdraws(&self, directory: &Directory) -> bool {
        let has_less = |roles: Roles| {
            let client = directory.store.query(|conn| clients::find(conn, &self.id)).ok().flatten();
            client.is_some_and(|client| are_less(roles, &client.roles))
        };
        self.secret.is_none()
            && (self.disabled == Some(true) || (self.disabled.is_none() && self.roles.is_some_and(has_less)))
    }
}

impl Withdrawal for SetClient {
    type Done = ClientMade;

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::holder(&Caller::client_name(&self.id))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.granter.name, "client_changed")
            .name("client", &*self.id)
            .name("disabled", self.disabled)
            .name("roles", self.roles.map(|roles| roles.to_string()))
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<ClientMade>, DirectoryError> {
        let mut client =
            clients::find(conn, &self.id)?.ok_or_else(|| DirectoryError::Missing(format!("client `{}`", self.id)))?;
        let ended = vec![std::mem::replace(&mut client.session, new_id())];
        if let Some(disabled) = self.disabled {
            client.disabled_at = disabled.then(|| client.disabled_at.unwrap_or(now));
        }
        if let Some(roles) = self.roles {
            client.roles = roles.to_string();
        }
        if let Some(secret) = &self.secret {
            client.secret = Some(secret.digest().to_vec());
        }
        let gives_roles = self.roles.is_some_and(|roles| !roles.is_empty());
        if self.secret.is_some() || self.disabled == Some(false) || gives_roles {
            let roles =
                client.roles.parse().map_err(|_| DirectoryError::Failed("the stored roles cannot be parsed".into()))?;
            self.granter.check_roles(roles)?;
        }
        client.version = clients::update(conn, &client)?;
        // A new secret ends the client's tokens only. The keys that it made are still those of the same client.
        let ended = if self.disabled == Some(true) || self.roles.is_some() {
            end_access(conn, ended, &format!("client:{}", client.id), now)?
        } else {
            deny_stored(conn, &ended, now)?;
            Ended { ids: deny_sessions(ended, now), callers: Vec::new() }
        };
        let event = event(&self.granter.name, "client_changed")
            .name("client", &*client.id)
            .name("roles", &*client.roles)
            .name("disabled", client.disabled_at.is_some())
            .name("new_secret", self.secret.is_some())
            .detail("ended", ended.callers);
        let secret = self.secret.as_ref().map(|secret| secret.as_str().to_owned());
        Ok(Applied { done: ClientMade { client, secret }, ids: ended.ids, events: vec![event] })
    }

    fn taking(&self) -> Option<Self> {
        Some(Self { disabled: None, roles: None, ..self.clone() })
    }

    fn sets(&self) -> Sets {
        Sets { disabled: self.disabled.is_some(), roles: self.roles.is_some() }
    }

    fn without(self, later: Sets) -> Self {
        let (disabled, roles) = (self.disabled.filter(|_| !later.disabled), self.roles.filter(|_| !later.roles));
        Self { disabled, roles, ..self }
    }
}

impl Handler<SetClient> for Directory {
    type Result = Result<Withdrawn<ClientMade>, DirectoryError>;

    fn handle(&mut self, ask: SetClient, _: &mut Self::Context) -> Self::Result {
        if ask.withdraws(self) { self.withdraw(ask) } else { self.grant(&ask).map(Withdrawn::Recorded) }
    }
}

/// Removes a client, and ends its tokens.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct RemoveClient {
    /// The client's id.
    pub id: String,
    /// The caller's name in records.
    pub caller: String,
}

impl Withdrawal for RemoveClient {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::holder(&Caller::client_name(&self.id))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "client_removed").name("client", &*self.id)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        let client =
            clients::find(conn, &self.id)?.ok_or_else(|| DirectoryError::Missing(format!("client `{}`", self.id)))?;
        clients::remove(conn, &self.id)?;
        let ended = end_access(conn, [client.session], &format!("client:{}", self.id), now)?;
        let event = event(&self.caller, "client_removed").name("client", &*self.id).detail("ended", ended.callers);
        Ok(Applied { done: (), ids: ended.ids, events: vec![event] })
    }
}

impl Handler<RemoveClient> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, ask: RemoveClient, _: &mut Self::Context) -> Self::Result {
        self.withdraw(ask)
    }
}
