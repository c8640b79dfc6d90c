//! A small archive: few enough names that writes and questions keep meeting, and everything at random.

use std::collections::BTreeMap;
use std::path::PathBuf;

use acgs::constitution::Constitution;
use acgs::domain::{Entity, EntityUid, Evaluation, UnknownMembers, Verdict};
use acgs::settings::RequestProperties;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

/// How many entities of each type have names.
const TYPES: [(&str, u32); 4] = [("Team", 3), ("User", 4), ("Folder", 2), ("Document", 4)];

/// What is stored, by name.
pub type Stored = BTreeMap<EntityUid, Entity>;

/// The folder of the archive's constitution.
pub fn constitution() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/equals_uncached/constitution")
}

/// What the constitution says of a question when only `stored` is stored: no cache, no database, no actor.
pub fn reference(constitution: &Constitution, stored: &Stored, question: &Evaluation) -> Verdict {
    constitution.decide(RequestProperties::Merge, question, |uid| stored.get(uid))
}

/// A write to the store.
#[derive(Debug, Clone)]
pub enum Write {
    /// Entities stored in one transaction; one alone by its own route.
    Put(Vec<Entity>),
    /// An entity removed, whether it is stored or not.
    Remove(EntityUid),
}

impl Write {
    /// Does to the map what the store does to its table.
    pub fn apply(&self, stored: &mut Stored) {
        match self {
            Self::Put(entities) => stored.extend(entities.iter().map(|entity| (entity.uid.clone(), entity.clone()))),
            Self::Remove(uid) => drop(stored.remove(uid)),
        }
    }
}

/// A source of random writes and questions, the same for the same seed.
pub struct Chance(StdRng);

impl Chance {
    /// Starts a source.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// True `parts` out of ten times.
    pub fn in_ten(&mut self, parts: u32) -> bool {
        self.0.random_range(0..10) < parts
    }

    /// One write.
    pub fn write(&mut self) -> Write {
        if self.in_ten(7) {
            return self.write_of_one();
        }
        let entities: Stored = (0..3).map(|_| self.entity()).map(|one| (one.uid.clone(), one)).collect();
        Write::Put(entities.into_values().collect())
    }

    /// One write that changes one entity.
    pub fn write_of_one(&mut self) -> Write {
        if self.in_ten(3) { Write::Remove(self.uid_of_any()) } else { Write::Put(vec![self.entity()]) }
    }

    /// One question; sometimes one that the schema does not know.
    pub fn question(&mut self) -> Evaluation {
        let kind = if self.in_ten(7) { "Document" } else { "Folder" };
        let mut question = json!({
            "subject": self.name("User"),
            "action": {"name": if self.in_ten(6) { "read" } else { "write" }},
            "resource": self.name(kind),
            "context": {},
        });
        if self.in_ten(2) {
            question["context"]["n"] = json!(self.below(9));
        }
        if self.in_ten(2) {
            question["context"]["friend"] = self.reference("User");
        }
        if self.in_ten(2) {
            question["resource"]["properties"] = json!({"owner": self.reference("User")});
        }
        if self.in_ten(1) {
            question["subject"]["properties"] = json!({"level": if self.in_ten(8) { json!(9) } else { json!("9") }});
        }
        if self.in_ten(1) {
            question["action"]["name"] = json!("burn");
        }
        let question = serde_json::from_value(question).unwrap();
        Evaluation::from_object(&question, UnknownMembers::Refused).unwrap()
    }

    fn entity(&mut self) -> Entity {
        let uid = self.uid_of_any();
        let (attrs, parent) = match &*uid.kind {
            "Team" => (json!({"frozen": self.in_ten(5)}), "Team"),
            "User" => {
                let (manager, team) = (self.reference("User"), self.reference("Team"));
                (json!({"level": self.below(10), "manager": manager, "team": team}), "Team")
            }
            "Folder" => (json!({"owner": self.reference("User"), "locked": self.in_ten(5)}), "Folder"),
            _ => {
                let (owner, readers) = (self.reference("User"), self.reference("Team"));
                let folder = self.reference("Folder");
                // The larger scores overflow, and the policy that adds to them fails.
                (json!({"owner": owner, "readers": readers, "folder": folder, "score": self.below(10)}), "Folder")
            }
        };
        let mut attrs = attrs;
        if let Some(members) = attrs.as_object_mut() {
            members.retain(|_, _| self.in_ten(6));
        }
        // Parents come earlier in the list, so that there are no cycles.
        let is_above = |name: &Value| name["type"] != *uid.kind || name["id"].as_str() > Some(&*uid.id);
        let mut parents: Vec<Value> = (0..self.below(3)).map(|_| self.name(parent)).collect();
        parents.retain(is_above);
        serde_json::from_value(json!({"uid": uid, "attrs": attrs, "parents": parents})).unwrap()
    }

    fn uid_of_any(&mut self) -> EntityUid {
        let (kind, _) = TYPES[self.below(TYPES.len())];
        serde_json::from_value(self.name(kind)).unwrap()
    }

    fn reference(&mut self, kind: &str) -> Value {
        json!({"__entity": self.name(kind)})
    }

    fn name(&mut self, kind: &str) -> Value {
        let (_, count) = TYPES.into_iter().find(|(name, _)| *name == kind).unwrap();
        json!({"type": kind, "id": self.0.random_range(0..count).to_string()})
    }
}
