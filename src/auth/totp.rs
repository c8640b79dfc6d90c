//! One-time passwords as a second factor (RFC 6238), and recovery codes.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use ring::hmac;

use super::secret;

/// Seconds for which a code is shown.
const STEP: i64 = 30;

/// Codes have six digits.
const CODES: u32 = 1_000_000;

/// How many steps a clock may be off, either way.
const WINDOW: i64 = 1;

/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;

/// What a person's authenticator and the daemon share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one of 160 bits (RFC 4226, section 4).
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random::<[u8; 20]>().to_vec())
    }

    /// One that was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// To be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a person types it in.
    #[must_use]
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// As an authenticator reads it from a picture. The name has no characters that a URL gives a meaning.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("otpauth://totp/acgs:{name}?secret={}&issuer=acgs", self.base32())
    }

    /// The step that a code is of, where it is one of now or a step before or after, and later than `last`: a code is
    /// good only once. `now` is in Unix seconds.
    #[must_use]
    pub fn step_of(&self, code: &str, now: i64, last: i64) -> Option<i64> {
        let current = now.div_euclid(STEP);
        let mut found = None;
        for step in (current - WINDOW)..=(current + WINDOW) {
            let is_equal = secret::equals(self.code(step).as_bytes(), code.as_bytes());
            if is_equal && step > last {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a step (RFC 4226, section 5.3).
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0xf);
        let word = bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
        format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % CODES)
    }
}

/// New recovery codes, each good once in place of a one-time password.
#[must_use]
pub fn recovery_codes() -> Vec<String> {
    let code = || {
        let letters = BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_lowercase();
        let (front, back) = letters.split_at(8);
        format!("{front}-{back}")
    };
    (0..RECOVERY_CODES).map(|_| code()).collect()
}

/// What is kept of a recovery code. How a person writes it does not matter.
#[must_use]
pub fn recovery_digest(code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    secret::digest(&plain.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        let secret = Secret::from_bytes(b"12345678901234567890");
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code(now / STEP), code);
            assert_eq!(secret.step_of(code, now, 0), Some(now / STEP));
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_a_step_more_or_less() {
        let secret = Secret::generate();
        let (now, step) = (1_800_000_000, 1_800_000_000 / STEP);
        let code = secret.code(step);
        assert_eq!(secret.step_of(&code, now, step - 1), Some(step));
        assert_eq!(secret.step_of(&code, now, step), None, "it was used");
        assert_eq!(secret.step_of(&code, now + STEP, 0), Some(step));
        assert_eq!(secret.step_of(&code, now - STEP, 0), Some(step));
        assert_eq!(secret.step_of(&code, now + 2 * STEP, 0), None);
        for wrong in ["", "1", &code[1..], &format!("{code}0"), " 12345"] {
            assert_eq!(secret.step_of(wrong, now, 0), None, "{wrong}");
        }
        assert!(!format!("{secret:?}").contains(&secret.base32()));
    }

    #[test]
    fn recovery_codes_differ_and_are_read_however_they_are_written() {
        let codes = recovery_codes();
        assert_eq!(codes.len(), RECOVERY_CODES);
        let digests: std::collections::HashSet<_> = codes.iter().map(|code| recovery_digest(code)).collect();
        assert_eq!(digests.len(), RECOVERY_CODES);
        let written = codes[0].replace('-', " ").to_uppercase();
        assert_eq!(recovery_digest(&written), recovery_digest(&codes[0]));
    }
}
