//! Omissions from the record of a large question: large members that the schema does not declare.
//!
//! No policy can read such a member, so the decision does not depend on it. The record's member `omitted` lists each
//! one as `{"member":…,"bytes":…,"sha256":…}`. `member` is a JSON pointer to where the member would be in the record;
//! length and digest are those of its value as compact JSON with sorted keys. Members that several records share
//! (`shared.rs`) are recorded once, and nothing is omitted from them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::record_text::hex;
use crate::domain::{Evaluation, MemberPath};

/// A question without some of its members, for its record.
#[derive(Debug, Clone)]
pub struct Shortened {
    /// The question without the omitted members.
    pub(super) rest: Evaluation,
    /// The JSON of `omitted`.
    pub(super) omissions: Box<str>,
}

impl Shortened {
    /// Removes these members from the question.
    #[must_use]
    pub fn new(evaluation: &Evaluation, paths: &[MemberPath]) -> Self {
        let (rest, removed) = evaluation.without(paths);
        let mut omissions = String::from("[");
        for (path, value) in removed {
            let value = serde_json::to_vec(&value).unwrap_or_default();
            let (comma, digest) = (if omissions.len() > 1 { "," } else { "" }, hex(&Sha256::digest(&value)));
            let member = serde_json::to_string(&path.to_string()).unwrap_or_default();
            let bytes = value.len();
            let _ = write!(omissions, "{comma}{{\"member\":{member},\"bytes\":{bytes},\"sha256\":\"{digest}\"}}");
        }
        omissions.push(']');
        Self { rest, omissions: omissions.into() }
    }
}
