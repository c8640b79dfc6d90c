//! Where people are logged in.

use actix::{Handler, Message};

use super::grants::deny_stored;
use super::{Directory, DirectoryError, deny_sessions, event, now};
use crate::store::sessions::{self, Session};
use crate::store::users;

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
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct EndSession {
    /// The session's id.
    pub session: String,
    /// Whose it is.
    pub caller: String,
}

impl Handler<EndSession> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: EndSession, _: &mut Self::Context) -> Self::Result {
        let (now, ended) = (now(), [ask.session]);
        let [session] = &ended;
        self.change(|conn| {
            sessions::end(conn, session, "logout", now)?;
            deny_stored(conn, &ended, now)?;
            Ok(((), vec![event(&ask.caller, "logout").name("session", session.as_str())]))
        })?;
        self.trust.denied().add(deny_sessions(ended, now), now);
        Ok(())
    }
}

/// Ends all sessions of a user.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, DirectoryError>")]
pub struct EndAllSessions {
    /// The user's name.
    pub user: String,
    /// Who asks.
    pub caller: String,
}

impl Handler<EndAllSessions> for Directory {
    type Result = Result<usize, DirectoryError>;

    fn handle(&mut self, ask: EndAllSessions, _: &mut Self::Context) -> Self::Result {
        let now = now();
        let ended = self.change(|conn| {
            let user = users::find_by_name(conn, &ask.user)?
                .ok_or_else(|| DirectoryError::Missing(format!("user `{}`", ask.user)))?;
            let ended = sessions::end_all(conn, &user.id, "logout", now)?;
            deny_stored(conn, &ended, now)?;
            let event = event(&ask.caller, "logout_all").name("user", user.name).name("sessions", ended.len());
            Ok((ended, vec![event]))
        })?;
        let count = ended.len();
        self.trust.denied().add(deny_sessions(ended, now), now);
        Ok(count)
    }
}
