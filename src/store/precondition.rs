//! Preconditions for writing or removing an entity.

use super::error::StoreError;
use crate::domain::EntityUid;

/// The preconditions of a request (RFC 9110, section 13.2.2); none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The entity must be stored at one of these versions.
    pub if_match: Option<VersionSet>,
    /// The entity must not be stored at any of these versions.
    pub if_none_match: Option<VersionSet>,
}

/// A set of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSet {
    /// Every version.
    Any,
    /// The listed versions.
    Of(Vec<i64>),
}

impl Precondition {
    /// The entity must be stored at this version.
    #[must_use]
    pub fn at(version: i64) -> Self {
        Self { if_match: Some(VersionSet::Of(vec![version])), ..Self::default() }
    }

    /// The entity must not be stored.
    #[must_use]
    pub fn absent() -> Self {
        Self { if_none_match: Some(VersionSet::Any), ..Self::default() }
    }

    /// Checks the stored version, `None` if the entity is not stored. [`StoreError::Stale`] if `if_match` fails,
    /// [`StoreError::Exists`] if `if_none_match` fails.
    pub fn check(self, uid: &EntityUid, stored: Option<i64>) -> Result<(), StoreError> {
        if self.if_match.is_some_and(|wanted| !wanted.has(stored)) {
            return Err(StoreError::Stale { uid: uid.clone(), stored });
        }
        if self.if_none_match.is_some_and(|unwanted| unwanted.has(stored)) {
            return Err(StoreError::Exists(uid.clone()));
        }
        Ok(())
    }
}

impl VersionSet {
    /// Whether the stored version is in the set; false if the entity is not stored.
    fn has(&self, stored: Option<i64>) -> bool {
        stored.is_some_and(|stored| match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&stored),
        })
    }
}
