//! Reads records whole: in parts or not, with the members that they share put in.
//!
//! The formats are described in `parts.rs` and `shared.rs`. [`Assembly`] takes the entries of a log one by one,
//! [`whole`] reads what a single record needs from wherever it is, and [`whole_records`] does the former and, where
//! records need what comes before the first one that is read, the latter.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};

use super::batch::Batch;
use super::fault::{LedgerError, Problem};
use super::lookup::RecordLookup;
use super::parts::{Joined, PART_KIND, Parts, first_part, is_continued, joined};
use super::record_text::hex;
use super::records::{Records, record, records};
use super::shared;
use super::storage::Storage;
use crate::domain::write_json;

/// Puts records together from the entries of a log, or of a proof, that come one after the other.
#[derive(Debug, Clone, Default)]
pub struct Assembly {
    parts: Parts,
    /// Shared members, in the order of their entries, as long as they may be in one frame with the next entry.
    shared: VecDeque<SharedMember>,
    /// How many entries were taken, and how many bytes they have.
    taken: u64,
    bytes: usize,
    gaps: Gaps,
}

/// Whether entries of the log are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Gaps {
    #[default]
    None,
    /// Shared members are known by their digests only.
    Allowed,
}

/// A shared member that was taken.
#[derive(Debug, Clone)]
struct SharedMember {
    /// How many entries come before its own, and how many bytes these have.
    at: u64,
    begin: usize,
    name: String,
    text: Arc<str>,
    /// SHA-256 of the text, in hex.
    digest: String,
}

/// The reference of a record to a member that it shares.
#[derive(Debug, Deserialize)]
struct Reference {
    /// How many entries before the record's first one it is.
    back: u64,
    sha256: String,
}

impl Assembly {
    /// For the entries of a proof: those of one record and, before them, of what it shares.
    #[must_use]
    pub fn of_proof() -> Self {
        Self { gaps: Gaps::Allowed, ..Self::default() }
    }

    /// Takes the next entry. Answers the whole text of the record that the entry is, or that it is the head of; parts
    /// and shared members are their own text.
    ///
    /// [`Problem::Parts`] and [`Problem::Shared`] where what it needs is not there, or is not what it names.
    pub fn take<'r>(&mut self, entry: &'r [u8]) -> Result<Cow<'r, [u8]>, Problem> {
        let (at, begin) = (self.taken, self.bytes);
        self.taken += 1;
        self.bytes += 2 + entry.len();
        let (text, parts) = match self.parts.take(entry)? {
            Joined::Part => return Ok(entry.into()),
            Joined::Text(text, _) if !is_continued(&text) => return Ok(text),
            Joined::Text(text, parts) => (text, parts),
        };
        let read = Text::read(&text).ok_or(Problem::Shared)?;
        if let Some((name, value)) = read.shared_member() {
            // Whatever is larger than a frame lies in other frames.
            while self.shared.front().is_some_and(|first| self.bytes - first.begin > Batch::MAX_BYTES) {
                self.shared.pop_front();
            }
            let digest = hex(&Sha256::digest(value));
            self.shared.push_back(SharedMember { at, begin, name, text: value.into(), digest });
            return Ok(text);
        }
        let first = at.saturating_sub(parts as u64);
        let mut values = BTreeMap::new();
        for (name, reference) in read.references()? {
            let value = self.find(first, &name, &reference).ok_or(Problem::Shared)?;
            values.insert(name, value);
        }
        Ok(read.with(values)?.into())
    }

    /// What a record refers to whose first entry comes behind so many others.
    fn find(&self, first: u64, name: &str, reference: &Reference) -> Option<Arc<str>> {
        let is_meant = |shared: &&SharedMember| {
            let is_there = self.gaps == Gaps::Allowed || Some(shared.at) == first.checked_sub(reference.back);
            is_there && shared.name == name && shared.digest == reference.sha256
        };
        let found = self.shared.iter().rev().find(is_meant)?;
        (self.bytes - found.begin <= Batch::MAX_BYTES).then(|| Arc::clone(&found.text))
    }
}

