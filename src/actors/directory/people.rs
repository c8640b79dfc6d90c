//! Users, and how they log in.

use std::num::NonZeroU16;

use actix::{Handler, Message};

use super::grants::Grant;
use super::{Directory, DirectoryError, end_access, event, new_id, now, second_factor};
use crate::auth::scope::Roles;
use crate::store::sessions::{self, Session};
use crate::store::users::{self, User};
use crate::store::{Part, refresh_tokens};

/// Finds a user by name.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<User>, DirectoryError>")]
pub struct FindUser(pub String);

impl Handler<FindUser> for Directory {
    type Result = Result<Option<User>, DirectoryError>;

    fn handle(&mut self, FindUser(name): FindUser, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| users::find_by_name(conn, &name))?)
    }
}

/// Lists users by name.
#[derive(Debug, Message)]
#[rtype(result = "Result<Part<User>, DirectoryError>")]
pub struct ListUsers {
    /// The name after which to begin.
    pub after: Option<String>,
    /// Users at most.
    pub limit: NonZeroU16,
}

impl Handler<ListUsers> for Directory {
    type Result = Result<Part<User>, DirectoryError>;

    fn handle(&mut self, ask: ListUsers, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| users::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// Where a login comes from.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The client's address; empty on a Unix socket.
    pub address: String,
    /// What the client calls itself.
    pub user_agent: String,
}

/// Logs a user in whose password was found right.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct LogIn {
    /// As the user was when the password was looked at.
    pub user: User,
    /// The second factor: a one-time password, or a recovery code.
    pub code: Option<String>,
    /// Where it comes from.
    pub attempt: Attempt,
}

/// What everybody is told whose login is refused, whatever the reason.
const REFUSED: &str = "the name, the password or the code is wrong";

impl Handler<LogIn> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: LogIn, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.change(|conn| {
            // The user as it is now: disabled or changed since, the password that was looked at no longer counts.
            let user = users::find_by_id(conn, &ask.user.id)?.filter(|user| user.password == ask.user.password);
            let user = user.filter(|user| user.disabled_at.is_none()).ok_or(DirectoryError::BadGrant(REFUSED))?;
            if user.totp_confirmed && !second_factor::check(conn, &user, ask.code.as_deref(), now)? {
                return Err(DirectoryError::BadGrant(REFUSED));
            }
            let session = Session {
                id: new_id(),
                user_id: user.id.clone(),
                created_at: now,
                last_used_at: now,
                expires_at: now + self.lifetimes.refresh,
                ended_at: None,
                end_reason: None,
                address: ask.attempt.address.clone(),
                client_id: None,
                user_agent: ask.attempt.user_agent.clone(),
            };
            sessions::insert(conn, &session)?;
            let (grant, fresh, token_id) = self.grant_session(&user, &session, None, now)?;
            refresh_tokens::insert(conn, &fresh)?;
            let event = event(&format!("user:{}", user.name), "login")
                .name("session", session.id)
                .name("token", token_id)
                .name("address", ask.attempt.address);
            Ok((grant, vec![event]))
        })
    }
}

/// Records that a login was refused.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RefuseLogin {
    /// The name that was given.
    pub name: String,
    /// Why: `wrong_credentials` or `locked`.
    pub why: &'static str,
    /// The client's address.
    pub address: String,
}

impl Handler<RefuseLogin> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RefuseLogin, _: &mut Self::Context) -> Self::Result {
        let name: String = ask.name.chars().take(100).collect();
        self.record(
            event("anonymous", "login_refused").name("user", name).name("why", ask.why).name("address", ask.address),
        )
    }
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name, by which it logs in.
    pub name: String,
    /// The hash of its password (PHC string).
    pub password: String,
    /// What it may do.
    pub roles: Roles,
}

/// Makes a user.
#[derive(Debug, Message)]
#[rtype(result = "Result<User, DirectoryError>")]
pub struct AddUser {
    /// The user.
    pub new: NewUser,
    /// Who makes it.
    pub caller: String,
}

