//! Under which conditions an entity is written or removed.

use super::error::StoreError;
use crate::domain::EntityUid;

/// What must hold of an entity for something to be done with it (RFC 9110, section 13.2.2); by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It is stored, at one of these versions.
    pub if_match: Option<VersionSet>,
    /// It is not stored at any of these versions.
    pub if_none_match: Option<VersionSet>,
}

/// Versions of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSet {
    /// Whichever is stored.
    Any,
    /// These.
    Of(Vec<i64>),
}

impl Precondition {
    /// That the entity is stored, at this version.
    #[must_use]
    pub fn at(version: i64) -> Self {
        Self { if_match: Some(VersionSet::Of(vec![version])), ..Self::default() }
    }

    /// That the entity is not stored.
    #[must_use]
    pub fn absent() -> Self {
        Self { if_none_match: Some(VersionSet::Any), ..Self::default() }
    }

    /// [`StoreError::Stale`] where the entity is not at a version that is wanted, [`StoreError::Exists`] where it is at one
    /// that is not.
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
    /// Whether the stored version is among them; never where none is stored.
    fn has(&self, stored: Option<i64>) -> bool {
        stored.is_some_and(|stored| match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&stored),
        })
    }
}