/// The text of an entry that is not a whole record by itself, taken apart.
struct Text<'t> {
    /// Names and values, in their order.
    members: Vec<(String, &'t str)>,
}

impl<'t> Text<'t> {
    /// `None` where it is not an object of compact JSON.
    fn read(text: &'t [u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (mut members, mut at) = (Vec::new(), 0);
        while text.get(at..)? != "}" {
            at += text.get(at..)?.strip_prefix(['{', ',']).map(|_| 1)?;
            let name = value_at::<String>(text, &mut at)?;
            at += text.get(at..)?.strip_prefix(':').map(|_| 1)?;
            let begin = at;
            value_at::<IgnoredAny>(text, &mut at)?;
            members.push((name, text.get(begin..at)?));
        }
        Some(Self { members })
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    fn has_kind(&self, kind: &str) -> bool {
        self.get("kind").and_then(string).is_some_and(|found| found == kind)
    }

    /// The name and the value of a shared member; `None` of anything else.
    fn shared_member(&self) -> Option<(String, &'t str)> {
        if !self.has_kind(shared::KIND) {
            return None;
        }
        Some((string(self.get("member")?)?, self.get("value")?))
    }

    /// The names of the members that a record shares, and what it says of them.
    fn references(&self) -> Result<BTreeMap<String, Reference>, Problem> {
        let last = self.members.last().filter(|(name, _)| name == "shared");
        last.and_then(|(_, references)| serde_json::from_str(references).ok()).ok_or(Problem::Shared)
    }

    /// The whole record, with the values of what it shares. [`Problem::Shared`] where one of them has other names than
    /// the record, or no place in it.
    fn with(&self, mut values: BTreeMap<String, Arc<str>>) -> Result<Vec<u8>, Problem> {
        let mut whole = b"{\"v\":1".to_vec();
        for (name, own) in self.members.iter().filter(|(name, _)| !["v", "shared"].contains(&name.as_str())) {
            let value = values.remove(name);
            if value.as_deref().is_some_and(|value| !has_names(value, own)) {
                return Err(Problem::Shared);
            }
            whole.push(b',');
            write_json(&mut whole, name);
            whole.push(b':');
            whole.extend_from_slice(value.as_deref().unwrap_or(own).as_bytes());
        }
        whole.push(b'}');
        if values.is_empty() { Ok(whole) } else { Err(Problem::Shared) }
    }
}

/// Whether a value has the names that a record has in its place: they are the first members of the value.
fn has_names(value: &str, names: &str) -> bool {
    let has = |names: &str| value.strip_prefix(names).is_some_and(|rest| rest.starts_with([',', '}']));
    names == shared::NO_NAMES || names.strip_suffix('}').is_some_and(has)
}

/// Reads the JSON value that begins at a byte of the text, and moves behind it.
fn value_at<T: DeserializeOwned>(text: &str, at: &mut usize) -> Option<T> {
    let mut values = serde_json::Deserializer::from_str(text.get(*at..)?).into_iter::<T>();
    let value = values.next()?.ok()?;
    *at += values.byte_offset();
    Some(value)
}

fn string(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

/// The whole text of a record, given the entry at its index. Parts and shared members are their own text.
pub fn whole<'r, S: Storage>(storage: &S, index: u64, entry: &'r [u8]) -> Result<Cow<'r, [u8]>, LedgerError> {
    whole_by(&mut RecordLookup::new(storage), index, entry)
}

impl<S: Storage> RecordLookup<'_, S> {
    /// The whole text of the record with that index; `None` where the log does not have it yet. Parts and shared
    /// members are their own text.
    pub fn whole(&mut self, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some(entry) = self.get(index)?.map(<[u8]>::to_vec) else { return Ok(None) };
        let text = match whole_by(self, index, &entry)? {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
        Ok(Some(text.unwrap_or(entry)))
    }
}

