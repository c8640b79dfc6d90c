//! One-time passwords as a second factor (RFC 6238), and recovery codes.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use ring::hmac;

use super::secret::{digest, equals, letters};
use crate::domain::percent_encode;

/// Seconds that a code is shown for.
const PERIOD_S: i64 = 30;
/// How many steps before and after the present one are accepted, because clocks differ.
const WINDOW: i64 = 1;
/// The digits of a code.
const DIGITS: usize = 6;
const CODES: u32 = 1_000_000;
/// The bytes of a secret: those of the hash, as RFC 4226 advises.
const BYTES: usize = 20;
/// How many recovery codes a user has.
pub const RECOVERY_CODES: usize = 10;

/// The secret shared by a user's authenticator and the daemon.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; BYTES]);

impl TotpSecret {
    /// A new secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// A stored secret. None: it is not 20 bytes long.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as people type it into an authenticator (RFC 4648, without padding).
    #[must_use]
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The URL that an authenticator reads from a QR code.
    #[must_use]
    pub fn otpauth_url(&self, issuer: &str, name: &str) -> String {
        let (issuer, name, secret) = (percent_encode(issuer), percent_encode(name), self.base32());
        format!(
            "otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}\
             &period={PERIOD_S}"
        )
    }

    /// The time step of a valid code at `now`, in seconds since 1970.
    ///
    /// A step up to `last_step`, the last one that was used, is invalid (RFC 6238, section 5.2): the caller must store
    /// the new one before it accepts the code. The comparison takes constant time.
    #[must_use]
    pub fn step_of(&self, code: &str, now: i64, last_step: i64) -> Option<i64> {
        let present = now.div_euclid(PERIOD_S);
        let mut found = None;
        for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
            // Of two steps with the same code the later one counts, so that the code is good only once.
            if equals(self.code(step).as_bytes(), code.as_bytes()) && step > last_step {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a time step (RFC 4226, section 5.3).
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
        let number =
            tag.as_ref().get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b));
        format!("{:0DIGITS$}", (number & 0x7fff_ffff) % CODES)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

/// A code that replaces the second factor once: `xxxxx-xxxxx`, 50 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// All new codes of a user.
    #[must_use]
    pub fn generate() -> [Self; RECOVERY_CODES] {
        std::array::from_fn(|_| Self(format!("{}-{}", letters::<5>(), letters::<5>())))
    }

    /// Parses a typed code; case, white space and hyphens are ignored. `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let typed: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
        let typed = typed.to_ascii_lowercase();
        let is_code = typed.len() == 10 && typed.bytes().all(|b| b.is_ascii_alphanumeric());
        let (first, second) = typed.split_at_checked(5)?;
        is_code.then(|| Self(format!("{first}-{second}")))
    }

    /// The text, for its holder only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest that is stored. A party that can read it can read the shared secret, too, so that guessing gains
    /// nothing.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.0)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(now / 30), code, "{now}");
            assert_eq!(secret().step_of(code, now, 0), Some(now / 30), "{now}");
        }
        // RFC 4226, appendix D.
        for (step, code) in [(0, "755224"), (1, "287082"), (2, "359152"), (9, "520489")] {
            assert_eq!(secret().code(step), code, "{step}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_more_on_either_side_and_only_once() {
        let step = 37_037_036;
        for (now, last_step, expected) in [
            (step * 30 - 31, 0, None),
            (step * 30 - 30, 0, Some(step)),
            (step * 30, step - 1, Some(step)),
            (step * 30, step, None),
            (step * 30, step + 1, None),
            (step * 30 + 59, 0, Some(step)),
            (step * 30 + 60, 0, None),
        ] {
            assert_eq!(secret().step_of("081804", now, last_step), expected, "{now} {last_step}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused_at_any_time() {
        for code in ["", "0", "81804", "0081804", " 081804", "081804\0", "abcdef", "０８１８０４"] {
            assert_eq!(secret().step_of(code, 1_111_111_109, 0), None, "{code}");
        }
        for now in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(secret().step_of("000000", now, i64::MAX), None, "{now}");
        }
    }

    #[test]
    fn an_authenticator_gets_the_secret_in_base32_and_as_a_url() {
        assert_eq!(secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        // RFC 4648, section 10.
        assert_eq!(BASE32_NOPAD.encode(b"foobar"), "MZXW6YTBOI");
        assert_eq!(
            secret().otpauth_url("ACGS on a:b", "ann@example.com"),
            "otpauth://totp/ACGS%20on%20a%3Ab:ann%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=ACGS%20on%20a%3Ab&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", secret()), "TotpSecret(…)");
        assert_ne!(TotpSecret::generate(), TotpSecret::generate());
        assert_eq!(TotpSecret::from_bytes(&[1; 19]), None);
        assert_eq!(TotpSecret::from_bytes(secret().as_bytes()), Some(secret()));
    }

    #[test]
    fn recovery_codes_are_read_however_they_are_typed() {
        let codes = RecoveryCode::generate();
        for (index, code) in codes.iter().enumerate() {
            let typed = format!(" {} ", code.as_str().replace('-', " ").to_uppercase());
            assert_eq!(RecoveryCode::parse(&typed).map(|code| code.digest()), Some(code.digest()), "{typed}");
            assert!(codes.iter().skip(index + 1).all(|other| other != code));
            assert_eq!(code.as_str().len(), 11);
        }
        for text in ["", "abcde", "abcde-abcdef", "abcdeabcd!", "éééééé"] {
            assert_eq!(RecoveryCode::parse(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", codes[0]), "RecoveryCode(…)");
    }
}
