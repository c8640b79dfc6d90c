//! The constitution that a caller claims, compared with the one in force.

use crate::domain::{Claims, ConstitutionalHash, Reason, Verdict, beginning};
use crate::settings::HashEnforcement;

/// The deny for a claim to another constitution than the one with this hash, or for a missing claim where one is
/// required. `is_accepted` says whether another hash is accepted in its grace period.
#[must_use]
pub fn deny_claim(
    hash: ConstitutionalHash,
    is_accepted: impl Fn(&str) -> bool,
    enforcement: HashEnforcement,
    claims: &Claims,
) -> Option<Verdict> {
    let mut claims = [&claims.header, &claims.context].into_iter().flatten().peekable();
    if claims.peek().is_none() && enforcement == HashEnforcement::Required {
        let detail = "state the constitutional hash in `X-Constitutional-Hash` or `context.constitutional_hash`";
        return Some(Verdict::deny(Reason::ConstitutionHashRequired, detail));
    }
    let wrong = claims.find(|claim| ***claim != *hash.as_str() && !is_accepted(claim))?;
    let detail = format!("the constitution in force is `{hash}`, not `{}`", beginning(wrong));
    Some(Verdict::deny(Reason::ConstitutionMismatch, detail))
}
