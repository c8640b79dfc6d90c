//! Decides recorded questions again: from the record, the constitution of then, and the entities that were read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::constitution::{Constitution, deny_claim, kept};
use crate::domain::{
    ConstitutionDigest, ConstitutionalHash, Entity, EntityUid, Evaluation, Json, Object, Reason, UnknownMembers,
    Verdict,
};
use crate::ledger::{hex, text_of};
use crate::settings::{HashEnforcement, RequestProperties};

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not the record of a decision.
    NoDecision,
    /// The decision is the same again: its reason, its policies, its violations and its warnings.
    Same,
    /// It is another one.
    Different {
        /// The decision's id.
        id: String,
        /// What was decided then.
        recorded: String,
        /// What is decided now.
        now: String,
    },
    /// It cannot be decided again.
    Undecided {
        /// The decision's id.
        id: String,
        /// Why not.
        why: String,
    },
}

/// Goes through records in their order.
#[derive(Debug)]
pub struct Replay {
    /// The folder of constitutions by digest.
    folder: PathBuf,
    /// Constitutions by digest, as far as they were needed; an error is why one cannot be had.
    constitutions: HashMap<String, Result<Rc<Constitution>, String>>,
    /// The constitution to decide under, in place of that of then.
    other: Option<Constitution>,
    /// Texts of entity sets by digest.
    sets: HashMap<String, String>,
    /// The parts of the sets that are not whole yet.
    parts: HashMap<String, Vec<Option<String>>>,
}

/// A recorded decision.
struct Recorded<'r> {
    evaluation: Evaluation,
    hash: ConstitutionalHash,
    digest: &'r str,
    /// The hash that the caller named, where it was accepted although another one was in force.
    accepted: Option<&'r str>,
    enforcement: HashEnforcement,
    properties: RequestProperties,
    entities: Option<&'r str>,
}

/// Why something is not decided again.
type Why = String;

impl Replay {
    /// Decides under the constitutions in that folder, or under another one.
    #[must_use]
    pub fn new(folder: PathBuf, other: Option<Constitution>) -> Self {
        Self { folder, constitutions: HashMap::new(), other, sets: HashMap::new(), parts: HashMap::new() }
    }

    /// Takes a record in that is not to be decided again, but may have what others need.
    pub fn learn(&mut self, record: &[u8]) {
        if let Ok(record) = serde_json::from_slice::<Object>(record) {
            self.learn_entities(&record);
        }
    }

    /// Decides a record's question again.
    pub fn decide(&mut self, record: &[u8]) -> Outcome {
        let Ok(record) = serde_json::from_slice::<Object>(record) else {
            return Outcome::Undecided { id: String::new(), why: "the record is not an object".to_owned() };
        };
        self.learn_entities(&record);
        if text_of(&record, "kind") != Some("decision") {
            return Outcome::NoDecision;
        }
        let id = text_of(&record, "id").unwrap_or_default().to_owned();
        if text_of(&record, "reason") == Some(Reason::InvalidRequest.as_str()) {
            return faulty(&record, id);
        }
        match self.verdict(&record) {
            Err(why) => Outcome::Undecided { id, why },
            Ok(verdict) if is_same(&record, &verdict) => Outcome::Same,
            Ok(verdict) => Outcome::Different { id, recorded: summary(&record), now: summary(&members(&verdict)) },
        }
    }

    fn learn_entities(&mut self, record: &Object) {
        if text_of(record, "kind") != Some("entities") {
            return;
        }
        let number = |member| match record.get(member) {
            Some(Json::Int(number)) => usize::try_from(*number).ok(),
            _ => None,
        };
        let (Some(digest), Some(text), Some(part), Some(parts)) =
            (text_of(record, "digest"), text_of(record, "text"), number("part"), number("parts"))
        else {
            return;
        };
        if self.sets.contains_key(digest) {
            return;
        }
        let known = self.parts.entry(digest.to_owned()).or_insert_with(|| vec![None; parts.min(1 << 16)]);
        if let Some(slot) = known.get_mut(part) {
            *slot = Some(text.to_owned());
        }
        if let Some(texts) = known.iter().cloned().collect::<Option<Vec<_>>>() {
            self.parts.remove(digest);
            let text = texts.concat();
            if hex(&Sha256::digest(&text)) == digest {
                self.sets.insert(digest.to_owned(), text);
            }
        }
    }

