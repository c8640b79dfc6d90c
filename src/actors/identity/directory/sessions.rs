//! Where people are logged in.

use actix::{Handler, Message};
use smol_str::SmolStr;

use super::grants::deny_stored;
use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, delayed, deny_sessions, event, now};
use crate::actors::identity::denylist::Denylist;
use crate::auth::caller::Caller;
use crate::ledger::Event;
use crate::store::sessions::{self, Session};
use crate::store::{Connection, users};

/// Lists the sessions of a user that have not ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Session>, DirectoryError>")]
pub struct ListSessions {
    /// The user's name.
    pub user: String,
}

impl Handler<ListSessions> for Directory {
    type Result = Result<Vec<Session>, DirectoryError>;

    fn handle(&mut self, ask: ListSessions, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let found = self.store.query(|conn| match users::find_by_name(conn, &ask.user)? {
            Some(user) => sessions::of_user(conn, &user.id),
            None => Ok(Vec::new()),
        })?;
        Ok(found.into_iter().filter(|session| session.ended_at.is_none() && session.expires_at > now).collect())
    }
}

/// Ends one session, with all its tokens.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct EndSession {
    /// The session's id.
    pub session: String,
    /// Whose it is.
    pub caller: String,
}

impl Withdrawal for EndSession {
    type Done = ();

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::session(&self.session)]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "logout").name("session", &*self.session)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<()>, DirectoryError> {
        let ended = [self.session.clone()];
        sessions::end(conn, &self.session, "logout", now)?;
        deny_stored(conn, &ended, now)?;
        let events = vec![event(&self.caller, "logout").name("session", &*self.session)];
        Ok(Applied { done: (), ids: deny_sessions(ended, now), events })
    }
}

impl Handler<EndSession> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, ask: EndSession, _: &mut Self::Context) -> Self::Result {
        self.withdraw(ask)
    }
}

/// Ends one session of a user.
#[derive(Debug, Message)]
#[rtype(result = "Result<Withdrawn<()>, DirectoryError>")]
pub struct EndSessionOf {
    /// The user's name.
    pub user: String,
    /// The session's id.
    pub session: String,
    /// The caller's name in records.
    pub caller: String,
}

impl Handler<EndSessionOf> for Directory {
    type Result = Result<Withdrawn<()>, DirectoryError>;

    fn handle(&mut self, EndSessionOf { user, session, caller }: EndSessionOf, _: &mut Self::Context) -> Self::Result {
        let (user, found) =
            self.store.query(|conn| Ok((users::find_by_name(conn, &user)?, sessions::find(conn, &session)?)))?;
        // An expired session counts too: if the wall clock is ahead now, it is valid again later.
        let is_own =
            found.zip(user).is_some_and(|(session, user)| session.user_id == user.id && session.ended_at.is_none());
        if !is_own {
            return Err(DirectoryError::Missing(format!("session `{session}` of this user")));
        }
        self.withdraw(EndSession { session, caller })
    }
}

/// Ends all sessions of a user.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<usize>, DirectoryError>")]
pub struct EndAllSessions {
    /// The user's name.
    pub user: String,
    /// The caller's name in records.
    pub caller: String,
}

impl Withdrawal for EndAllSessions {
    /// The number of sessions that ended.
    type Done = usize;

    fn names(&self, _: &Directory) -> Vec<SmolStr> {
        vec![Denylist::sessions_of(&Caller::user_name(&self.user))]
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "logout_all").name("user", &*self.user)
    }

    fn apply(&self, _: &Directory, conn: &mut Connection, now: i64) -> Result<Applied<usize>, DirectoryError> {
        let user = users::find_by_name(conn, &self.user)?
            .ok_or_else(|| DirectoryError::Missing(format!("user `{}`", self.user)))?;
        let ended = sessions::end_all(conn, &user.id, "logout", now)?;
        deny_stored(conn, &ended, now)?;
        let event = event(&self.caller, "logout_all").name("user", user.name).name("sessions", ended.len());
        Ok(Applied { done: ended.len(), ids: deny_sessions(ended, now), events: vec![event] })
    }
}

impl Handler<EndAllSessions> for Directory {
    type Result = Result<Withdrawn<usize>, DirectoryError>;

    fn handle(&mut self, ask: EndAllSessions, _: &mut Self::Context) -> Self::Result {
        self.withdraw(ask)
    }
}
