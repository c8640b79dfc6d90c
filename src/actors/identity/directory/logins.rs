//! Logins of users.

use actix::{Handler, Message};

use super::grants::Grant;
use super::{Directory, DirectoryError, event, new_id, now, second_factor};
use crate::auth::secret;
use crate::store::refresh_tokens;
use crate::store::sessions::{self, Session};
use crate::store::users::{self, User};

/// The origin of a login attempt.
#[derive(Debug, Clone, Default)]
pub struct LoginOrigin {
    /// The client's address; empty on a Unix socket.
    pub address: String,
    /// The `User-Agent` of the client.
    pub user_agent: String,
}

/// Logs in a user whose password has been verified.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, DirectoryError>")]
pub struct LogIn {
    /// The user's row with which the password was verified.
    pub user: User,
    /// The second factor: a one-time password, or a recovery code.
    pub code: Option<String>,
    /// Where the attempt comes from.
    pub origin: LoginOrigin,
}

/// The message for every refused login, whatever the reason, so that it reveals nothing.
const REFUSED: &str = "the name, the password or the code is wrong";

impl Handler<LogIn> for Directory {
    type Result = Result<Grant, DirectoryError>;

    fn handle(&mut self, ask: LogIn, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.change(|conn| {
            // Reads the user again: if it was disabled or its password changed meanwhile, the verification no longer
            // counts.
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
                address: ask.origin.address.clone(),
                client_id: None,
                user_agent: ask.origin.user_agent.clone(),
            };
            sessions::insert(conn, &session)?;
            let (grant, fresh, token_id) =
                self.grant_session(&user, &session, &secret::RefreshToken::generate(), None, now)?;
            refresh_tokens::insert(conn, &fresh)?;
            let event = event(&format!("user:{}", user.name), "login")
                .name("session", session.id)
                .name("token", token_id)
                .name("address", ask.origin.address);
            Ok((grant, vec![event]))
        })
    }
}

/// Records that a login was refused.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RefuseLogin {
    /// The name that the client gave.
    pub name: String,
    /// The reason: `wrong_credentials` or `locked`.
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
