//! Passwords, and the argon2id hashes that are kept of them.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

/// The fewest bytes of a password.
pub const MIN: usize = 12;

/// The most bytes of a password.
pub const MAX: usize = 1024;

/// What everybody tries first: the frequent ones that are long enough to be taken otherwise.
const FREQUENT: [&str; 16] = [
    "123456789012",
    "1234567890123",
    "123456123456",
    "111111111111",
    "000000000000",
    "abcdefghijkl",
    "qwertyuiopas",
    "qwertyuiop12",
    "1q2w3e4r5t6y",
    "passwordpassword",
    "password1234",
    "password12345",
    "administrator",
    "adminadminadmin",
    "changemechangeme",
    "letmeinletmein",
];

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too few bytes.
    #[error("a password has at least {MIN} bytes")]
    Short,
    /// Too many bytes.
    #[error("a password has at most {MAX} bytes")]
    Long,
    /// Among the first that are tried.
    #[error("the password is easily guessed")]
    Guessable,
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HashError(#[from] password_hash::Error);

/// Whether a user of that name may have this password.
pub fn check(password: &str, name: &str) -> Result<(), PasswordError> {
    if password.len() < MIN {
        return Err(PasswordError::Short);
    }
    if password.len() > MAX {
        return Err(PasswordError::Long);
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next().unwrap_or_default();
    let has_name = name.len() >= 3 && lower.replace(&name.to_lowercase(), "").len() < MIN / 2;
    if FREQUENT.contains(&&*lower) || has_name || lower.chars().all(|letter| letter == first) {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// Argon2id with 19 MiB, 2 passes and 1 lane (OWASP's first choice for servers), and a new salt of 16 bytes: a PHC
/// string.
pub fn hash(password: &str) -> Result<String, HashError> {
    let salt: [u8; 16] = rand::random();
    Ok(hasher().hash_password_with_salt(password.as_bytes(), &salt)?.to_string())
}

/// Whether a password is that of a hash.
pub fn verify(password: &str, hash: &str) -> Result<bool, HashError> {
    match hasher().verify_password(password.as_bytes(), &PasswordHash::new(hash).map_err(password_hash::Error::from)?) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A hash of a password that nobody has: compared with where there is no user, so that a name that is not known takes
/// as long as one that is.
#[must_use]
pub fn absent() -> &'static str {
    static ABSENT: LazyLock<String> = LazyLock::new(|| {
        let nobodys: [u8; 32] = rand::random();
        hash(&data_encoding::HEXLOWER.encode(&nobodys)).unwrap_or_default()
    });
    &ABSENT
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_its_password_and_says_how_it_was_made() {
        let made = hash("correct horse battery").unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert!(verify("correct horse battery", &made).unwrap());
        assert!(!verify("correct horse batterz", &made).unwrap());
        assert_ne!(made, hash("correct horse battery").unwrap(), "the salt is new each time");
        assert!(!verify("", absent()).unwrap());
        assert!(verify("x", "$argon2id$nonsense").is_err());
    }

    #[test]
    fn what_is_guessed_first_is_not_taken() {
        let long = "x".repeat(MAX + 1);
        for (password, name, expected) in [
            ("correct horse", "ann", Ok(())),
            ("elevenbytes", "ann", Err(PasswordError::Short)),
            ("", "ann", Err(PasswordError::Short)),
            (long.as_str(), "ann", Err(PasswordError::Long)),
            ("zzzzzzzzzzzzzzz", "ann", Err(PasswordError::Guessable)),
            ("Password1234", "ann", Err(PasswordError::Guessable)),
            ("annannannann1", "ann", Err(PasswordError::Guessable)),
            ("Katharina-1234", "katharina", Err(PasswordError::Guessable)),
            ("ann likes long walks", "ann", Ok(())),
        ] {
            assert_eq!(check(password, name), expected, "{password}");
        }
    }
}
