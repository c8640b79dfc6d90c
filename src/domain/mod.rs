//! The nouns of the field: parsed once at the edge, valid ever after.

mod claims;
mod consistency;
mod cycle;
mod entity;
mod evaluation;
mod excerpt;
mod explanation;
mod fault;
mod hash;
mod json;
mod member;
mod member_path;
mod near;
mod party;
mod percent_encoding;
mod revision;
mod verdict;

pub use claims::Claims;
pub use consistency::Consistency;
pub(crate) use cycle::find_cycle_of;
pub use cycle::{Cycle, find_cycle};
pub use entity::{Entity, EntityUid};
pub use evaluation::{Defaults, Evaluation, FaultyItem, MAX_FAULTS, MAX_NAME, UnknownMembers};
pub(crate) use excerpt::{beginning, cut, excerpt};
pub use fault::InputFault;
pub(crate) use fault::step;
pub use hash::{ConstitutionDigest, ConstitutionalHash, HashError};
pub(crate) use json::write_json;
pub use json::{Json, MAX_JSON_NESTING, Object, is_json_too_deep};
pub use member::{Canonical, Member};
pub use member_path::MemberPath;
pub(crate) use near::{nearest, suggestion};
pub use party::{Action, Party};
pub(crate) use percent_encoding::{percent_decode, percent_encode};
pub use revision::{NoRevision, Revision};
pub use verdict::{Enforcement, Finding, NearMiss, Reason, Severity, Verdict};
