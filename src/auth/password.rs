//! Passwords, and the argon2id hashes that are kept of them.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};

use super::precis::{self, PrecisError};

/// The shortest password, in bytes.
pub const SHORTEST: usize = 12;
/// The longest password, in bytes.
pub const LONGEST: usize = 1024;

/// The memory of one hash in KiB, its passes, and its lanes: the recommendation of OWASP for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash of random bytes, for which there is no known password.
const ABSENT: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$w14/I+tyJ6I58L1I43lXNg$Ifzyeeoj+QC7DQ6qSDu8WxnB1JTT9bw55x0VrfW7zMY";

/// The shortest name whose use as a part of a password counts.
const SHORTEST_NAME: usize = 3;
/// The least length of a password without the user's name in it, in bytes.
const BESIDE_NAME: usize = 8;

/// The most common passwords of sufficient length, in lower case.
const COMMON: [&str; 28] = [
    "0123456789ab",
    "0987654321qwerty",
    "1234567890123",
    "1234567890qwerty",
    "123456789012",
    "123456789abc",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abcdefghijkl",
    "abcdefghijklm",
    "administrator",
    "administrator1",
    "changeme1234",
    "changemechangeme",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "letmein12345",
    "letmeinletmein",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "qwerty123456",
    "qwertyuiop12",
    "qwertyuiopasdfghjkl",
    "qwertyuiop[]",
    "welcome12345",
];

/// Why a password is not taken, or cannot be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password has characters that are not allowed.
    #[error("the password is not allowed: {0}")]
    Precis(#[from] PrecisError),
    /// It has less than [`SHORTEST`] bytes.
    #[error("a password has at least {SHORTEST} bytes")]
    TooShort,
    /// It has more than [`LONGEST`] bytes.
    #[error("a password has at most {LONGEST} bytes")]
    TooLong,
    /// The password is one of the most common.
    #[error("the password is one of the most common")]
    Common,
    /// It is little more than the name of its user.
    #[error("the password is hardly more than the user's name")]
    Name,
    /// A stored hash is not one, or the hash could not be made.
    #[error("the password's hash: {0}")]
    Hash(#[from] HashError),
}

/// Checks a prepared password for a user of this name.
///
/// # Errors
/// The first rule that the password violates.
pub fn check(password: &str, name: &str) -> Result<(), PasswordError> {
    let password = precis::password(password)?;
    if password.len() < SHORTEST {
        return Err(PasswordError::TooShort);
    }
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong);
    }
    let (password, name) = (password.to_lowercase(), name.to_lowercase());
    let mut letters = password.chars();
    let first = letters.next();
    if COMMON.contains(&&*password) || letters.all(|letter| Some(letter) == first) {
        return Err(PasswordError::Common);
    }
    if password == name || (name.len() >= SHORTEST_NAME && password.replace(&name, "").len() < BESIDE_NAME) {
        return Err(PasswordError::Name);
    }
    Ok(())
}

/// Prepares a password (RFC 8265) and hashes it with argon2id and a new salt. The result is a PHC string. It takes tens
/// of milliseconds and 19 MiB.
///
/// # Errors
/// The password cannot be prepared or has more than [`LONGEST`] bytes, or memory is lacking.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let password = precis::password(password)?;
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong);
    }
    let salt: [u8; 16] = rand::random();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params()?);
    Ok(argon2.hash_password_with_salt(password.as_bytes(), &salt)?.to_string())
}

/// Whether a password matches a PHC string. It takes as long as [`hash`] for either answer; twice as long for a
/// password that preparation changes, since older hashes are of unprepared passwords.
///
/// A password that is too long is wrong at once, which reveals nothing about the user.
///
/// # Errors
/// The text is no argon2 hash, or memory is lacking.
pub fn verify(password: &str, phc: &str) -> Result<bool, PasswordError> {
    if password.len() > LONGEST {
        return Ok(false);
    }
    let hash = parse(phc)?;
    match precis::password(password) {
        Ok(prepared) if prepared != password && is_hash_of(&hash, &prepared)? => Ok(true),
        Ok(_) | Err(_) => is_hash_of(&hash, password),
    }
}

