//! What is left out of the record of a large question: large members that the schema does not declare.
//!
//! No policy can read such a member, so the decision does not depend on it. Its name, its length and its digest stay: the
//! record has a member `omitted`, a list of `{"member":…,"bytes":…,"sha256":…}`. `member` is a JSON pointer into the
//! record, to where the member would be; the other two are of its value as compact JSON with sorted keys. Nothing is left
//! out of a member that several records share (`shared.rs`), since it is recorded only once.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::record_text::hex;
use crate::domain::{Evaluation, MemberPath};

/// A question that is recorded without some of its members.
#[derive(Debug, Clone)]
pub struct Shortened {
    /// The rest of the question.
    pub(super) rest: Evaluation,
    /// What `omitted` says.
    pub(super) omissions: Box<str>,
}

impl Shortened {
    /// The question without these members.
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
