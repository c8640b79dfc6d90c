//! Clients that keep asking and remember every answer, and the audit log to hold the answers against.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test binary uses the part it needs, and a test ends where its harness fails"
)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Connection, PATIENCE, Request, Setup, TestDaemon, repository};

/// A decision as its caller got it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its id.
    pub id: String,
    /// Where the answer says it is in the log.
    pub index: Option<u64>,
    /// The whole decision.
    pub decision: Value,
    /// The constitution that the answer names.
    pub hash: String,
    /// When the question was sent and when the answer was there: counted over all clients.
    pub ticks: (u64, u64),
}

/// What one client went through.
#[derive(Debug, Default)]
pub struct Story {
    /// The decisions, in the order of the answers.
    pub answered: Vec<Answered>,
    /// Answers other than 200 and the following.
    pub refused: Vec<Answer>,
    /// How many questions were not decided since the entities or the constitution changed during each attempt.
    pub unsettled: usize,
    /// Whether the connection ended before the client did.
    pub cut: bool,
}

/// Clients that ask without a pause, each over one connection.
pub struct Clients {
    ending: Arc<AtomicBool>,
    ticks: Arc<AtomicU64>,
    answers: mpsc::Receiver<u16>,
    threads: Vec<JoinHandle<Story>>,
}

/// A question that differs with its number; every fourth is a batch.
pub fn question(number: u64) -> Request {
    let tool = |nth: u64| json!({"type": "Tool", "id": format!("tool-{}", nth % 50), "properties": {"risk": nth % 10}});
    let mut body = json!({
        "subject": {"type": "Agent", "id": format!("agent-{}", number % 7)},
        "action": {"name": "call_tool"},
        "resource": tool(number),
        "context": {"risk": number % 5},
    });
    if !number.is_multiple_of(4) {
        return Request::post("/access/v1/evaluation").json(&body);
    }
    let items = (0..number % 9).map(|nth| json!({"resource": tool(number + nth)}));
    body["evaluations"] = items.collect();
    Request::post("/access/v1/evaluations").header("Prefer", "return=representation").json(&body)
}

/// One of the small constitutions: `open` permits everything, `closed` nothing, `faulty` is none.
pub fn constitution(name: &str) -> PathBuf {
    repository().join("tests/audit/constitutions").join(name)
}

/// A daemon that permits everything.
pub fn setup() -> Setup {
    // Segments stay where they are, so that tests find them.
    Setup::new().constitution(&constitution("open")).set("audit.archive", "never")
}

