//! Members that the records of one request share: each is recorded once, and the records refer to it.
//!
//! The items of a batch take the members that they lack from the batch. Such a member can be large, and a batch can
//! have thousands of items, so the member is not written into the record of every item. It has an entry of its own, in
//! the same frame as the records that share it and before them. That entry and these records begin with `{"v":2,`, as
//! the entries of `parts.rs` do.
//!
//! - A *shared member* has `v`, `id`, `ts`, `kind` (`shared`), `caller` (`acgs`), `member`, which is its name, and last
//!   `value`, which is any JSON value as compact JSON.
//! - A *referring record* has the members of any other record of its kind, but its `v` is 2, and its last member is
//!   `"shared":{NAME:{"back":…,"sha256":…},…}` with the names of the members that it shares. `back` is how many entries
//!   the shared member's entry comes before the first entry of the record; of a shared member in parts, the head counts.
//!   `sha256` is the digest of the text of the value, in hex. In the place of the member itself the record has `null` or,
//!   of a subject, an action or a resource, an object with its names, which are the first members of the value.
//!
//! The *whole* record has the values in their places, `"v":1`, and no member `shared`: byte for byte it is the record
//! that would have been written if it shared nothing. A proof of a referring record proves the whole one, since the
//! record has the digests of what it shares.
//!
//! A decision that is recorded in full shares its subject, action, resource and context with others of its request:
//! those that at least two questions have from their batch, and that would add at least 256 bytes to each record. Names
//! of more than 256 bytes are not repeated. An item that cannot be read shares its names where they are as long. The
//! records of other events, and those of decisions that are recorded by digests, share nothing.
//!
//! This file writes them; `whole.rs` reads them.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::batch::{Batch, BatchError};
use super::parts;
use super::record_text::{self, hex};
use crate::domain::{Evaluation, MemberPath};

/// The kind of an entry that has a shared member.
pub(super) const KIND: &str = "shared";
/// The fewest bytes that sharing a member leaves out of a record.
const MIN_SAVED: usize = 256;
/// The most bytes of names that a record has of a member that it shares.
const MAX_NAMES: usize = 256;
/// The form of a shared member without names in a record.
pub(super) const NO_NAMES: &str = "null";
/// About how many bytes a reference takes.
const REFERENCE: usize = 128;

/// The large members that several questions of one request have, as their records share them.
#[derive(Debug, Default)]
pub struct SharedMembers<'e> {
    /// By the identity of the member in memory, which lasts as long as the questions do.
    texts: HashMap<usize, SharedText<'e>>,
}

/// One of these members.
#[derive(Debug)]
pub(super) struct SharedText<'e> {
    pub(super) name: &'static str,
    /// The form of the member in a record.
    pub(super) names: String,
    text: &'e str,
    /// SHA-256 of the text, in hex.
    digest: String,
}

/// A member of a question that its record may share.
#[derive(Clone, Copy)]
struct Candidate<'e> {
    name: &'static str,
    identity: usize,
    /// The canonical text.
    text: &'e str,
}

fn candidates(evaluation: &Evaluation) -> impl Iterator<Item = Candidate<'_>> {
    let (subject, action) = (&evaluation.subject, &evaluation.action);
    let (resource, context) = (&evaluation.resource, &evaluation.context);
    [
        Candidate { name: "subject", identity: subject.identity(), text: subject.text() },
        Candidate { name: "action", identity: action.identity(), text: action.text() },
        Candidate { name: "resource", identity: resource.identity(), text: resource.text() },
        Candidate { name: "context", identity: context.identity(), text: context.text() },
    ]
    .into_iter()
}

impl<'e> SharedMembers<'e> {
    /// The members that the records of these questions share.
    #[must_use]
    pub fn of(evaluations: &'e [Evaluation]) -> Self {
        let mut seen = HashMap::<usize, u32>::new();
        for large in evaluations.iter().flat_map(candidates).filter(|candidate| candidate.text.len() >= MIN_SAVED) {
            *seen.entry(large.identity).or_default() += 1;
        }
        seen.retain(|_, times| *times > 1);
        let mut shared = Self::default();
        for evaluation in evaluations {
            // The first questions mostly have all of them.
            if seen.is_empty() {
                break;
            }
            for candidate in candidates(evaluation) {
                if seen.remove(&candidate.identity).is_some()
                    && let Some(text) = SharedText::of(evaluation, candidate)
                {
                    shared.texts.insert(candidate.identity, text);
                }
            }
        }
        shared
    }

