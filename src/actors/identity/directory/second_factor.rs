//! The second factor of people: one-time passwords, and recovery codes in their place.

use actix::{Handler, Message};

use super::{By, Directory, DirectoryError, event, now};
use crate::auth::caller::Caller;
use crate::auth::totp::{RecoveryCode, TotpSecret};
use crate::store::Connection;
use crate::store::users::{self, User, recovery_codes};

/// The issuer that authenticator apps display for one-time passwords.
const ISSUER: &str = "acgs";

/// Whether a code is the user's: a one-time password, or a recovery code. It is good no more after that.
pub(super) fn check(conn: &mut Connection, user: &User, code: Option<&str>, now: i64) -> Result<bool, DirectoryError> {
    let Some(code) = code else { return Ok(false) };
    if let Some(step) = secret(user)?.step_of(code, now, user.totp_last_step) {
        return Ok(users::take_step(conn, &user.id, step)?);
    }
    match RecoveryCode::parse(code) {
        Some(code) => Ok(recovery_codes::use_one(conn, &user.id, &code.digest())?),
        None => Ok(false),
    }
}

fn secret(user: &User) -> Result<TotpSecret, DirectoryError> {
    let secret = user.totp_secret.as_deref().and_then(TotpSecret::from_bytes);
    secret.ok_or_else(|| DirectoryError::Refused("the user has no second factor".to_owned()))
}

fn find(conn: &mut Connection, name: &str) -> Result<User, DirectoryError> {
    users::find_by_name(conn, name)?.ok_or_else(|| DirectoryError::Missing(format!("user `{name}`")))
}

/// A secret for a user's authenticator.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// As a person types it in.
    pub secret: String,
    /// As an authenticator reads it.
    pub url: String,
}

/// Gives a user a secret for an authenticator; it is asked for once a code has shown that it arrived.
#[derive(Debug, Message)]
#[rtype(result = "Result<Enrolment, DirectoryError>")]
pub struct Enrol {
    /// The user's name.
    pub user: String,
}

impl Handler<Enrol> for Directory {
    type Result = Result<Enrolment, DirectoryError>;

    fn handle(&mut self, ask: Enrol, _: &mut Self::Context) -> Self::Result {
        let secret = TotpSecret::generate();
        self.change(|conn| {
            let mut user = find(conn, &ask.user)?;
            if user.totp_confirmed {
                return Err(DirectoryError::Refused("the user has a second factor already".to_owned()));
            }
            user.totp_secret = Some(secret.as_bytes().to_vec());
            users::update(conn, &user)?;
            Ok(((), Vec::new()))
        })?;
        Ok(Enrolment { secret: secret.base32(), url: secret.otpauth_url(ISSUER, &ask.user) })
    }
}

/// Asks for the second factor from now on, and gives recovery codes in case it is lost.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<String>, DirectoryError>")]
pub struct ConfirmEnrolment {
    /// The user's name.
    pub user: String,
    /// A one-time password of the new secret.
    pub code: String,
}

impl Handler<ConfirmEnrolment> for Directory {
    type Result = Result<Vec<String>, DirectoryError>;

    fn handle(&mut self, ask: ConfirmEnrolment, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.change(|conn| {
            let mut user = find(conn, &ask.user)?;
            if user.totp_confirmed {
                return Err(DirectoryError::Refused("the user has a second factor already".to_owned()));
            }
            let step = secret(&user)?.step_of(&ask.code, now, user.totp_last_step);
            let taken = step.map(|step| users::take_step(conn, &user.id, step)).transpose()?;
            if taken != Some(true) {
                return Err(DirectoryError::Refused("the code is wrong".to_owned()));
            }
            user.totp_confirmed = true;
            users::update(conn, &user)?;
            let codes = RecoveryCode::generate();
            let digests: Vec<[u8; 32]> = codes.iter().map(RecoveryCode::digest).collect();
            recovery_codes::replace(conn, &user.id, &digests)?;
            let codes = codes.iter().map(|code| code.as_str().to_owned()).collect();
            let name = format!("user:{}", user.name);
            Ok((codes, vec![event(&name, "second_factor_added").name("user", user.name)]))
        })
    }
}

/// Takes the second factor of a user away.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RemoveSecondFactor {
    /// The user's name.
    pub user: String,
    /// The caller.
    pub by: By,
}

impl Handler<RemoveSecondFactor> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, ask: RemoveSecondFactor, _: &mut Self::Context) -> Self::Result {
        let now = now();
        self.change(|conn| {
            let mut user = find(conn, &ask.user)?;
            let caller = ask.by.name(&user.name);
            ask.by.check(&user)?;
            let code = match &ask.by {
                By::Itself(code) => code.as_deref(),
                By::Granter(_) => None,
            };
            // A caller who manages users needs a code for its own second factor all the same.
            let is_own = caller == Caller::user_name(&user.name);
            if is_own && user.totp_confirmed && !check(conn, &user, code, now)? {
                return Err(DirectoryError::Refused("the code is wrong".to_owned()));
            }
            user.totp_secret = None;
            user.totp_confirmed = false;
            users::update(conn, &user)?;
            recovery_codes::replace(conn, &user.id, &[])?;
            Ok(((), vec![event(&caller, "second_factor_removed").name("user", user.name)]))
        })
    }
}