impl Directory {
    /// Makes a user.
    pub fn add_user(&self, new: NewUser, caller: &str) -> Result<User, DirectoryError> {
        let now = now();
        let user = User {
            id: new_id(),
            name: new.name,
            password: new.password,
            roles: new.roles.to_string(),
            disabled_at: None,
            totp_secret: None,
            totp_confirmed: false,
            totp_last_step: 0,
            created_at: now,
            password_changed_at: now,
            version: 1,
        };
        self.change(|conn| {
            users::insert(conn, &user)?;
            let event = event(caller, "user_added").name("user", &*user.name).name("roles", &*user.roles);
            Ok((user, vec![event]))
        })
    }
}

impl Handler<AddUser> for Directory {
    type Result = Result<User, DirectoryError>;

    fn handle(&mut self, AddUser { new, caller }: AddUser, _: &mut Self::Context) -> Self::Result {
        self.add_user(new, &caller)
    }
}

/// Disables or enables a user, or gives it other roles; its sessions end with either, and the API keys that it made.
#[derive(Debug, Message)]
#[rtype(result = "Result<User, DirectoryError>")]
pub struct SetUser {
    /// The user's name.
    pub name: String,
    /// Whether it may log in; as before where none.
    pub disabled: Option<bool>,
    /// What it may do; as before where none.
    pub roles: Option<Roles>,
    /// Who asks.
    pub caller: String,
}

impl Handler<SetUser> for Directory {
    type Result = Result<User, DirectoryError>;

    fn handle(&mut self, ask: SetUser, _: &mut Self::Context) -> Self::Result {
        self.set(&ask.name, &ask.caller, "user_changed", "changed", |user, now| {
            if let Some(disabled) = ask.disabled {
                user.disabled_at = disabled.then(|| user.disabled_at.unwrap_or(now));
            }
            if let Some(roles) = ask.roles {
                user.roles = roles.to_string();
            }
        })
    }
}

/// Gives a user another password; its sessions end, and the API keys that it made: whoever had the old one may have made
/// some.
#[derive(Debug, Message)]
#[rtype(result = "Result<User, DirectoryError>")]
pub struct ChangePassword {
    /// The user's name.
    pub name: String,
    /// The hash of the new one.
    pub password: String,
    /// Who asks.
    pub caller: String,
}

impl Handler<ChangePassword> for Directory {
    type Result = Result<User, DirectoryError>;

    fn handle(&mut self, ask: ChangePassword, _: &mut Self::Context) -> Self::Result {
        self.set(&ask.name, &ask.caller, "password_changed", "password_changed", |user, now| {
            user.password = ask.password;
            user.password_changed_at = now;
        })
    }
}

impl Directory {
    /// Changes a user, and ends its sessions and its API keys.
    fn set(
        &self,
        name: &str,
        caller: &str,
        what: &str,
        reason: &str,
        change: impl FnOnce(&mut User, i64),
    ) -> Result<User, DirectoryError> {
        let now = now();
        let (user, ended) = self.change(|conn| {
            let mut user =
                users::find_by_name(conn, name)?.ok_or_else(|| DirectoryError::Missing(format!("user `{name}`")))?;
            change(&mut user, now);
            user.version = users::update(conn, &user)?;
            let ended = sessions::end_all(conn, &user.id, reason, now)?;
            let ended = end_access(conn, ended, &format!("user:{}", user.name), now)?;
            let event = event(caller, what)
                .name("user", &*user.name)
                .name("roles", &*user.roles)
                .name("disabled", user.disabled_at.is_some());
            Ok(((user, ended), vec![event]))
        })?;
        self.trust.denied().add(ended, now);
        Ok(user)
    }
}

/// Removes a user, and ends its sessions.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RemoveUser {
    /// The user's name.
    pub name: String,
    /// Who asks.
    pub caller: String,
}

impl Handler<RemoveUser> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RemoveUser, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let ended = self.change(|conn| {
            let user = users::find_by_name(conn, &ask.name)?
                .ok_or_else(|| DirectoryError::Missing(format!("user `{}`", ask.name)))?;
            let ended = sessions::end_all(conn, &user.id, "removed", now)?;
            let ended = end_access(conn, ended, &format!("user:{}", user.name), now)?;
            users::remove(conn, &user.id)?;
            Ok((ended, vec![event(&ask.caller, "user_removed").name("user", user.name)]))
        })?;
        self.trust.denied().add(ended, now);
        Ok(())
    }
}
