//! The constitutional hash that a caller claims in a header, and its check on management routes.

use std::borrow::Cow;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::problem::{CONSTITUTION_MISMATCH, Problem};
use crate::actors::active::Active;
use crate::domain::ConstitutionalHash;
use crate::settings::HashEnforcement;

/// The header with a constitutional hash: in requests the claimed one, in answers the one in force.
pub const CONSTITUTIONAL_HASH: HeaderName = HeaderName::from_static("x-constitutional-hash");

/// The claimed constitution. If there are several headers, all of them joined, which never matches the one in force.
#[must_use]
pub fn claimed_hash(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let claims = headers.get_all(&CONSTITUTIONAL_HASH).map(|claim| String::from_utf8_lossy(claim.as_bytes()));
    claims.reduce(|all, claim| format!("{all}, {claim}").into())
}

/// Whether the path is that of a question below `/v1/`. A question changes nothing, and its answer says whether the
/// claimed constitution is the one in force, so the claim is not checked before its route.
#[must_use]
pub(super) fn is_question(path: &str) -> bool {
    matches!(path, "/v1/validate" | "/v1/explain")
}

/// Why a request to the management route at `path` is refused for its claim; `None` if it is not.
pub(super) fn check(active: &Active, request: &ServiceRequest, path: &str) -> Option<Problem> {
    let hash = active.constitution.hash();
    // Reads and logins change nothing that a constitution governs, and their callers may not know its hash yet.
    let is_demanded = active.hash_enforcement == HashEnforcement::Required
        && !request.method().is_safe()
        && !path.starts_with("/v1/auth/");
    match claimed_hash(request.headers()) {
        Some(claim) if !active.accepts(&claim) => {
            Some(Problem::new(&CONSTITUTION_MISMATCH, format!("the constitution in force is `{hash}`")))
        }
        None if is_demanded => Some(Problem::new(
            &CONSTITUTION_MISMATCH,
            format!("state the constitution in force, `{hash}`, in `X-Constitutional-Hash`"),
        )),
        _ => None,
    }
}

/// A constitutional hash as the value of its header.
#[must_use]
pub fn hash_value(hash: ConstitutionalHash) -> HeaderValue {
    // Hex digits are a header value.
    HeaderValue::from_str(hash.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