impl Clients {
    /// Starts so many, each with its own questions.
    pub fn start(daemon: &TestDaemon, count: u64, question: impl Fn(u64) -> Request + Send + Clone + 'static) -> Self {
        let (tell, answers) = mpsc::channel();
        let (ending, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connections: Vec<Connection> = (0..count).map(|_| daemon.connect()).collect();
        let client = |(client, mut connection): (u64, Connection)| {
            let (ending, ticks, tell, question) =
                (Arc::clone(&ending), Arc::clone(&ticks), tell.clone(), question.clone());
            thread::spawn(move || {
                let mut story = Story::default();
                for number in (client * 1_000_003).. {
                    if ending.load(Ordering::Relaxed) {
                        break;
                    }
                    let sent = ticks.fetch_add(1, Ordering::SeqCst);
                    let Ok(answer) = connection.try_ask(&question(number)) else {
                        story.cut = true;
                        break;
                    };
                    let got = ticks.fetch_add(1, Ordering::SeqCst);
                    // Nobody may be waiting for it.
                    let _ = tell.send(answer.status);
                    match answer.status {
                        200 => story.answered.extend(decisions(&answer, (sent, got))),
                        503 if answer.text().contains("kept changing") => story.unsettled += 1,
                        _ => story.refused.push(answer),
                    }
                }
                story
            })
        };
        let threads = (0..).zip(connections).map(client).collect();
        Self { ending, ticks, answers, threads }
    }

    /// Waits until so many more answers have this status.
    pub fn wait_for(&self, count: usize, status: u16) {
        let mut left = count;
        while left > 0 {
            let answered = self.answers.recv_timeout(PATIENCE).expect("the clients get no such answer");
            left -= usize::from(answered == status);
        }
    }

    /// The tick now: what is sent from here on has a later one.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Lets every client finish its question, or find that the daemon is gone.
    pub fn end(self) -> Vec<Story> {
        self.ending.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Starts the daemon, asks, and kills it at a moment that nothing in it has chosen; returns what was answered.
#[track_caller]
pub fn kill_under_load(setup: &Setup, clients: u64) -> Vec<Answered> {
    let daemon = setup.start();
    let clients = Clients::start(&daemon, clients, question);
    clients.wait_for(1, 200);
    // No event is waited for: the moment has to be a random one.
    thread::sleep(Duration::from_micros(rand::random_range(0..150_000)));
    daemon.kill();
    let stories = clients.end();
    let refused: Vec<_> = stories.iter().flat_map(|story| &story.refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(stories.iter().any(|story| story.cut), "the kill came when nobody asked");
    stories.into_iter().flat_map(|story| story.answered).collect()
}

/// All decisions of an answer.
pub fn decisions(answer: &Answer, ticks: (u64, u64)) -> Vec<Answered> {
    let body = answer.json();
    let items = match &body["evaluations"] {
        Value::Array(items) => items.clone(),
        _ => vec![body],
    };
    // Faulty items of a batch are not decided.
    let items = items.into_iter().filter(|item| item["context"]["error"].is_null());
    let hash = answer.header("x-constitutional-hash").unwrap().to_owned();
    let one = |decision: Value| {
        let context = &decision["context"];
        let id = context["id"].as_str().unwrap_or_else(|| panic!("no id: {decision}")).to_owned();
        Answered { id, index: context["audit_index"].as_u64(), hash: hash.clone(), ticks, decision }
    };
    items.map(one).collect()
}

/// What `acgs audit export` prints.
#[derive(Debug)]
pub struct Exported {
    /// The records, in order.
    pub records: Vec<Value>,
    places: HashMap<String, u64>,
}

impl Exported {
    /// Exports from an index on; indices must have no gap and ids must not come twice.
    #[track_caller]
    pub fn from(setup: &Setup, from: u64) -> Self {
        let output = setup.run(["audit", "export", "--from", &from.to_string()]);
        assert!(output.status.success(), "{output:?}");
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let mut places = HashMap::new();
        for (expected, record) in (from..).zip(&records) {
            assert_eq!(record["index"], expected, "{record}");
            let before = places.insert(record["id"].as_str().unwrap().to_owned(), expected);
            assert!(before.is_none(), "recorded twice: {record}");
        }
        Self { records, places }
    }

    /// How many of the records are decisions.
    pub fn decisions(&self) -> usize {
        self.records.iter().filter(|record| record["kind"] == "decision").count()
    }

    /// Where the decision of that id is.
    pub fn place(&self, id: &str) -> Option<u64> {
        self.places.get(id).copied()
    }

    /// Every decision that was answered must be here once, where its answer says, as it was answered.
    #[track_caller]
    pub fn holds<'a>(&self, from: u64, answered: impl IntoIterator<Item = &'a Answered>) {
        for one in answered {
            let place = self.place(&one.id);
            assert!(place.is_some(), "answered and not recorded: {one:?}");
            assert_eq!(place, one.index, "{one:?}");
            let record = &self.records[usize::try_from(place.unwrap() - from).unwrap()];
            assert_eq!(record["decision"], one.decision["decision"], "{record}");
            assert_eq!(record["policies"], one.decision["context"]["policies"], "{record}");
        }
    }
}

/// Runs `acgs audit verify`, which must find nothing.
#[track_caller]
pub fn verify(setup: &Setup) -> Output {
    let output = setup.run(["audit", "verify"]);
    assert!(output.status.success(), "{output:?}");
    output
}