    fn verdict(&mut self, record: &Object) -> Result<Verdict, Why> {
        if record.get("replaced").is_some() || record.get("request").is_some() {
            return Err("the record has only a digest of the request".to_owned());
        }
        if text_of(record, "reason") == Some(Reason::Unavailable.as_str()) {
            return Err("it was denied since something was not available".to_owned());
        }
        let recorded = Recorded::read(record)?;
        if let Some(denied) = recorded.deny_claim() {
            return Ok(denied);
        }
        let stored = self.entities(recorded.entities)?;
        let then = self.constitution(recorded.digest);
        let asked = RefCell::new(HashSet::new());
        let decide = |constitution: &Constitution| {
            constitution.decide(recorded.properties, &recorded.evaluation, |uid| {
                asked.borrow_mut().insert(uid.clone());
                stored.get(uid)
            })
        };
        let Some(other) = &self.other else { return then.map(|then| decide(&then)) };
        // What the constitution of then did not ask for is not known to be absent.
        drop(decide(&*then?));
        let known: HashSet<EntityUid> = asked.take();
        let verdict = decide(other);
        let is_unknown = |uid: &&EntityUid| !known.contains(*uid) && !stored.contains_key(*uid);
        match asked.borrow().iter().find(is_unknown) {
            Some(uid) => Err(format!("it needs `{uid}`, which was not read then")),
            None => Ok(verdict),
        }
    }

    fn constitution(&mut self, digest: &str) -> Result<Rc<Constitution>, Why> {
        let folder = &self.folder;
        let load = || {
            let digest: ConstitutionDigest = digest.parse().map_err(|_| "its constitution has no digest".to_owned())?;
            let loaded = Constitution::load(&kept(folder, &digest));
            match loaded {
                Ok(loaded) if loaded.digest() == digest => Ok(Rc::new(loaded)),
                Ok(_) => Err(format!("the kept copy of constitution `{digest}` was changed")),
                Err(_) => Err(format!("constitution `{digest}` was not kept")),
            }
        };
        self.constitutions.entry(digest.to_owned()).or_insert_with(load).clone()
    }

    /// The stored entities that the decision read.
    fn entities(&self, digest: Option<&str>) -> Result<HashMap<EntityUid, Entity>, Why> {
        let Some(digest) = digest else { return Ok(HashMap::new()) };
        let text = self.sets.get(digest).ok_or("the entities that it read are not recorded")?;
        let read = |line| serde_json::from_str::<Entity>(line).map(|entity| (entity.uid.clone(), entity));
        text.lines()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("its entities cannot be read: {error}"))
    }
}

impl<'r> Recorded<'r> {
    fn deny_claim(&self) -> Option<Verdict> {
        deny_claim(self.hash, |claim| self.accepted == Some(claim), self.enforcement, &self.evaluation.claims)
    }

    fn read(record: &'r Object) -> Result<Self, Why> {
        let mut question = Object::default();
        for member in ["subject", "action", "resource", "context"] {
            if let Some(value) = record.get(member) {
                question.insert(member, value.clone());
            }
        }
        let evaluation = Evaluation::from_object(&question, UnknownMembers::Refused);
        let mut evaluation = evaluation.map_err(|_| "the record's request cannot be read")?;
        evaluation.claims.header = text_of(record, "claimed_in_header").map(Into::into);
        evaluation.claims.context = text_of(record, "claimed_in_context").map(Into::into);
        let hash = text_of(record, "hash").and_then(|hash| hash.parse().ok());
        Ok(Self {
            evaluation,
            hash: hash.ok_or("the record names no constitution")?,
            digest: text_of(record, "digest").unwrap_or_default(),
            accepted: text_of(record, "accepted_hash"),
            enforcement: match text_of(record, "hash_enforcement") {
                Some("required") => HashEnforcement::Required,
                _ => HashEnforcement::WhenPresent,
            },
            properties: match text_of(record, "request_properties") {
                Some("ignore") => RequestProperties::Ignore,
                _ => RequestProperties::Merge,
            },
            entities: text_of(record, "entities"),
        })
    }
}

/// An item that cannot be read is denied under every constitution.
fn faulty(record: &Object, id: String) -> Outcome {
    if record.get("decision") == Some(&Json::Bool(false)) {
        return Outcome::Same;
    }
    let now = Reason::InvalidRequest.as_str().to_owned();
    Outcome::Different { id, recorded: "a permit of what cannot be read".to_owned(), now }
}

/// Verdicts are the same where these members are; `detail` explains them in words that may change.
const COMPARED: [&str; 4] = ["reason", "policies", "violations", "warnings"];

fn is_same(record: &Object, verdict: &Verdict) -> bool {
    let now = members(verdict);
    record.get("decision") == Some(&Json::Bool(verdict.permits()))
        && COMPARED.iter().all(|member| record.get(member) == now.get(member))
}

fn members(verdict: &Verdict) -> Object {
    serde_json::from_str(&format!("{{{}}}", verdict.members())).unwrap_or_default()
}

/// A verdict in a few words: its reason, its policies and what it violates.
fn summary(record: &Object) -> String {
    let mut text = text_of(record, "reason").unwrap_or("nothing").to_owned();
    for member in ["policies", "violations", "warnings"] {
        let Some(Json::Array(items)) = record.get(member).filter(|items| **items != Json::Array(Vec::new())) else {
            continue;
        };
        let name = |item: &Json| match item {
            Json::Object(finding) => text_of(finding, "principle").unwrap_or_default().to_owned(),
            item => item.as_str().unwrap_or_default().to_owned(),
        };
        let _ = write!(text, " {member} {}", items.iter().map(name).collect::<Vec<_>>().join(","));
    }
    text
}
