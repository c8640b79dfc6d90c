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

/// Waits until the database answers, up to `database.wait_s`. After that the start opens the database in any case, and
/// fails with the reason. A signal to stop ends the process meanwhile.
pub(super) fn for_database(settings: &Settings) {
    let target = store_options(settings).target;
    let limit = settings.database.wait;
    let began = Instant::now();
    let mut is_told = false;
    while began.elapsed() < limit {
        let Err(error @ StoreError::Unavailable { .. }) = store::reach(&target) else { return };
        if !is_told {
            tracing::warn!(%error, "the database is not reachable yet; waiting for it for up to {} s", limit.as_secs());
            is_told = true;
        }
        let status = format!("waiting for the database: {}", one_line(&error));
        let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        notify(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(extension)]);
        thread::sleep(RETRY_INTERVAL.min(limit.saturating_sub(began.elapsed())));
    }
}

/// Joins the lines of an error of libpq.
fn one_line(error: &StoreError) -> String {
    error.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
