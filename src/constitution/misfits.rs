//! Compares stored entities with the schema of a constitution that is to come into force. Attributes that it no longer
//! declares are dropped when an entity is read, so a policy that reads them would silently decide otherwise.

use rayon::prelude::*;

use super::bundle::SCHEMA;
use super::{Constitution, Fault};
use crate::domain::Entity;

/// The most entities that are named.
const LISTED: usize = 100;

/// The stored entities that do not fit a schema.
#[derive(Debug, Default)]
pub struct Misfits {
    count: usize,
    listed: Vec<Fault>,
}

impl Misfits {
    /// Compares some entities with a constitution's schema.
    pub fn check(&mut self, constitution: &Constitution, entities: &[Entity]) {
        let misfit = |entity: &Entity| {
            let detail = constitution.check_entity(entity).err()?;
            Some(Fault::of_file(SCHEMA, format!("the stored entity `{}` does not fit: {detail}", entity.uid)))
        };
        let found: Vec<Fault> = entities.par_iter().filter_map(misfit).collect();
        self.count += found.len();
        let room = LISTED.saturating_sub(self.listed.len());
        self.listed.extend(found.into_iter().take(room));
    }

    /// One objection per entity, up to 100, and one for the rest; empty if all entities fit.
    #[must_use]
    pub fn objections(self) -> Vec<Fault> {
        let Self { count, mut listed } = self;
        if count > listed.len() {
            let more = count - listed.len();
            listed.push(Fault::of_file(SCHEMA, format!("{more} more stored entities do not fit")));
        }
        listed
    }
}