fn whole_by<'r, S: Storage>(
    lookup: &mut RecordLookup<'_, S>,
    index: u64,
    entry: &'r [u8],
) -> Result<Cow<'r, [u8]>, LedgerError> {
    let (text, first) = joined(lookup, index, entry)?;
    if !is_continued(&text) {
        return Ok(text);
    }
    let wrong = |problem| LedgerError::at(index, "shared", problem);
    let read = Text::read(&text).ok_or_else(|| wrong(Problem::Shared))?;
    if read.has_kind(PART_KIND) || read.shared_member().is_some() {
        return Ok(text);
    }
    let mut values = BTreeMap::new();
    for (name, reference) in read.references().map_err(wrong)? {
        let value = referred(lookup, first, &name, &reference)?.ok_or_else(|| wrong(Problem::Shared))?;
        values.insert(name, value);
    }
    Ok(read.with(values).map_err(wrong)?.into())
}

/// The value that a record refers to whose first entry has that index; `None` where it is not there.
fn referred<S: Storage>(
    lookup: &mut RecordLookup<'_, S>,
    first: u64,
    name: &str,
    reference: &Reference,
) -> Result<Option<Arc<str>>, LedgerError> {
    let Some(at) = first.checked_sub(reference.back) else { return Ok(None) };
    let Some(entry) = lookup.get(at)?.map(<[u8]>::to_vec) else { return Ok(None) };
    let (text, _) = joined(lookup, at, &entry)?;
    let found = if is_continued(&text) { Text::read(&text).and_then(|text| text.shared_member()) } else { None };
    let is_meant = |(found, value): &(String, &str)| found == name && hex(&Sha256::digest(value)) == reference.sha256;
    Ok(found.filter(is_meant).map(|(_, value)| value.into()))
}

/// The entries that prove a record whole, as a bundle: those of what it shares, its parts, and last its own.
pub fn entries_of<S: Storage>(storage: &S, index: u64) -> Result<Vec<u8>, LedgerError> {
    let entry = record(storage, index)?.ok_or(LedgerError::Gone(index))?;
    let (text, first) = joined(&mut RecordLookup::new(storage), index, &entry)?;
    let mut wanted = Vec::new();
    if is_continued(&text)
        && let Some(references) = Text::read(&text).and_then(|text| text.references().ok())
    {
        for reference in references.values() {
            let at = first.checked_sub(reference.back).ok_or(LedgerError::Gone(first))?;
            let entry = record(storage, at)?.ok_or(LedgerError::Gone(at))?;
            wanted.push(first_part(at, &entry)?.unwrap_or(at)..=at);
        }
    }
    wanted.push(first..=index);
    let mut bundle = Vec::new();
    for indices in wanted {
        let mut found = records(storage, *indices.start()..indices.end().saturating_add(1));
        while let Some((_, entry)) = found.advance()? {
            // Records are at most 65,535 bytes.
            bundle.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            bundle.extend_from_slice(entry);
        }
    }
    Ok(bundle)
}

/// The records with these indices, in order, as far as the log has them: as [`records`] reads them, and whole.
pub fn whole_records<S: Storage>(storage: &S, indices: Range<u64>) -> WholeRecords<'_, S> {
    WholeRecords { storage, found: records(storage, indices), assembly: Assembly::default() }
}

/// Reads records whole, one after the other.
pub struct WholeRecords<'s, S: Storage> {
    storage: &'s S,
    found: Records<'s, S>,
    assembly: Assembly,
}

/// A record as [`WholeRecords`] reads it.
#[derive(Debug)]
pub struct WholeRecord<'r> {
    /// Its index.
    pub index: u64,
    /// The entry with that index.
    pub entry: &'r [u8],
    /// The whole text. Parts and shared members are their own text. An error where what the record needs is not there.
    pub text: Result<Cow<'r, [u8]>, LedgerError>,
}

impl<S: Storage> WholeRecords<'_, S> {
    /// The next record; `None` where there is none, or none yet.
    pub fn advance(&mut self) -> Result<Option<WholeRecord<'_>>, LedgerError> {
        let Some((index, entry)) = self.found.advance()? else { return Ok(None) };
        // What comes before the first record is read by itself; so is what is wrong, to say what that is.
        let text = self.assembly.take(entry).or_else(|_| whole(self.storage, index, entry));
        Ok(Some(WholeRecord { index, entry, text }))
    }
}

#[cfg(test)]
mod tests;
