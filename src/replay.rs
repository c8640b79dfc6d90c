//! Decides recorded questions again: from the record, the constitution of then, and the entities that were read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::constitution::{Constitution, deny_claim, kept};
use crate::domain::{
    ConstitutionDigest, ConstitutionalHash, Entity, EntityUid, Evaluation, Json, MemberPath, Object, Reason,
    UnknownMembers, Verdict,
};
use crate::ledger::{hex, text_of};
use crate::settings::{HashEnforcement, RequestProperties};

/// The outcome of replaying one record.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not the record of a decision.
    NoDecision,
    /// The decision is the same again: its reason, its policies, its violations and its warnings.
    Same,
    /// It is another one.
    Different(Box<Difference>),
    /// It cannot be decided again.
    Undecided {
        /// The decision's id.
        id: String,
        /// Why not.
        why: String,
    },
}

/// A decision with another result when it is made again.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The decision's id.
    pub id: String,
    /// Subject, action and resource.
    pub question: String,
    /// Whether it was permitted, as recorded and now.
    pub permits: (bool, bool),
    /// The recorded result.
    pub recorded: String,
    /// The result now.
    pub now: String,
    /// The policies that contributed to only one of the two results; if there are none, all that contributed.
    pub policies: BTreeSet<String>,
}

impl Difference {
    /// The change of the verdict.
    #[must_use]
    pub const fn change(&self) -> &'static str {
        match self.permits {
            (true, true) => "permit→permit",
            (true, false) => "permit→deny",
            (false, true) => "deny→permit",
            (false, false) => "deny→deny",
        }
    }
}

/// Counts of differences.
#[derive(Debug, Default)]
pub struct Differences {
    /// By change of the verdict.
    pub by_change: BTreeMap<&'static str, u64>,
    /// By policy; a difference counts for each of its policies.
    pub by_policy: BTreeMap<String, u64>,
}

impl Differences {
    /// Counts a difference.
    pub fn add(&mut self, difference: &Difference) {
        *self.by_change.entry(difference.change()).or_default() += 1;
        for policy in &difference.policies {
            *self.by_policy.entry(policy.clone()).or_default() += 1;
        }
    }

    /// The number of differences.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_change.values().sum()
    }
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
struct RecordedEvaluation<'r> {
    evaluation: Evaluation,
    hash: ConstitutionalHash,
    digest: &'r str,
    /// The former hash that the caller named, if it was accepted in its grace period.
    accepted: Option<&'r str>,
    enforcement: HashEnforcement,
    properties: RequestProperties,
    entities: Option<&'r str>,
    /// The members of which the record has only digests.
    omitted: Vec<MemberPath>,
}

/// Why something is not decided again.
type Why = String;

impl Replay {
    /// Decides under the constitutions in that folder, or under another one.
    #[must_use]
    pub fn new(folder: PathBuf, other: Option<Constitution>) -> Self {
        Self { folder, constitutions: HashMap::new(), other, sets: HashMap::new(), parts: HashMap::new() }
    }

    /// Learns from a whole record that is not replayed, since later records may refer to its entities.
    pub fn learn(&mut self, record: &[u8]) {
        if let Ok(record) = serde_json::from_slice::<Object>(record) {
            self.learn_entities(&record);
        }
    }

    /// Replays a whole record.
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
            Ok(verdict) => Outcome::Different(Box::new(difference(id, &record, &verdict))),
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
        let is_transient = |reason: Reason| reason.is_transient() && text_of(record, "reason") == Some(reason.as_str());
        if Reason::ALL.into_iter().any(is_transient) {
            return Err("it was denied since something was not available".to_owned());
        }
        let recorded = RecordedEvaluation::read(record)?;
        if let Some(denied) = recorded.deny_claim() {
            return Ok(denied);
        }
        let stored = self.entities(recorded.entities)?;
        let then = self.constitution(recorded.digest);
        let asked = RefCell::new(HashSet::new());
        let decide = |constitution: &Constitution| {
            recorded.check_omitted(constitution)?;
            Ok(constitution.decide(recorded.properties, &recorded.evaluation, |uid| {
                asked.borrow_mut().insert(uid.clone());
                stored.get(uid)
            }))
        };
        let Some(other) = &self.other else { return decide(&*then?) };
        // An entity that the constitution of that time did not read is not known to be absent.
        decide(&*then?)?;
        let known: HashSet<EntityUid> = asked.take();
        let verdict = decide(other)?;
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

impl<'r> RecordedEvaluation<'r> {
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
            omitted: omitted(record)?,
        })
    }

    /// Fails if the constitution reads a member of which the log has only a digest.
    fn check_omitted(&self, constitution: &Constitution) -> Result<(), Why> {
        let needed = self.omitted.iter().find(|path| constitution.declares(self.properties, &self.evaluation, path));
        needed.map_or(Ok(()), |path| Err(format!("it needs `{path}`, of which the log has only a digest")))
    }
}

fn omitted(record: &Object) -> Result<Vec<MemberPath>, Why> {
    let path = |item: &Json| item.as_object().and_then(|item| text_of(item, "member")?.parse().ok());
    match record.get("omitted") {
        None => Some(Vec::new()),
        Some(Json::Array(items)) => items.iter().map(path).collect(),
        Some(_) => None,
    }
    .ok_or_else(|| "the record's member `omitted` cannot be parsed".to_owned())
}

/// The outcome of an unreadable item: it is denied under every constitution.
fn faulty(record: &Object, id: String) -> Outcome {
    if record.get("decision") == Some(&Json::Bool(false)) {
        return Outcome::Same;
    }
    let denied = Verdict::deny(Reason::InvalidRequest, "");
    Outcome::Different(Box::new(difference(id, record, &denied)))
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

fn difference(id: String, record: &Object, verdict: &Verdict) -> Difference {
    let now = members(verdict);
    let (policies_then, policies_now) = (policies(record), policies(&now));
    let mut concerned: BTreeSet<String> = policies_then.symmetric_difference(&policies_now).cloned().collect();
    if concerned.is_empty() {
        concerned = policies_now;
    }
    Difference {
        id,
        question: question(record),
        permits: (record.get("decision") == Some(&Json::Bool(true)), verdict.permits()),
        recorded: summary(record),
        now: summary(&now),
        policies: concerned,
    }
}

/// Subject, action and resource, in words.
fn question(record: &Object) -> String {
    let named = |member: &str, name: &str| {
        let party = record.get(member).and_then(Json::as_object)?;
        Some(text_of(party, name)?.to_owned())
    };
    let party = |member: &str| {
        let uid = named(member, "type").zip(named(member, "id")).map(|(kind, id)| EntityUid::new(&*kind, &*id));
        uid.map_or_else(String::new, |uid| uid.to_string())
    };
    format!("{} {} {}", party("subject"), named("action", "name").unwrap_or_default(), party("resource"))
}

/// All policies in a record: those that decided, and those of its violations and warnings.
fn policies(record: &Object) -> BTreeSet<String> {
    let names = |value: Option<&Json>| match value {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let mut found: BTreeSet<String> = names(record.get("policies")).into_iter().collect();
    for member in ["violations", "warnings"] {
        let Some(Json::Array(findings)) = record.get(member) else { continue };
        found.extend(findings.iter().filter_map(Json::as_object).flat_map(|finding| names(finding.get("policies"))));
    }
    found
}

/// A verdict in a few words: its reason, its policies and its violations.
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
