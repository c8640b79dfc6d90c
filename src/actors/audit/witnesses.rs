//! Threads that have checkpoints cosigned by witnesses (C2SP tlog-witness): one for each, so that an unavailable
//! witness delays nothing else.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use ureq::Agent;

use crate::actors::audit::checkpoints::{Checkpoints, Sealed};
use crate::ledger::{
    Checkpoint, CheckpointFile, DiskStorage, LedgerError, Nodes as _, NoteError, Signature, Signs, TileReader,
    VerifierKey, WITNESSED,
};

/// The timeout of a request to a witness.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest and the longest pause after a witness did not cosign; each pause is twice as long as the one before.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// The longest sleep before a thread checks whether it has to end.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The most bytes of an answer.
const MAX_ANSWER: u64 = 64 << 10;

/// A witness: its URL and its key.
#[derive(Debug, Clone)]
pub struct Witness {
    /// The submission prefix, without a slash at its end.
    pub url: String,
    /// Its key.
    pub key: VerifierKey,
}

impl Witness {
    /// A witness at that address, whose key is a verifier key of type 0x04.
    pub fn new(url: &str, key: &str) -> Result<Self, NoteError> {
        let key: VerifierKey = key.parse()?;
        match key.signs() {
            Signs::Cosignatures => Ok(Self { url: url.to_owned(), key }),
            Signs::Notes => Err(NoteError::Key("it is not the key of a witness")),
        }
    }
}

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error("{0}")]
    Unreachable(#[from] Box<ureq::Error>),
    #[error("it answered with status `{0}`")]
    Refused(u16),
    #[error(
        "it cosigned a log of `{0}` records, and this one has fewer: the log was rolled back, or another daemon has its \
         key and origin"
    )]
    Ahead(u64),
    #[error("its answer makes no sense: {0}")]
    Answer(NoteError),
    #[error("its answer has no signature of its key over this checkpoint")]
    Unsigned,
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

/// The running threads.
#[derive(Debug)]
pub struct Witnesses(Vec<JoinHandle<()>>);

impl Witnesses {
    /// Starts a thread for each witness.
    pub fn start(
        witnesses: Vec<Witness>,
        storage: &DiskStorage,
        checkpoints: &Checkpoints,
    ) -> Result<Self, WitnessesError> {
        if witnesses.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let (file, stored) = CheckpointFile::open_named(storage, WITNESSED)?;
        if let Some(note) = stored {
            // One that cannot be read is no loss: the next one is on its way.
            if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
                checkpoints.publish_witnessed(Sealed { checkpoint, note });
            }
        }
        let file = Arc::new(Mutex::new(file));
        let agent: Agent =
            Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
        let start = |witness| {
            let (agent, storage, checkpoints, file) =
                (agent.clone(), storage.clone(), checkpoints.clone(), Arc::clone(&file));
            let thread = Thread { witness, agent, storage, checkpoints, file, cosigned: 0 };
            thread::Builder::new().name("audit-witness".to_owned()).spawn(move || thread.run())
        };
        Ok(Self(witnesses.into_iter().map(start).collect::<io::Result<_>>()?))
    }

    /// Waits for the threads, which end after the checkpointer. One that waits for its witness is left to itself.
    pub fn stop(self) {
        for handle in self.0.into_iter().filter(JoinHandle::is_finished) {
            drop(handle.join());
        }
    }
}

/// Why the threads did not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessesError {
    /// The stored checkpoint cannot be read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The system has no threads to give.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The state of one thread.
struct Thread {
    witness: Witness,
    agent: Agent,
    storage: DiskStorage,
    checkpoints: Checkpoints,
    file: Arc<Mutex<CheckpointFile<File>>>,
    /// The size of the checkpoint that the witness cosigned last, as far as is known.
    cosigned: u64,
}

impl Thread {
    fn run(mut self) {
        let mut pause = BACKOFF.0;
        let mut done = None;
        while !self.checkpoints.is_stopping() {
            let Some(sealed) = self.checkpoints.wait_for_other(done, POLL_INTERVAL) else { continue };
            match self.cosign(&sealed) {
                Ok(()) => {
                    done = Some(sealed.checkpoint.size);
                    pause = BACKOFF.0;
                }
                Err(error) => {
                    let (witness, size) = (self.witness.key.name(), sealed.checkpoint.size);
                    tracing::warn!(witness, size, %error, "the witness did not cosign");
                    self.checkpoints.pause(pause);
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    fn cosign(&mut self, sealed: &Sealed) -> Result<(), WitnessError> {
        let signatures = match self.ask(sealed)? {
            Asked::Cosigned(signatures) => signatures,
            // The witness knows better what it cosigned last, such as after a restart of this daemon.
            Asked::Conflict(size) if size > sealed.checkpoint.size => return Err(WitnessError::Ahead(size)),
            Asked::Conflict(size) => {
                self.cosigned = size;
                match self.ask(sealed)? {
                    Asked::Cosigned(signatures) => signatures,
                    Asked::Conflict(_) => return Err(WitnessError::Refused(409)),
                }
            }
        };
        self.cosigned = sealed.checkpoint.size;
        let mut file = self.file.lock();
        if let Some(cosigned) = self.checkpoints.cosigned(sealed.note.text(), &signatures) {
            file.store(&cosigned.note)?;
            self.checkpoints.publish_witnessed(cosigned);
        }
        Ok(())
    }

    fn ask(&self, sealed: &Sealed) -> Result<Asked, WitnessError> {
        let size = sealed.checkpoint.size;
        let proof = TileReader::new(&self.storage, size).prove_consistency(self.cosigned, size)?;
        let mut body = format!("old {}\n", self.cosigned);
        for hash in &proof {
            body.push_str(&STANDARD.encode(hash.as_bytes()));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&sealed.note.to_string());
        let url = format!("{}/add-checkpoint", self.witness.url);
        let mut answer = self.agent.post(&url).send(body).map_err(Box::new)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(Box::new)?;
        match status {
            200 => {
                let lines = text.lines().map(str::parse::<Signature>).collect::<Result<Vec<_>, _>>();
                let mut signatures = lines.map_err(WitnessError::Answer)?;
                signatures.retain(|signature| self.witness.key.verifies(sealed.note.text(), signature));
                if signatures.is_empty() { Err(WitnessError::Unsigned) } else { Ok(Asked::Cosigned(signatures)) }
            }
            409 => text.trim_end().parse().map(Asked::Conflict).map_err(|_| WitnessError::Refused(status)),
            _ => Err(WitnessError::Refused(status)),
        }
    }
}

/// The answer of a witness.
enum Asked {
    Cosigned(Vec<Signature>),
    /// It cosigned a checkpoint of another size last.
    Conflict(u64),
}
