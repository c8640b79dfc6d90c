//! How new the data must be that a decision is made on.

use super::Revision;

/// What a caller demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What this node knows: everything that was written on it, and what others wrote up to some moments ago.
    #[default]
    Usual,
    /// At least as new as this revision, whichever node committed it.
    AtLeast(Revision),
    /// Everything that was written by now, and nothing from any cache.
    Full,
}
