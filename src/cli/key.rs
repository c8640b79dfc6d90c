//! `acgs key rotate audit|token`: replaces a signing key.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::admin::Ask;
use super::{EXIT_CONFIG, EXIT_IO, fail, print_fault, print_line};
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage, Keyring, Storage as _, VerifierKey};

/// How long a running daemon may take beyond its checkpoint interval.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is looked whether it has signed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Key commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key. The one before signs along until the next rotation; a key that is to be distrusted is gone after
    /// two.
    Rotate {
        /// Which key.
        which: Which,
        /// Of tokens: end all that were signed with a key before, at once. For a key that others may have.
        #[arg(long)]
        withdraw: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// The key that signs the checkpoints of the audit log.
    Audit,
    /// The key that signs access tokens.
    Token,
}

/// Prints the new public key once it signs; exits with 0, 74 or 78.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    let Action::Rotate { which, withdraw } = command.action;
    match which {
        Which::Audit if withdraw => fail(&"only keys of tokens can be withdrawn: rotate twice instead", EXIT_CONFIG),
        Which::Audit => rotate_audit(source),
        Which::Token => {
            let ask = Ask::post("/v1/auth/keys/rotate", json!({"withdraw": withdraw}));
            ask.run(source, |rotated| print_line(rotated.get("kid").and_then(Value::as_str).unwrap_or_default()))
        }
    }
}

fn rotate_audit(source: &Source) -> ExitCode {
    let settings = match source.load() {
        Ok(loaded) => loaded.settings,
        Err(faults) => return fail(&faults, EXIT_CONFIG),
    };
    let folder = daemon::audit_folder(&settings.data_dir);
    // Concurrent rotations wait until this key is stored, since each of them replaces the newest key.
    let _turn = match ledger::claim_keys(&folder) {
        Ok(turn) => turn,
        Err(error) => return fail(&error, EXIT_IO),
    };
    let rotated = Keyring::load(&folder).and_then(|keys| keys.rotate(&folder));
    let key = match rotated {
        Ok(keys) => keys.verifier().clone(),
        Err(error) => return fail(&error, EXIT_IO),
    };
    let storage = DiskStorage::at(folder);
    match storage.lock() {
        Ok(_) => print_fault(&"no daemon runs on this log: the key signs from the next start on"),
        Err(_) if !signs(&storage, &key, settings.audit.checkpoint_interval + TIMEOUT) => {
            return fail(&"the key is made, but the running daemon has not signed with it yet", EXIT_IO);
        }
        Err(_) => {}
    }
    print_line(&key.to_string());
    ExitCode::SUCCESS
}

/// Waits until the newest checkpoint is signed with a key.
fn signs(storage: &DiskStorage, key: &VerifierKey, patience: Duration) -> bool {
    let since = Instant::now();
    while since.elapsed() < patience {
        let newest = ledger::last_checkpoint(storage).ok().flatten();
        if newest.is_some_and(|note| note.verify(std::slice::from_ref(key)).is_ok()) {
            return true;
        }
        thread::sleep(POLL_INTERVAL);
    }
    false
}
