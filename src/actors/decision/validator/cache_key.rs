//! The key of a verdict in the caches: a digest of the constitution, the mode and the question.

use sha2::{Digest, Sha256};

use crate::actors::cache::request_cache::Key;
use crate::domain::{ConstitutionDigest, Evaluation, Member};
use crate::settings::RequestProperties;

/// A member with a text longer than this is hashed by its digest, which the items of a batch that share it compute
/// once.
const LONG_MEMBER: usize = 256;

/// Everything that the verdict depends on, but for the entities: their versions are checked when it is found.
#[must_use]
pub fn cache_key(constitution: ConstitutionDigest, properties: RequestProperties, evaluation: &Evaluation) -> Key {
    let mode = match properties {
        RequestProperties::Merge => b'm',
        RequestProperties::Ignore => b'i',
    };
    let mut hasher = Sha256::new().chain_update(constitution.as_bytes()).chain_update([mode]);
    add_member(&mut hasher, &evaluation.subject);
    add_member(&mut hasher, &evaluation.action);
    add_member(&mut hasher, &evaluation.resource);
    add_member(&mut hasher, &evaluation.context);
    hasher.finalize().into()
}

/// INVARIANT: texts are preceded by their lengths, so the end of each member is unambiguous, and no text is as long as
/// the length that precedes a digest.
fn add_member<T>(hasher: &mut Sha256, member: &Member<T>) {
    match u32::try_from(member.text().len()) {
        Ok(length) if member.text().len() <= LONG_MEMBER => {
            hasher.update(length.to_be_bytes());
            hasher.update(member.text());
        }
        _ => {
            hasher.update(u32::MAX.to_be_bytes());
            hasher.update(member.digest());
        }
    }
}
