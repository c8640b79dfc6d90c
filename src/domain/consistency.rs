//! How new the data must be that a decision is made on.

use super::Revision;

/// A caller's demand on the age of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Everything that was written on this node, and what other nodes wrote up to some moments ago.
    #[default]
    Usual,
    /// At least as new as this revision, whichever node committed it.
    AtLeast(Revision),
    /// Everything that was written by now, and nothing from any cache.
    Full,
}
