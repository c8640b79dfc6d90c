//! Waits at the start for a database that is not reachable yet: containers and hosts start in any order.

use std::thread;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::pools::store_options;
use super::signals::notify;
use crate::settings::Settings;
use crate::store::{self, StoreError};

/// The pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The extension of the start timeout requested from the service manager: longer than an attempt and a pause.
const EXTENSION: Duration = Duration::from_secs(30);

/// Waits until the database answers, or refuses the user, up to `database.wait_s`. After that the start opens the
/// database in any case, and fails with the reason. A missing database is waited for too, since a server may be set up
/// step by step. A signal to stop ends the process meanwhile.
pub(super) fn for_database(settings: &Settings) {
    let target = store_options(settings).target;
    let limit = settings.database.wait;
    let began = Instant::now();
    let mut is_told = false;
    while began.elapsed() < limit {
        let Err(error @ StoreError::Unavailable { .. }) = store::reach(&target) else { return };
        if error.is_login_refused() {
            return;
        }
        if !is_told {
            let missing = if error.is_database_missing() { "; create it (`CREATE DATABASE`)" } else { "" };
            let seconds = limit.as_secs();
            tracing::warn!(%error, "the database is not usable yet{missing}; waiting for it for up to {seconds} s");
            is_told = true;
        }
        let status = format!("waiting for the database: {error}");
        let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        notify(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(extension)]);
        thread::sleep(RETRY_INTERVAL.min(limit.saturating_sub(began.elapsed())));
    }
}
