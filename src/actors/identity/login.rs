//! Logins with passwords and codes. Each attempt is throttled before it is checked.

use std::time::Duration;

use super::directory::{
    By, Directory, DirectoryError, FindUser, Grant, LogIn, LoginOrigin, RefuseLogin, RemoveSecondFactor,
};
use super::lockouts::Lockouts;
use super::password_hasher::{HashError, Passwords};
use crate::actors::Mailbox;
use crate::actors::audit::denial_sampler::DenialSampler;
use crate::auth::network::ClientAddress;
use crate::auth::stranger::Strangers;
use crate::store::users::User;

/// The longest password that is checked, in bytes.
const MAX_PASSWORD: usize = 1024;

/// Why an attempt does not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There were too many failed attempts; the next one may be made after this time.
    #[error("too many wrong passwords")]
    PasswordLocked(Duration),
    /// The same for codes.
    #[error("too many wrong codes")]
    CodeLocked(Duration),
    /// The name, the password or the code is wrong; the text reveals no more than the caller may know.
    #[error("{0}")]
    Refused(&'static str),
    /// The old password of a user who changes it is wrong.
    #[error("the old password is wrong")]
    WrongPassword,
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Credentials as they were entered.
pub struct Credentials {
    /// The user's name, prepared for comparison.
    pub name: String,
    /// The password.
    pub password: String,
    /// The code of the second factor.
    pub code: Option<String>,
}

/// Checks passwords and codes; shared by all clones.
#[derive(Debug, Clone)]
pub struct Logins {
    directory: Mailbox<Directory>,
    passwords: Passwords,
    lockouts: Lockouts,
    denial_sampler: DenialSampler,
    strangers: Strangers,
}

impl Logins {
    /// `denial_sampler` limits how many refusals of locked names are recorded.
    #[must_use]
    pub fn new(
        directory: Mailbox<Directory>,
        passwords: Passwords,
        lockouts: Lockouts,
        denial_sampler: DenialSampler,
        strangers: Strangers,
    ) -> Self {
        Self { directory, passwords, lockouts, denial_sampler, strangers }
    }

    /// Opens a session. Each attempt is recorded, whether it succeeds or not.
    pub async fn log_in(
        &self,
        credentials: Credentials,
        from: ClientAddress,
        origin: LoginOrigin,
    ) -> Result<Grant, LoginError> {
        let Credentials { name, password, code } = credentials;
        let attempt = match self.lockouts.begin(&name, from) {
            Ok(attempt) => attempt,
            Err(wait) => {
                if self.denial_sampler.take().is_some() {
                    let is_known = self.directory.ask(FindUser(name.clone())).await?.is_some();
                    self.record_refusal(&name, is_known, "locked", from).await?;
                }
                return Err(LoginError::PasswordLocked(wait));
            }
        };
        let (user, is_right) = match self.verify(&name, password, from).await {
            Ok(verified) => verified,
            Err(error) => {
                attempt.withdraw();
                return Err(error);
            }
        };
        let is_known = user.is_some();
        let granted = match user.filter(|_| is_right) {
            Some(user) => self.directory.ask(LogIn { user, code, origin }).await,
            None => Err(DirectoryError::BadGrant("the name, the password or the code is wrong")),
        };
        match granted {
            Ok(grant) => {
                attempt.succeed();
                Ok(grant)
            }
            Err(DirectoryError::BadGrant(why)) => {
                attempt.fail();
                self.record_refusal(&name, is_known, "wrong_credentials", from).await?;
                Err(LoginError::Refused(why))
            }
            Err(error) => {
                attempt.withdraw();
                Err(error.into())
            }
        }
    }

    /// Checks the present password of a user who changes it.
    pub async fn check_password(&self, name: &str, password: String, from: ClientAddress) -> Result<(), LoginError> {
        let attempt = self.lockouts.begin(name, from).map_err(LoginError::PasswordLocked)?;
        match self.verify(name, password, from).await {
            Ok((_, true)) => {
                attempt.succeed();
                Ok(())
            }
            Ok((_, false)) => {
                attempt.fail();
                Err(LoginError::WrongPassword)
            }
            Err(error) => {
                attempt.withdraw();
                Err(error)
            }
        }
    }

    /// Removes a user's second factor by one of its codes. Guessing codes is throttled like guessing passwords.
    pub async fn remove_second_factor(&self, user: &str, code: String, from: ClientAddress) -> Result<(), LoginError> {
        let attempt = self.lockouts.begin(user, from).map_err(LoginError::CodeLocked)?;
        let remove = RemoveSecondFactor { user: user.to_owned(), by: By::Itself(Some(code)) };
        let removed = self.directory.ask(remove).await;
        match &removed {
            Err(DirectoryError::Refused(_)) => attempt.fail(),
            // A right code says nothing about passwords, so failures of passwords still count.
            Ok(()) | Err(_) => attempt.withdraw(),
        }
        Ok(removed?)
    }

    /// Hashes a new password; the result is a PHC string.
    pub async fn hash(&self, password: String, from: ClientAddress) -> Result<String, HashError> {
        self.passwords.hash(password, from).await
    }

    /// Looks the user up, if there is one of this name, and verifies the password. It takes as long if there is none.
    async fn verify(
        &self,
        name: &str,
        password: String,
        from: ClientAddress,
    ) -> Result<(Option<User>, bool), LoginError> {
        let user = self.directory.ask(FindUser(name.to_owned())).await?;
        let hash = user.as_ref().map(|user| user.password.clone());
        let given = if password.len() > MAX_PASSWORD { String::new() } else { password };
        let is_right = self.passwords.verify(given, hash, from).await?;
        Ok((user, is_right))
    }

    /// Records a refused login. An unknown name may be a password typed into the wrong field, so it is only described.
    async fn record_refusal(
        &self,
        name: &str,
        is_known: bool,
        why: &'static str,
        from: ClientAddress,
    ) -> Result<(), DirectoryError> {
        let name = if is_known { name.to_owned() } else { self.strangers.describe(name) };
        self.directory.ask(RefuseLogin { name, why, address: from.to_string() }).await
    }
}
