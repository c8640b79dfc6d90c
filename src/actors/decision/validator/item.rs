//! The state of one question of a request, and the evaluation of those whose facts are complete.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::entity_sets::EntitySets;
use super::single_flight::{FlightLeader, FlightResult};
use super::timeslice::Timeslice;
use super::{DecideError, Decided, Source};
use crate::actors::active::Active;
use crate::actors::cache::application_cache::{EntityReader, Read};
use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::constitution::{Gathering, MAX_ENTITIES};
use crate::domain::{EntityUid, Reason, Verdict};

/// The most entities that the items of one batch may read together, counted once for each item that reads them.
pub(super) const MAX_BATCH_ENTITIES: usize = 8 * MAX_ENTITIES;

/// The state of one question.
#[derive(Debug)]
pub(super) enum Item {
    /// Decided.
    Done(Decided),
    /// This request leads the flight: it decides the question for every request that asks it meanwhile.
    Leads(Box<InProgress>),
    /// Another request leads the flight.
    Follows(oneshot::Receiver<FlightResult>),
    /// Equal to the earlier item with this index.
    Repeats(usize),
}

/// A question that this request decides.
#[derive(Debug)]
pub(super) struct InProgress {
    pub(super) leader: FlightLeader,
    pub(super) stage: Stage,
    /// The entities read so far.
    pub(super) reads: Vec<Read>,
}

/// The progress of a question that this request decides.
#[derive(Debug)]
pub(super) enum Stage {
    /// The facts gathered so far.
    Gathering(Gathering),
    /// A deny, because what was read cannot be decided on.
    Denied(Verdict),
}

/// A new verdict that may be cached.
#[derive(Debug)]
pub(super) struct NewVerdict {
    pub(super) key: Key,
    pub(super) kept: CachedVerdict,
}

/// The evaluated items, and the new verdicts among them.
pub(super) struct Evaluated {
    pub(super) items: Vec<Item>,
    pub(super) made: Vec<NewVerdict>,
}

impl Item {
    /// The entities to be read next.
    pub(super) fn wanted(&self) -> &[EntityUid] {
        match self {
            Self::Leads(led) => led.wanted(),
            Self::Done(_) | Self::Follows(_) | Self::Repeats(_) => &[],
        }
    }

    /// The number of entities requested so far.
    pub(super) fn asked(&self) -> usize {
        match self {
            Self::Leads(led) => match &led.stage {
                Stage::Gathering(gathering) => gathering.asked(),
                Stage::Denied(_) => 0,
            },
            Self::Done(_) | Self::Follows(_) | Self::Repeats(_) => 0,
        }
    }

    /// A deny for an item of a batch that reads too many entities.
    pub(super) fn too_many_entities() -> Self {
        let detail = format!("the batch reads more than {MAX_BATCH_ENTITIES} entities");
        Self::Done(Decided::without_entities(Verdict::deny(Reason::Unavailable, detail)))
    }

    /// Closes the flight to further requests. Returns whether the entities that were read are current.
    pub(super) fn close(&mut self, entities: &EntityReader) -> bool {
        let Self::Leads(led) = self else { return true };
        led.leader.close();
        entities.is_current(&led.reads)
    }
}

impl InProgress {
    pub(super) fn wanted(&self) -> &[EntityUid] {
        match &self.stage {
            Stage::Gathering(gathering) => gathering.wanted(),
            Stage::Denied(_) => &[],
        }
    }

    /// Adds the entities that it wants, in that order.
    pub(super) fn supply(&mut self, reads: Vec<Read>) {
        let Stage::Gathering(gathering) = &mut self.stage else { return };
        let entities = reads.iter().map(|read| read.entity.as_ref().map(|stored| &stored.entity));
        let supplied = gathering.supply(entities);
        self.reads.extend(reads);
        if let Err(verdict) = supplied {
            self.stage = Stage::Denied(*verdict);
        }
    }

    /// The verdict, and the result of the flight.
    fn judge(self, active: &Active, sets: &mut EntitySets) -> (FlightLeader, FlightResult, Source) {
        let is_queried = self.reads.iter().any(|read| read.is_queried);
        let source = if is_queried { Source::Database } else { Source::Entities };
        let result = match (self.stage, sets.of(&self.reads)) {
            (Stage::Denied(verdict), _) if verdict.reason.is_transient() => FlightResult::Denied(Arc::new(verdict)),
            (_, Err(too_much)) => {
                FlightResult::Denied(Arc::new(Verdict::deny(Reason::Unavailable, too_much.to_string())))
            }
            (stage, Ok(entities)) => {
                let verdict = match stage {
                    Stage::Gathering(gathering) => active.constitution.judge(&gathering.finish()),
                    Stage::Denied(verdict) => Arc::new(verdict),
                };
                let stamps = self.reads.iter().map(|read| read.stamp).collect();
                FlightResult::Verdict(CachedVerdict { verdict, entities, stamps })
            }
        };
        (self.leader, result, source)
    }
}

/// Evaluates the items with complete facts in order, up to the first decision that ends the batch; after that only the
/// items that other requests follow.
pub(super) async fn judge(
    active: &Active,
    items: Vec<Item>,
    stop_at: Option<bool>,
    slice: &mut Timeslice,
) -> Result<Evaluated, DecideError> {
    let (mut judged, mut made, mut is_over) = (Vec::with_capacity(items.len()), Vec::new(), false);
    let is_batch = items.len() > 1;
    let mut sets = EntitySets::new(is_batch);
    for item in items {
        let item = match item {
            Item::Leads(led) if !is_over || led.leader.has_followers() => {
                let (leader, result, source) = led.judge(active, &mut sets);
                let decided = match &result {
                    FlightResult::Verdict(kept) => {
                        made.push(NewVerdict { key: leader.key(), kept: kept.clone() });
                        Decided { source, ..Decided::cached(kept) }
                    }
                    FlightResult::Denied(verdict) => Decided { verdict: Arc::clone(verdict), entities: None, source },
                };
                leader.finish(&result);
                if is_batch {
                    slice.pause().await?;
                }
                Item::Done(decided)
            }
            other => other,
        };
        if is_over {
            continue;
        }
        is_over = matches!(&item, Item::Done(done) if stop_at == Some(done.verdict.permits()));
        judged.push(item);
    }
    Ok(Evaluated { items: judged, made })
}

/// Denies the incomplete items of a batch that reads too many entities. Followers in other requests begin anew, since
/// the limit concerns this batch only.
pub(super) fn limit_entities(items: &mut [Item]) {
    if items.len() < 2 || items.iter().map(Item::asked).sum::<usize>() <= MAX_BATCH_ENTITIES {
        return;
    }
    for item in items.iter_mut().filter(|item| matches!(item, Item::Leads(_))) {
        *item = Item::too_many_entities();
    }
}
