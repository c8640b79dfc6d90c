//! Users and their passwords.

use std::num::NonZeroU16;

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::withdrawal::Sets;
use super::withdrawal::{Applied, Withdrawal, Withdrawn, are_less};
use super::{Directory, DirectoryError, delayed, end_access, event, new_id, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::caller::Caller;
use crate::auth::granter::Granter;
use crate::auth::scope::Roles;
use crate::ledger::Event;
use crate::store::users::{self, User};
use crate::store::{Connection, ListPage, sessions};

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
#[rtype(result = "Result<ListPage<User>, DirectoryError>")]
pub struct ListUsers {
    /// The name after which to begin.
    pub after: Option<String>,
    /// Users at most.
    pub limit: NonZeroU16,
}

impl Handler<ListUsers> for Directory {
    type Result = Result<ListPage<User>, DirectoryError>;

    fn handle(&mut self, ask: ListUsers, _: &mut Self::Context) -> Self::Result {
        Ok(self.store.query(|conn| users::list(conn, ask.after.as_deref(), ask.limit))?)
    }
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name, by which it logs in.
    pub name: String,
    /// The hash of its password (PHC string).
    pub password: String,
    /// The roles of the user.
    pub roles: Roles,
}

/// Makes a user.
#[derive(Debug, Message)]
#[rtype(result = "Result<User, DirectoryError>")]
pub struct AddUser {
    /// The user.
    pub new: NewUser,
    /// The caller.
    pub granter: Granter,
}

impl Directory {
    /// Makes a user.
    pub fn add_user(&self, new: NewUser, granter: &Granter) -> Result<User, DirectoryError> {
        let now = now();
        granter.check_roles(new.roles)?;
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
            made_by: Some(granter.name.to_string()),
        };
        self.change(|conn| {
            self.check_granter(conn, granter)?;
            users::insert(conn, &user)?;
            let event = event(&granter.name, "user_added").name("user", &*user.name).name("roles", &*user.roles);
            Ok((user, vec![event]))
        })
    }
}

impl Handler<AddUser> for Directory {
    type Result = Result<User, DirectoryError>;

    fn handle(&mut self, AddUser { new, granter }: AddUser, _: &mut Self::Context) -> Self::Result {
        self.add_user(new, &granter)
    }
}

/// Disables or enables a user, or gives it other roles; its sessions end with either, and the API keys that it made.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<User>, DirectoryError>")]
pub struct SetUser {
    /// The user's name.
    pub name: String,
    /// Whether to disable the user; `None`: no change.
    pub disabled: Option<bool>,
    /// The new roles; `None`: no change.
    pub roles: Option<Roles>,
    /// The caller.
    pub granter: Granter,
}

impl SetUser {
    /// Whether the change only takes rights away.
    fn withdraws(&self, directory: &Directory) -> bool {
        let has_less = |roles: Roles| {
            let user = directory.store.query(|conn| users::find_by_name(conn, &self.name)).ok().flatten();
            user.is_some_and(|user| are_less(roles, &user.roles))
        };
        self.disabled == Some(true) || (self.disabled.is_none() && self.roles.is_some_and(has_less))
    }
}

