//! The identity of a database state.

use std::fmt;
use std::str::FromStr;

/// Identifies a state of the database: all changes up to a version.
///
/// A version alone is ambiguous: a database that was restored, or failed over without its newest changes, assigns the
/// same versions to other changes. So a revision includes the nonce of its newest change, and the database's
/// incarnation, which is replaced when lost changes are detected. Equal revisions have equal histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Revision {
    /// The history of the database; random.
    pub incarnation: i64,
    /// The version of the newest change.
    pub version: i64,
    /// The nonce of that change; random.
    pub nonce: i64,
}

/// The text is not a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a revision is `INCARNATION.VERSION.NONCE`")]
pub struct NoRevision;

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}.{:016x}", self.incarnation, self.version, self.nonce)
    }
}

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Self, NoRevision> {
        let hex = |part: &str| {
            let is_hex = part.len() == 16 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(part, 16).ok().filter(|_| is_hex).map(u64::cast_signed)
        };
        let mut parts = text.split('.');
        let (Some(incarnation), Some(version), Some(nonce), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoRevision);
        };
        let is_number = version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.parse().ok().filter(|_| is_number).ok_or(NoRevision)?;
        Ok(Self { incarnation: hex(incarnation).ok_or(NoRevision)?, version, nonce: hex(nonce).ok_or(NoRevision)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_is_written() {
        for revision in [
            Revision { incarnation: -1, version: 17, nonce: 255 },
            Revision::default(),
            Revision { incarnation: i64::MIN, version: i64::MAX, nonce: i64::MAX },
        ] {
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
        let text = Revision { incarnation: -1, version: 17, nonce: 255 }.to_string();
        assert_eq!(text, "ffffffffffffffff.17.00000000000000ff");
    }

    #[test]
    fn other_texts_are_none() {
        let good = "ffffffffffffffff.17.00000000000000ff";
        for text in [
            "",
            "17",
            "..",
            "f.17.f",
            "ffffffffffffffff.-1.00000000000000ff",
            "ffffffffffffffff.+1.00000000000000ff",
            "ffffffffffffffff.9223372036854775808.00000000000000ff",
            "FFFFFFFFFFFFFFFF.17.00000000000000ff",
            "+fffffffffffffff.17.00000000000000ff",
            &format!("{good}.1"),
            &format!("{good} "),
        ] {
            assert_eq!(text.parse::<Revision>(), Err(NoRevision), "{text}");
        }
    }
}