    /// The member with that identity; `None` where each record has it itself.
    pub(super) fn get(&self, identity: usize) -> Option<&SharedText<'e>> {
        self.texts.get(&identity)
    }

    /// Whether the record of a question shares the member that a path leads into.
    #[must_use]
    pub fn has(&self, evaluation: &Evaluation, path: &MemberPath) -> bool {
        let owner = candidates(evaluation).find(|candidate| path.names().next() == Some(candidate.name));
        owner.is_some_and(|owner| self.texts.contains_key(&owner.identity))
    }

    /// The members that the record of a question shares, in their order.
    pub(super) fn referred<'s>(&'s self, evaluation: &Evaluation) -> Vec<&'s SharedText<'e>> {
        candidates(evaluation).filter_map(|candidate| self.get(candidate.identity)).collect()
    }

    /// About how many bytes of the question are in its own record: its members, claims and references.
    #[must_use]
    pub fn own_bytes(&self, evaluation: &Evaluation) -> usize {
        let own = |candidate: Candidate<'_>| {
            let shared = self.get(candidate.identity);
            shared.map_or(candidate.text.len(), |shared| shared.names.len() + REFERENCE)
        };
        candidates(evaluation).map(own).sum::<usize>() + evaluation.claims.bytes()
    }

    /// About how many bytes of the questions are in their records and in what these share.
    #[must_use]
    pub fn recorded_bytes(&self, evaluations: &[Evaluation]) -> usize {
        let own: usize = evaluations.iter().map(|evaluation| self.own_bytes(evaluation)).sum();
        own + self.texts.values().map(|shared| shared.text.len()).sum::<usize>()
    }
}

impl<'e> SharedText<'e> {
    /// A member as it is shared; `None` where that would leave too little out of a record.
    fn of(evaluation: &Evaluation, candidate: Candidate<'e>) -> Option<Self> {
        let Candidate { name, text, .. } = candidate;
        let names = match name {
            "subject" => serde_json::to_string(&evaluation.subject.uid),
            "action" => serde_json::to_string(&BTreeMap::from([("name", &evaluation.action.name)])),
            "resource" => serde_json::to_string(&evaluation.resource.uid),
            // A context has no names.
            _ => Ok(NO_NAMES.to_owned()),
        };
        let names = names.ok().filter(|names| names.len() <= MAX_NAMES).unwrap_or_else(|| NO_NAMES.to_owned());
        Self::new(name, names, text)
    }

    /// The names of a subject, an action or a resource, as JSON, where no more than these is recorded of it; `None`
    /// where they are short.
    pub(super) fn of_names(name: &'static str, names: &'e str) -> Option<Self> {
        Self::new(name, NO_NAMES.to_owned(), names)
    }

    fn new(name: &'static str, names: String, text: &'e str) -> Option<Self> {
        let is_worthwhile = text.len() >= names.len() + MIN_SAVED;
        is_worthwhile.then(|| Self { name, names, digest: hex(&Sha256::digest(text.as_bytes())), text })
    }

    /// Records the member where the batch does not have it yet. On an error the batch is as it was.
    pub(super) fn push(&self, at: OffsetDateTime, batch: &mut Batch) -> Result<(), BatchError> {
        if batch.shared_at(self.name, &self.digest).is_some() {
            return Ok(());
        }
        let mut head = Vec::new();
        record_text::begin_continued(&mut head, record_text::new_id(at), at, KIND, "acgs");
        let _ = write!(head, ",\"member\":\"{}\"", self.name);
        let mut text = Vec::with_capacity(head.len() + self.text.len() + 16);
        text.extend_from_slice(&head);
        let _ = write!(text, ",\"value\":{}}}", self.text);
        parts::push(&text, at, |into| into.extend_from_slice(&head), batch)?;
        batch.note_shared(self.name, &self.digest);
        Ok(())
    }
}

/// Writes the last member of a record that becomes the next one of the batch; nothing where it shares nothing.
pub(super) fn write_references(shared: &[&SharedText<'_>], batch: &Batch, text: &mut Vec<u8>) {
    for (nth, SharedText { name, digest, .. }) in shared.iter().enumerate() {
        let back = batch.count().saturating_sub(batch.shared_at(name, digest).unwrap_or_default());
        text.extend_from_slice(if nth == 0 { b",\"shared\":{" } else { b"," });
        let _ = write!(text, "\"{name}\":{{\"back\":{back},\"sha256\":\"{digest}\"}}");
    }
    if !shared.is_empty() {
        text.push(b'}');
    }
}
