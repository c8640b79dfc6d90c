//! A small archive, asked and changed at random: few enough names that writes and questions keep meeting.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test binary uses the part it needs, and a test ends where it fails"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Request, Setup, repository};

const TEAMS: [&str; 4] = ["0", "1", "2", "team é"];
const USERS: [&str; 5] = ["ann", "bob", "c \"%\" d", "dora/😀", CROWD];
const FOLDERS: [&str; 3] = ["0", "1", "deep/er"];
const DOCUMENTS: [&str; 6] = ["a", "b", "c", "d'; --", "e%20f", WIDE];
const MOMENTS: [&str; 3] = ["2024-01-01", "2024-06-01T12:00:00Z", "2031-12-31"];
const AMOUNTS: [&str; 4] = ["0.5", "1.0", "20.25", "-3.1415"];

/// Who is in more teams than one record has room for.
const CROWD: &str = "crowd";
/// What is in more folders than a decision may read.
const WIDE: &str = "wide";

/// Of so many questions some come again and again.
const COMMON: u32 = 30;

/// The folder of the archive's constitution.
pub fn constitution() -> PathBuf {
    repository().join("tests/it/replay/constitution")
}

/// How callers ask.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    /// How many in a hundred name a constitution in the header, and as many in the context.
    pub claim: u32,
    /// The constitutions that they name, the first one most often.
    pub hashes: Vec<String>,
}

/// A source of random writes and questions, the same for the same seed.
pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, times: u32) -> bool {
        self.0.random_range(0..100) < times
    }

    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// A request that changes stored entities, or tries to.
    pub fn write(&mut self) -> Request {
        if self.percent(15) {
            let entities = (0..3).map(|_| self.entity()).map(|entity| (entity["uid"].to_string(), entity));
            let entities: BTreeMap<String, Value> = entities.collect();
            return Request::post("/v1/entities/batch").json(&entities.into_values().collect());
        }
        let entity = self.entity();
        let path = path_of(&entity["uid"]);
        if self.percent(25) { Request::delete(&path) } else { Request::put(&path).json(&entity) }
    }

    fn entity(&mut self) -> Value {
        let kind = self.pick(&["Team", "User", "Folder", "Document"]);
        let id = match self.name(kind)["id"].as_str().unwrap().to_owned() {
            // These stay as large as they are.
            id if id == CROWD || id == WIDE => "a".to_owned(),
            id => id,
        };
        let (mut attrs, parent) = match kind {
            "Team" => (json!({"frozen": self.percent(50)}), "Team"),
            "User" => {
                let (manager, team) = (self.reference("User"), self.reference("Team"));
                let limit = extension("decimal", self.pick(&AMOUNTS));
                let email = format!("{id}@example.org\n\u{1}");
                (
                    json!({"level": self.below(10), "manager": manager, "team": team, "limit": limit, "email": email}),
                    "Team",
                )
            }
            "Folder" => {
                let shared: Vec<Value> = (0..self.below(4)).map(|_| self.reference("User")).collect();
                (json!({"owner": self.reference("User"), "locked": self.percent(50), "shared": shared}), "Folder")
            }
            _ => {
                let (owner, readers) = (self.reference("User"), self.reference("Team"));
                let (folder, until) = (self.reference("Folder"), extension("datetime", self.pick(&MOMENTS)));
                // The larger scores overflow, and the policy that adds to them fails.
                let score = self.below(10);
                (
                    json!({"owner": owner, "readers": readers, "folder": folder, "score": score, "until": until}),
                    "Folder",
                )
            }
        };
        attrs.as_object_mut().unwrap().retain(|_, _| self.percent(60));
        // Parents come earlier in the list, so that there are no cycles.
        let is_above = |name: &Value| name["type"] != *kind || name["id"].as_str() > Some(&*id);
        let mut parents: Vec<Value> = (0..self.below(3)).map(|_| self.name(parent)).collect();
        parents.retain(is_above);
        let mut entity = json!({"uid": {"type": kind, "id": id}, "attrs": attrs, "parents": parents});
        if kind == "User" && self.percent(50) {
            entity["tags"] = json!({"role": self.pick(&["clerk", "clerk-2", "guest"]), "é": "x"});
        }
        entity
    }

    /// One question or a batch of them; every second one is asked again and again.
    pub fn ask(number: u64, callers: &Callers) -> Request {
        let mut chance = Self::new(number);
        let single = chance.percent(75);
        let mut question = || {
            let seed = if chance.percent(50) { chance.0.random_range(0..COMMON).into() } else { chance.0.random() };
            let mut chance = Self::new(seed);
            chance.question(callers)
        };
        let request = if single {
            Request::post("/access/v1/evaluation").json(&question())
        } else {
            let mut items: Vec<Value> = (0..20).map(|_| question()).collect();
            items.truncate(1 + chance.below(20));
            if chance.percent(10) {
                items.insert(chance.below(items.len()), json!({"resource": []}));
            }
            let semantic = chance.pick(&["execute_all", "deny_on_first_deny", "permit_on_first_permit"]);
            let body = json!({"evaluations": items, "options": {"evaluations_semantic": semantic}});
            Request::post("/access/v1/evaluations").header("Prefer", "return=representation").json(&body)
        };
        let claim = if chance.percent(5) { "nonsense é".to_owned() } else { chance.claim(callers) };
        if chance.percent(callers.claim) { request.header("X-Constitutional-Hash", &claim) } else { request }
    }

    fn claim(&mut self, callers: &Callers) -> String {
        let any = self.percent(10);
        match &*callers.hashes {
            [] => "0123456789abcdef".to_owned(),
            [first, ..] => {
                if any {
                    self.pick(&callers.hashes)
                } else {
                    first.clone()
                }
            }
        }
    }

    fn question(&mut self, callers: &Callers) -> Value {
        let kind = if self.percent(70) { "Document" } else { "Folder" };
        let action = if self.percent(4) { "burn" } else { self.pick(&["read", "read", "write", "share"]) };
        let mut question =
            json!({"subject": self.name("User"), "action": {"name": action}, "resource": self.name(kind)});
        // Large ones are rare.
        for (party, large, other) in [("subject", CROWD, "ann"), ("resource", WIDE, "a")] {
            if question[party]["id"] == large && self.percent(96) {
                question[party]["id"] = other.into();
            }
        }
        match self.below(40) {
            0 => question["subject"]["type"] = "Robot".into(),
            1 => question["resource"]["type"] = "Team".into(),
            2 => question["subject"]["properties"] = json!({"level": "9"}),
            3 => question["subject"]["properties"] = json!({"limit": "much"}),
            4 => question["resource"]["properties"] = json!({"owner": self.name("Team")}),
            5 | 6 => question["subject"]["properties"] = json!({"level": 9, "undeclared": [null, 1.5e300, {}]}),
            7 | 8 => question["resource"]["properties"] = json!({"owner": self.name("User"), "note": "\u{0}"}),
            9 => question["action"]["properties"] = json!({"n": 7}),
            _ => {}
        }
        question["context"] = self.context(callers);
        question
    }

    fn context(&mut self, callers: &Callers) -> Value {
        let mut context = json!({
            "n": self.below(9),
            "friend": self.name("User"),
            "amount": self.pick(&AMOUNTS),
            "at": self.pick(&MOMENTS),
            "note": self.pick(&["", "é 😀 \u{0}\u{2028}\"\\", "42"]),
            "undeclared": {"z": 1, "a": -0.0},
        });
        context.as_object_mut().unwrap().retain(|_, _| self.percent(20));
        if self.percent(callers.claim) {
            context["constitutional_hash"] = match self.below(20) {
                0 => json!({"what": [1, "é"]}),
                1 => json!(""),
                2 => json!("0123456789ABCDEF\u{0}\""),
                _ => self.claim(callers).into(),
            };
        }
        if self.0.random_range(0..300) == 0 {
            context["note"] = "x".repeat(70_000).into();
        }
        context
    }

    fn reference(&mut self, kind: &str) -> Value {
        json!({"__entity": self.name(kind)})
    }

    fn name(&mut self, kind: &str) -> Value {
        let ids: &[&str] = match kind {
            "Team" => &TEAMS,
            "User" => &USERS,
            "Folder" => &FOLDERS,
            _ => &DOCUMENTS,
        };
        json!({"type": kind, "id": self.pick(ids)})
    }
}

