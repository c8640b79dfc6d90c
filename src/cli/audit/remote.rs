//! Verifies the log of a running daemon over HTTP, from another machine, with nothing but its public key.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::super::{EXIT_IO, fail, print_line};
use super::advised;
use crate::ledger::{
    Checkpoint, EvidenceError, LedgerError, Note, NoteError, Payload, Recomputed, TileKind, TileName, TileSource,
    VerifierKey, WIDTH, open_checkpoint,
};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The most bytes of an answer: 256 records of the longest kind.
const MAX_ANSWER: u64 = 17 << 20;

/// Fetches every record and every tile, and compares their tree with the newest checkpoint and the kept ones.
pub(super) fn verify(
    url: &str,
    credential: Option<(&'static str, String)>,
    kept: &[Note],
    keys: &[VerifierKey],
) -> ExitCode {
    let agent = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
    let log = Log { agent, url: url.to_owned(), credential };
    match log.verify(kept, keys) {
        Ok(checkpoint) => {
            let (size, root) = (checkpoint.size, checkpoint.root);
            print_line(&format!(
                "ok: {size} records of {}, root {root}; compared with {} checkpoints given by `--from`",
                checkpoint.origin,
                kept.len()
            ));
            ExitCode::SUCCESS
        }
        Err(error) if error.is_fault() => {
            let cause = advised(&error, keys);
            fail(&format!("the audit log at `{url}` does not match its signed checkpoint: {cause}"), 1)
        }
        Err(error) => fail(&format!("the audit log at `{url}` cannot be read: {error}"), EXIT_IO),
    }
}

/// A log that is read over HTTP.
struct Log {
    agent: Agent,
    url: String,
    credential: Option<(&'static str, String)>,
}

impl Log {
    fn verify(&self, kept: &[Note], keys: &[VerifierKey]) -> Result<Checkpoint, EvidenceError> {
        let note = self.get("checkpoint")?.and_then(|note| String::from_utf8(note).ok());
        let note = note.ok_or_else(|| LedgerError::NoTile("checkpoint".to_owned()))?;
        let note: Note = note.parse().map_err(EvidenceError::Stored)?;
        let newest = open_checkpoint(&note, keys).map_err(EvidenceError::Stored)?;
        let mut checkpoints = vec![newest.clone()];
        for note in kept {
            let checkpoint = open_checkpoint(note, keys).map_err(EvidenceError::Foreign)?;
            if checkpoint.origin != newest.origin {
                return Err(EvidenceError::Foreign(NoteError::Form("it is of another log")));
            }
            checkpoints.push(checkpoint);
        }
        let mut tree = Recomputed::new(&checkpoints, self, newest.size);
        for first in (0..newest.size).step_by(256) {
            let width = (newest.size - first).min(WIDTH);
            let name = TileName { kind: TileKind::Entries, index: first / WIDTH, width };
            let bundle = self.tile(&name)?;
            let mut records = 0;
            for record in Payload(&bundle) {
                let record = record.map_err(|_| LedgerError::remote(first, &self.url, "a bundle is malformed"))?;
                tree.push(record).map_err(|problem| LedgerError::at(first + records, &self.url, problem))?;
                records += 1;
            }
            if records != width {
                return Err(LedgerError::remote(first, &self.url, "a bundle has not all its records").into());
            }
        }
        tree.finish()?;
        Ok(newest)
    }

    /// The body at a path below the log's URL; `None` for 404.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let url = format!("{}/v1/audit/log/{path}", self.url);
        let failed = |error: ureq::Error| LedgerError::Disk {
            action: "fetch",
            name: url.clone(),
            source: io::Error::other(error),
        };
        let mut request = self.agent.get(&url);
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        let mut answer = request.call().map_err(failed)?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(failed)?;
        match answer.status().as_u16() {
            200 => Ok(Some(body)),
            404 => Ok(None),
            status => {
                let problem: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let detail = problem.get("detail").and_then(Value::as_str).map(|detail| format!(": {detail}"));
                let advice = match (status, &self.credential) {
                    (401, None) => "; give `--credential-file`, a file with a token or an API key",
                    (401 | 403, _) => "; the credential in `--credential-file` needs the scope `audit:read`",
                    _ => "",
                };
                let detail = detail.unwrap_or_default();
                let source = io::Error::other(format!("the daemon answered with status {status}{detail}{advice}"));
                Err(LedgerError::Disk { action: "fetch", name: url, source })
            }
        }
    }
}

impl TileSource for &Log {
    /// A partial tile may have been replaced by the whole one meanwhile.
    fn tile(&self, name: &TileName) -> Result<Vec<u8>, LedgerError> {
        self.get(&format!("tile/{name}"))?.ok_or_else(|| LedgerError::NoTile(name.to_string()))
    }
}