fn is_hash_of(hash: &PasswordHash, password: &str) -> Result<bool, PasswordError> {
    match Argon2::default().verify_password(password.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A hash that no password matches, to be verified for unknown users, so that it takes the same time.
#[must_use]
pub fn absent() -> &'static str {
    ABSENT
}

fn params() -> Result<Params, PasswordError> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Hash(error.into()))
}

fn parse(phc: &str) -> Result<PasswordHash, PasswordError> {
    let hash = PasswordHash::new(phc).map_err(|error| PasswordError::Hash(error.into()))?;
    // A string may have parameters only; a password is not wrong because of that.
    if hash.salt.is_some() && hash.hash.is_some() { Ok(hash) } else { Err(HashError::EncodingInvalid.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_common_and_own_passwords_are_refused() {
        for (password, name, expected) in [
            ("eleven-byte", "ann", Err(PasswordError::TooShort)),
            ("twelve-bytes", "ann", Ok(())),
            (&"xy".repeat(512), "ann", Ok(())),
            (&"xy".repeat(513), "ann", Err(PasswordError::TooLong)),
            ("PassWord1234", "ann", Err(PasswordError::Common)),
            ("zzzzzzzzzzzz", "ann", Err(PasswordError::Common)),
            ("Annabel.Miller", "annabel.miller", Err(PasswordError::Name)),
            ("annabelannabel", "Annabel", Err(PasswordError::Name)),
            ("annabel-2026", "annabel", Err(PasswordError::Name)),
            ("annabel likes trains", "annabel", Ok(())),
            ("bananas of panama", "a", Ok(())),
            ("twelve-bytes", "", Ok(())),
        ] {
            assert_eq!(check(password, name), expected, "{password} {name}");
        }
        assert!(COMMON.iter().all(|word| word.len() >= SHORTEST && *word == word.to_lowercase()));
    }

    #[test]
    fn only_the_password_that_was_hashed_is_verified() {
        let first = hash("correct horse").unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, hash("correct horse").unwrap(), "each hash has a salt of its own");
        for (password, expected) in [("correct horse", true), ("Correct horse", false), ("", false)] {
            assert_eq!(verify(password, &first), Ok(expected), "{password}");
        }
        assert_eq!(verify(&"x".repeat(LONGEST + 1), &first), Ok(false));
        assert_eq!(hash(&"x".repeat(LONGEST + 1)), Err(PasswordError::TooLong));
    }

    #[test]
    fn a_password_is_the_same_from_every_keyboard() {
        let (typed, elsewhere) = ("\u{fc}ber alle Berge", "u\u{308}ber\u{a0}alle Berge");
        let hashed = hash(elsewhere).unwrap();
        for same in [typed, elsewhere] {
            assert_eq!(verify(same, &hashed), Ok(true), "{same:?}");
        }
        assert_eq!(verify("uber alle Berge", &hashed), Ok(false));
        // An older hash, of the unprepared password.
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params().unwrap());
        for old in [elsewhere, "tab\tand\u{200b}more"] {
            let hashed = argon2.hash_password_with_salt(old.as_bytes(), &[7; 16]).unwrap().to_string();
            assert_eq!(verify(old, &hashed), Ok(true), "{old:?}");
        }
        assert!(matches!(check("with a\u{0}zero", "ann"), Err(PasswordError::Precis(_))));
        assert_eq!(check("\u{a0}\u{2003}\u{3000}    ", "ann"), Err(PasswordError::TooShort));
    }

    #[test]
    fn the_hash_for_unknown_users_costs_as_much_and_fits_nothing() {
        assert_eq!(verify("", absent()), Ok(false));
        assert_eq!(parse(absent()).unwrap().params, parse(&hash("x").unwrap()).unwrap().params);
    }

    #[test]
    fn a_hash_that_is_none_is_an_error_and_not_a_wrong_password() {
        for phc in ["", "password", "$argon2id$v=19$m=19456,t=2", "$scrypt$ln=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(matches!(verify("correct horse", phc), Err(PasswordError::Hash(_))), "{phc}");
        }
    }

    #[test]
    fn a_hash_of_other_cost_is_still_verified() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let weak = weak.hash_password_with_salt(b"correct horse", &[7; 16]).unwrap().to_string();
        assert_eq!(verify("correct horse", &weak), Ok(true));
    }
}