/// A daemon that has all the time it needs on a busy machine.
pub fn patient(setup: Setup) -> Setup {
    setup
        .set("http.request_timeout_ms", 60_000)
        .set("database.pool.acquire_timeout_ms", 50_000)
        .set("http.shutdown_timeout_s", 60)
}

/// Requests that store entities of which a decision reads a lot, and ask for such decisions, and for one with a large
/// context.
pub fn large_ones() -> Vec<Request> {
    let team = |nth: u32| json!({"type": "Team", "id": format!("crowd-{nth}-{}", "x".repeat(40))});
    let teams =
        (0..300).map(|nth| json!({"uid": team(nth), "attrs": {"frozen": false}, "parents": [team(nth / 2 + 300)]}));
    let folders: Vec<Value> = (0..4_200).map(|nth| json!({"type": "Folder", "id": format!("w{nth}")})).collect();
    let crowd = json!({"uid": {"type": "User", "id": CROWD}, "parents": (0..300).map(team).collect::<Vec<_>>()});
    let wide = json!({"uid": {"type": "Document", "id": WIDE}, "parents": folders});
    let question = |subject, resource, note: usize| {
        Request::post("/access/v1/evaluation").json(&json!({
            "subject": {"type": "User", "id": subject},
            "action": {"name": "read"},
            "resource": {"type": "Document", "id": resource},
            "context": {"note": "x".repeat(note)},
        }))
    };
    vec![
        Request::post("/v1/entities/batch").json(&teams.chain([crowd]).collect()),
        Request::put(&format!("/v1/entities/Document/{WIDE}")).json(&wide),
        question(CROWD, "a", 1),
        question("ann", WIDE, 1),
        question("ann", "a", 70_000),
    ]
}

fn extension(function: &str, argument: &str) -> Value {
    json!({"__extn": {"fn": function, "arg": argument}})
}

/// Where an entity is stored.
pub fn path_of(uid: &Value) -> String {
    format!("/v1/entities/{}/{}", uid["type"].as_str().unwrap(), escaped(uid["id"].as_str().unwrap()))
}

/// Any text as a part of an address.
pub fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut address, byte| {
        if byte.is_ascii_alphanumeric() {
            address.push(byte.into());
        } else {
            let _ = write!(address, "%{byte:02X}");
        }
        address
    })
}
