//! What a verdict depends on, and what is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::actors::active::Active;
use crate::actors::application_cache::Read;
use crate::actors::request_cache::{Kept, Key};
use crate::domain::{EntityUid, Evaluation, Verdict};
use crate::ledger::EntitySet;
use crate::settings::RequestProperties;

use super::{Decided, Source};

/// Everything that the verdict depends on, but for the entities: their versions are checked when it is found.
pub(super) fn key(active: &Active, evaluation: &Evaluation) -> Key {
    let mode = match active.request_properties {
        RequestProperties::Merge => b'm',
        RequestProperties::Ignore => b'i',
    };
    let hasher = Sha256::new().chain_update(active.constitution.digest().as_bytes()).chain_update([mode]);
    hasher.chain_update(evaluation.canonical()).finalize().into()
}

/// The stored entities that were read, in the order of their names.
pub(super) fn entity_set(reads: &[Read]) -> Option<Arc<EntitySet>> {
    let stored: BTreeMap<&EntityUid, _> = reads
        .iter()
        .filter_map(|read| read.entity.as_ref())
        .map(|stored| (&stored.entity.uid, &stored.entity))
        .collect();
    if stored.is_empty() {
        return None;
    }
    let mut text = String::new();
    for entity in stored.values() {
        text.push_str(&serde_json::to_string(entity).unwrap_or_default());
        text.push('\n');
    }
    Some(Arc::new(EntitySet::new(text)))
}

/// A verdict that was made now, without any entity.
pub(super) fn fresh(verdict: Verdict) -> Decided {
    Decided { verdict: Arc::new(verdict), entities: None, source: Source::Question }
}

/// A verdict that was made before.
pub(super) fn known(kept: &Kept) -> Decided {
    Decided { verdict: Arc::clone(&kept.verdict), entities: kept.entities.clone(), source: Source::Verdicts }
}
