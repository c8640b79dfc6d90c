//! Tokens of foreign issuers.

use super::{CredentialError, LEEWAY};
use crate::actors::identity::trust::ForeignIssuer;
use crate::auth::claims::{self, Claims, Expected, Typ};
use crate::auth::jws::{JwsError, Unverified};

/// Why a token of a foreign issuer could not be verified.
#[derive(Debug)]
pub(super) enum Unverifiable {
    /// The issuer is trusted, but none of its cached keys verifies the signature: it may have rotated its keys.
    Key {
        /// The issuer's URL (`iss`).
        issuer: Box<str>,
        /// Why no key verified the token.
        why: String,
    },
    /// The token is invalid, whatever the issuer's keys are.
    Refused(CredentialError),
}

impl From<CredentialError> for Unverifiable {
    fn from(error: CredentialError) -> Self {
        Self::Refused(error)
    }
}

impl From<Unverifiable> for CredentialError {
    fn from(error: Unverifiable) -> Self {
        match error {
            Unverifiable::Key { why, .. } => Self::Invalid(why),
            Unverifiable::Refused(error) => error,
        }
    }
}

pub(super) fn claims_error(error: claims::ClaimsError) -> CredentialError {
    match error {
        claims::ClaimsError::Expired => CredentialError::Expired,
        other => CredentialError::Invalid(other.to_string()),
    }
}

/// Verifies a token with the cached keys of its issuer, and returns its claims.
pub(super) fn check(token: &Unverified<'_>, foreign: &ForeignIssuer, now: i64) -> Result<Claims, Unverifiable> {
    if !foreign.algorithms.iter().any(|algorithm| algorithm.as_str() == token.algorithm()) {
        let why = "its algorithm is not accepted for its issuer";
        return Err(CredentialError::Invalid(why.to_owned()).into());
    }
    let keys = foreign.keys.load();
    let (mut tried, mut is_signed) = (0, false);
    for key in keys.candidates(token.kid()) {
        match token.verify_by(key, &foreign.algorithms) {
            Ok(()) => is_signed = true,
            Err(JwsError::Signature) => tried += 1,
            // The key is for another algorithm than the token's.
            Err(_) => {}
        }
        if is_signed {
            break;
        }
    }
    if !is_signed {
        let why = match tried {
            0 => "its key is not known".to_owned(),
            1 => "its issuer's key does not verify its signature".to_owned(),
            tried => format!("none of {tried} keys of its issuer verifies its signature"),
        };
        return Err(Unverifiable::Key { issuer: foreign.issuer.clone(), why });
    }
    let expected = Expected {
        issuer: &foreign.issuer,
        audience: &foreign.audience,
        typ: foreign.typ.as_deref().map_or(Typ::Any, Typ::Named),
        leeway_s: LEEWAY,
        role_claim: Some(&foreign.role_claim),
    };
    Ok(claims::check(token, &expected, now).map_err(claims_error)?)
}
