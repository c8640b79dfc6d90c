//! A log that the daemon wrote, kept in memory, and copies of it to attack.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use acgs::ledger::{
    self, Batch, Checkpoint, CheckpointFile, DiskStorage, Keyring, Ledger, Note, Options, SegmentSize, TileWriter,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::format::{Log, Tree};
use crate::audit::{self, question};
use crate::harness::{PATIENCE, Request, Setup, TestDaemon};

/// All files below a folder.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What was written, and what was kept elsewhere meanwhile.
#[derive(Debug)]
pub struct Original {
    /// The data folder's files.
    pub files: Files,
    /// Checkpoints that somebody kept, the oldest first; the last one is the newest there is.
    pub kept: Vec<Kept>,
    /// The log's public key.
    pub vkey: String,
}

/// A checkpoint, as a signed note, and what it says.
#[derive(Debug, Clone)]
pub struct Kept {
    pub note: String,
    pub checkpoint: Checkpoint,
}

impl Kept {
    /// The newest checkpoint of a log.
    #[track_caller]
    pub fn newest(setup: &Setup) -> Self {
        let output = setup.run(["audit", "checkpoint"]);
        assert!(output.status.success(), "{output:?}");
        Self::read(String::from_utf8(output.stdout).unwrap())
    }

    pub fn read(note: String) -> Self {
        let checkpoint = note.parse::<Note>().unwrap().text().parse().unwrap();
        Self { note, checkpoint }
    }
}

impl Original {
    /// Three small segments with frames of one and of several records; after each a checkpoint was kept.
    pub fn get() -> &'static Self {
        static ORIGINAL: OnceLock<Original> = OnceLock::new();
        ORIGINAL.get_or_init(|| {
            let setup = audit::setup().in_files();
            let mut kept = Vec::new();
            fs::create_dir_all(setup.data_dir()).unwrap();
            for segments in 1..=3 {
                go_on_in_segment(&setup, segments);
                let daemon = setup.start();
                for nth in 0..20 {
                    assert_eq!(daemon.ask(&eight_questions(nth)).status, 200);
                    assert_eq!(daemon.ask(&question(nth | 1)).status, 200);
                }
                assert!(daemon.stop().success());
                kept.push(Kept::newest(&setup));
            }
            let vkey = setup.run(["audit", "vkey"]).stdout;
            let vkey = String::from_utf8(vkey).unwrap().trim_end().to_owned();
            Original { files: files(&setup.data_dir()), kept, vkey }
        })
    }

    pub fn log(&self) -> Log {
        Log::read(&segments(&self.files))
    }
}

/// A batch whose records go into one frame.
fn eight_questions(number: u64) -> Request {
    let item = |nth| json!({"resource": {"type": "Tool", "id": format!("tool-{number}-{nth}")}});
    let body = json!({
        "subject": {"type": "Agent", "id": format!("agent-{number}")},
        "action": {"name": "call_tool"},
        "evaluations": (0..8).map(item).collect::<Vec<_>>(),
    });
    Request::post("/access/v1/evaluations").json(&body)
}

