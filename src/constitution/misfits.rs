//! Stored entities held against the schema of a constitution that is to come into force: what it does not declare any
//! more is dropped when an entity is read, so that a policy that asked for it would decide otherwise without a word.

use rayon::prelude::*;

use super::bundle::SCHEMA;
use super::{Constitution, Fault};
use crate::domain::Entity;

/// How many entities that do not fit are named.
const LISTED: usize = 100;

/// The stored entities that do not fit.
#[derive(Debug, Default)]
pub struct Misfits {
    count: usize,
    listed: Vec<Fault>,
}

impl Misfits {
    /// Holds some entities against a constitution's schema.
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

    /// What speaks against the constitution; nothing where all entities fit.
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
