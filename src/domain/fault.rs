//! Faults of an input, with their places.

use serde::Serialize;
use utoipa::ToSchema;

/// One fault of an input document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InputFault {
    /// JSON pointer (RFC 6901) to the faulty member; empty for the whole document.
    pub pointer: String,
    /// The fault, in one line.
    pub detail: String,
}

impl InputFault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The member a pointer leads to, as people write it: `/subject/id` is `subject.id`.
    #[must_use]
    pub fn member(&self) -> String {
        self.pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
    }
}

impl std::fmt::Display for InputFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.detail)
        } else {
            write!(f, "`{}` {}", self.member(), self.detail)
        }
    }
}

/// One step further down a JSON pointer, escaped as RFC 6901, section 3, demands.
#[must_use]
pub(crate) fn step(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}