impl Withdrawal for SetUser {
    type Done = User;

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::holder(&Caller::user_name(&self.name))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.granter.name, "user_changed")
            .name("user", &*self.name)
            .name("disabled", self.disabled)
            .name("roles", self.roles.map(|roles| roles.to_string()))
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<User>, DirectoryError> {
        change(conn, &self.name, &self.granter.name, ("user_changed", "changed"), now, |user| {
            if let Some(disabled) = self.disabled {
                user.disabled_at = disabled.then(|| user.disabled_at.unwrap_or(now));
            }
            if let Some(roles) = self.roles {
                user.roles = roles.to_string();
            }
            if self.disabled == Some(false) || self.roles.is_some_and(|roles| !roles.is_empty()) {
                self.granter.check_roles(user_roles(user)?)?;
            }
            Ok(())
        })
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

impl Handler<SetUser> for Directory {
    type Result = Result<Withdrawn<User>, DirectoryError>;

    fn handle(&mut self, ask: SetUser, _: &mut Self::Context) -> Self::Result {
        if ask.withdraws(self) { self.withdraw(ask) } else { self.grant(&ask).map(Withdrawn::Recorded) }
    }
}

/// The caller who changes a user's password or second factor.
#[derive(Debug, Clone)]
pub enum By {
    /// The user itself, after its password was verified; with a code of the second factor if that is to be removed.
    Itself(Option<String>),
    /// A caller who manages users.
    Granter(Granter),
}

impl By {
    /// The caller's name in records.
    pub(super) fn name(&self, user: &str) -> SmolStr {
        match self {
            Self::Itself(_) => Caller::user_name(user),
            Self::Granter(granter) => granter.name.clone(),
        }
    }

    /// Allows a caller who is the user itself, or has at least the user's rights.
    pub(super) fn check(&self, user: &User) -> Result<(), DirectoryError> {
        match self {
            Self::Itself(_) => Ok(()),
            Self::Granter(granter) => Ok(granter.check_roles(user_roles(user)?)?),
        }
    }
}

/// The roles of a user, parsed from its row.
pub(super) fn user_roles(user: &User) -> Result<Roles, DirectoryError> {
    user.roles.parse().map_err(|_| DirectoryError::Failed("the stored roles cannot be parsed".to_owned()))
}

/// Changes a user's password, and ends its sessions and the API keys that it made: a holder of the old password may
/// have made some.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<User, DirectoryError>")]
pub struct ChangePassword {
    /// The user's name.
    pub name: String,
    /// The hash of the new one.
    pub password: String,
    /// The caller.
    pub by: By,
}

impl Withdrawal for ChangePassword {
    type Done = User;

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::holder(&Caller::user_name(&self.name))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.by.name(&self.name), "password_changed").name("user", &*self.name)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<User>, DirectoryError> {
        let caller = self.by.name(&self.name);
        change(conn, &self.name, &caller, ("password_changed", "password_changed"), now, |user| {
            self.by.check(user)?;
            user.password.clone_from(&self.password);
            user.password_changed_at = now;
            Ok(())
        })
    }
}

impl Handler<ChangePassword> for Directory {
    type Result = Result<User, DirectoryError>;

    fn handle(&mut self, ask: ChangePassword, _: &mut Self::Context) -> Self::Result {
        self.grant(&ask)
    }
}

/// Changes a user, and ends its sessions and API keys. `what` names the event, and the reason for which the sessions
/// ended.
fn change(
    conn: &mut Connection,
    name: &str,
    caller: &str,
    (what, reason): (&str, &str),
    now: i64,
    change: impl FnOnce(&mut User) -> Result<(), DirectoryError>,
) -> Result<Applied<User>, DirectoryError> {
    let mut user = users::find_by_name(conn, name)?.ok_or_else(|| DirectoryError::Missing(format!("user `{name}`")))?;
    change(&mut user)?;
    user.version = users::update(conn, &user)?;
    let ended = sessions::end_all(conn, &user.id, reason, now)?;
    let ended = end_access(conn, ended, &format!("user:{}", user.name), now)?;
    let event = event(caller, what)
        .name("user", &*user.name)
        .name("roles", &*user.roles)
        .name("disabled", user.disabled_at.is_some())
        .detail("ended", ended.callers);
    Ok(Applied { done: user, ids: ended.ids, events: vec![event] })
}

/// Removes a user, and ends its sessions.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct RemoveUser {
    /// The user's name.
    pub name: String,
    /// The caller's name in records.
    pub caller: String,
}

impl Withdrawal for RemoveUser {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::holder(&Caller::user_name(&self.name))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "user_removed").name("user", &*self.name)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        let user = users::find_by_name(conn, &self.name)?
            .ok_or_else(|| DirectoryError::Missing(format!("user `{}`", self.name)))?;
        let ended = sessions::end_all(conn, &user.id, "removed", now)?;
        let ended = end_access(conn, ended, &format!("user:{}", user.name), now)?;
        users::remove(conn, &user.id)?;
        let event = event(&self.caller, "user_removed").name("user", user.name).detail("ended", ended.callers);
        Ok(Applied { done: (), ids: ended.ids, events: vec![event] })
    }
}

impl Handler<RemoveUser> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, ask: RemoveUser, _: &mut Self::Context) -> Self::Result {
        self.withdraw(ask)
    }
}