/// The daemon's own segments are large; small ones are made without it.
fn go_on_in_segment(setup: &Setup, number: usize) {
    let folder = setup.data_dir().join("audit");
    let options = Options { segment_size: SegmentSize::new(384 << 10).unwrap() };
    let (mut ledger, _) = Ledger::open(DiskStorage::create(&folder).unwrap(), options).unwrap();
    let mut filler = Batch::default();
    filler.push(br#"{"v":1,"id":"filler"}"#).unwrap();
    let count = || segments(&files(&setup.data_dir())).len();
    while count() < number {
        ledger.append(&filler).unwrap();
    }
}

/// A copy of a data folder, to be attacked.
#[derive(Debug)]
pub struct Case {
    pub setup: Setup,
    kept: TempDir,
}

/// What a command found.
#[derive(Debug)]
pub struct Found {
    pub code: Option<i32>,
    pub text: String,
}

impl Case {
    pub fn new() -> Self {
        Self::of(audit::setup().in_files(), &Original::get().files)
    }

    pub fn of(setup: Setup, files: &Files) -> Self {
        let case = Self { setup, kept: tempfile::tempdir().unwrap() };
        case.put(files);
        case
    }

    /// Puts these files in the place of all others.
    pub fn put(&self, files: &Files) {
        let data = self.setup.data_dir();
        if data.exists() {
            fs::remove_dir_all(&data).unwrap();
        }
        for (path, bytes) in files {
            let path = data.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Puts other segments in the place of those that are there.
    pub fn put_log(&self, log: &Log) {
        for name in segments(&files(&self.setup.data_dir())).keys() {
            fs::remove_file(self.file(name)).unwrap();
        }
        for (name, bytes) in log.write() {
            fs::write(self.file(&name), bytes).unwrap();
        }
    }

    /// A file of the log.
    pub fn file(&self, name: &str) -> PathBuf {
        self.setup.data_dir().join("audit").join(name)
    }

    pub fn storage(&self) -> DiskStorage {
        DiskStorage::at(self.file(""))
    }

    /// Changes a file of the log.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).unwrap();
        let before = bytes.clone();
        change(&mut bytes);
        assert_ne!(bytes, before, "nothing was changed in {name}");
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Runs `acgs audit verify`, with checkpoints that were kept, and with more arguments.
    pub fn verify_from(&self, kept: &[Kept], more: &[&str]) -> Found {
        let mut command = self.setup.command(["audit", "verify"].iter().chain(more));
        for (number, kept) in kept.iter().enumerate() {
            let file = self.kept.path().join(number.to_string());
            fs::write(&file, &kept.note).unwrap();
            command.arg("--from").arg(file);
        }
        let output = command.output().unwrap();
        Found { code: output.status.code(), text: String::from_utf8(output.stderr).unwrap() }
    }

    pub fn verify(&self) -> Found {
        self.verify_from(&[], &[])
    }

    /// Makes the tiles those of the records, and signs them with the log's own key, which root can read.
    pub fn sign(&self) {
        sign(&self.file(""), u64::MAX);
    }

    /// A start ends before it serves, or soon after, with the status of a log that cannot be trusted.
    #[track_caller]
    pub fn is_refused(&self, what: &str) {
        let status = match self.setup.try_start() {
            Err(refused) => refused.status,
            Ok(daemon) => daemon.wait(),
        };
        assert_eq!(status.code(), Some(74), "{what}");
    }

    /// The same, before anything is served; standard error says why.
    #[track_caller]
    pub fn is_refused_at_once(&self, what: &str, why: &str) {
        let Err(refused) = self.setup.try_start() else { panic!("{what}: started") };
        assert_eq!(refused.status.code(), Some(74), "{what}: {refused}");
        assert!(refused.stderr.contains(why), "{what}: {refused}");
    }

    /// A start with `--accept-rollback log` continues with the remaining records, and records that.
    #[track_caller]
    pub fn accepts(&self, what: &str) -> TestDaemon {
        let started = self.setup.try_start_with(&["--accept-rollback", "log"]);
        let daemon = started.unwrap_or_else(|refused| panic!("{what}: {refused}"));
        assert_eq!(daemon.ask(&question(1)).status, 200, "{what}");
        let accepted = self.acceptances().pop().unwrap();
        assert_eq!(accepted["event"], "rollback_accepted", "{what}");
        assert!(!accepted["evidence"].as_array().unwrap().is_empty(), "{what}: {accepted}");
        daemon
    }

    /// The records of accepted rollbacks.
    pub fn acceptances(&self) -> Vec<Value> {
        let storage = self.storage();
        let records = ledger::records(&storage, 0..u64::MAX);
        let records = records.map(|record| serde_json::from_slice::<Value>(&record.unwrap().1).unwrap());
        records.filter(|record| record["kind"] == "log").collect()
    }

    /// Removes the checkpoint that is kept outside of the log's folder.
    pub fn forget_kept(&self) {
        fs::remove_file(self.setup.data_dir().join("audit-checkpoint")).unwrap();
    }

    /// A start goes on from what is there, decides, and stops as it should; answers what it wrote to standard error.
    #[track_caller]
    pub fn goes_on(&self, what: &str) -> String {
        let daemon = self.setup.start();
        let answer = daemon.ask(&question(1));
        assert_eq!(answer.status, 200, "{what}: {answer}");
        let (status, errors) = daemon.stop_and_tell();
        assert!(status.success(), "{what}: {status}: {errors}");
        errors
    }
}

impl Found {
    #[track_caller]
    pub fn is_sound(&self, what: &str) {
        assert_eq!(self.code, Some(0), "{what}: {}", self.text);
    }

    /// It is not what was written, from this record on.
    #[track_caller]
    pub fn is_false_from(&self, what: &str, index: u64) {
        assert_eq!(self.code, Some(1), "{what}: {}", self.text);
        assert!(self.text.contains(&format!("record `{index}`:")), "{what}, record {index}: {}", self.text);
    }

    /// It is not what was written, and this says why.
    #[track_caller]
    pub fn is_false(&self, what: &str, why: &str) {
        assert_eq!(self.code, Some(1), "{what}: {}", self.text);
        assert!(self.text.contains(why), "{what}: {}", self.text);
    }
}

/// Makes the tiles of the first records of a log, and a checkpoint that is signed with its key.
pub fn sign(folder: &Path, size: u64) {
    let storage = DiskStorage::at(folder);
    let mut tree = Tree::default();
    let mut tiles = TileWriter::create(storage.clone()).unwrap();
    for record in ledger::records(&storage, 0..size) {
        let (_, record) = record.unwrap();
        tree.push(&record);
        tiles.push(ledger::Hash::leaf(&record)).unwrap();
    }
    tiles.flush().unwrap();
    let keys = Keyring::load(folder).unwrap();
    let checkpoint = Checkpoint { origin: keys.origin().to_owned(), size: tree.size, root: tree.root().into() };
    let (mut file, _) = CheckpointFile::open(&storage).unwrap();
    file.store(&Note::sign(checkpoint.to_string(), keys.signers())).unwrap();
}

/// Asks until the answer has this text: what the daemon does beside answering has no other sign.
#[track_caller]
pub fn ask_until(daemon: &TestDaemon, path: &str, text: &str) {
    let since = Instant::now();
    let mut connection = daemon.connect();
    loop {
        let answer = connection.ask(&Request::get(path));
        if answer.text().contains(text) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{path} never says `{text}`: {answer}");
    }
}

/// All files below a folder, by their paths in it, but those that the next start removes.
pub fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "tmp" && extension != "sock") {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

/// The segments among the files of a data folder, by their names.
pub fn segments(files: &Files) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix("audit").ok()?.to_str().map(str::to_owned);
    let named = files.iter().filter_map(|(path, bytes)| Some((name(path)?, bytes)));
    let segments = named.filter(|(name, _)| name.starts_with("segment-0"));
    segments.map(|(name, bytes)| (name, bytes.clone())).collect()
}
