//! Periodic tasks: purging expired credentials, rotating keys, making pending withdrawals, watching the clock.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::audit_subsystem::DAEMON;
use crate::actors::Mailbox;
use crate::actors::audit::journal::Journal;
use crate::actors::health::clock_monitor::{Reading, Steady, WallClock};
use crate::actors::identity::directory::{
    Directory, DirectoryError, PendingWithdrawals, PurgeExpired, RotateSigningKey, SettleWithdrawals, SigningKeyAge,
    StoreUptime, Withdrawn,
};
use crate::ledger::{Event, EventKind};

/// The interval for purging expired credentials and checking the age of the signing key.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_hours(1);

/// The interval for storing the uptime.
const UPTIME_INTERVAL: Duration = Duration::from_mins(5);

/// The interval for retrying pending withdrawals, and for checking the wall clock.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The periodic tasks.
pub(super) struct Upkeep {
    directory: Mailbox<Directory>,
    pending: PendingWithdrawals,
    steady: Steady,
}

impl Upkeep {
    /// Starts the tasks; they end with the actix system.
    pub(super) fn start(
        directory: Mailbox<Directory>,
        pending: PendingWithdrawals,
        rotation_days: NonZeroU32,
        journal: Journal,
    ) -> Self {
        let clock = WallClock::new(Reading::now());
        let steady = clock.steady();
        actix_web::rt::spawn(keep_house(directory.clone(), rotation_days, steady.clone()));
        actix_web::rt::spawn(watch_clock(clock, journal));
        actix_web::rt::spawn(store_uptime(directory.clone()));
        actix_web::rt::spawn(settle(directory.clone(), pending.clone()));
        Self { directory, pending, steady }
    }

    /// When the wall clock last jumped.
    pub(super) fn steady(&self) -> Steady {
        self.steady.clone()
    }

    /// Makes the withdrawals that are in memory only before the process ends, or logs that they are lost.
    pub(super) async fn stop(self) {
        // Also finds withdrawals that the database has just lost.
        if let Err(error) = self.directory.ask(SettleWithdrawals).await
            && self.pending.count() > 0
        {
            tracing::error!(
                withdrawals = self.pending.count(),
                %error,
                "withdrawals were in force in memory only and are lost; repeat them after the next start"
            );
        }
    }
}

/// Purges expired credentials, and rotates the signing key when it is old enough.
async fn keep_house(directory: Mailbox<Directory>, rotation_days: NonZeroU32, steady: Steady) {
    let key_lifetime = i64::from(rotation_days.get()) * 86_400;
    let mut hours = interval(HOUSEKEEPING_INTERVAL);
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hours.tick().await;
        if let Err(error) = purge_and_rotate(&directory, key_lifetime, &steady).await {
            tracing::warn!(%error, "purging expired credentials or rotating the signing key failed; retrying in 1 h");
        }
    }
}

async fn purge_and_rotate(
    directory: &Mailbox<Directory>,
    key_lifetime: i64,
    steady: &Steady,
) -> Result<(), DirectoryError> {
    directory.ask(PurgeExpired { steady: steady.elapsed() }).await?;
    if directory.ask(SigningKeyAge).await? >= key_lifetime {
        let rotate = RotateSigningKey { withdraw: false, caller: DAEMON.to_owned() };
        if let Withdrawn::Recorded(kid) = directory.ask(rotate).await? {
            tracing::info!(kid, "the signing key was rotated; new tokens are signed with the new key");
        }
    }
    Ok(())
}

/// Stores the uptime.
async fn store_uptime(directory: Mailbox<Directory>) {
    let mut ticks = interval(UPTIME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and the start has stored the uptime already.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = directory.ask(StoreUptime).await {
            tracing::debug!(%error, "the uptime cannot be stored; withdrawals are kept longer");
        }
    }
}

/// Makes withdrawals that are in force in memory only, as soon as that is possible.
async fn settle(directory: Mailbox<Directory>, pending: PendingWithdrawals) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if pending.count() > 0
            && let Err(error) = directory.ask(SettleWithdrawals).await
        {
            tracing::debug!(%error, "withdrawals that are in force in memory only still cannot be recorded and stored");
        }
    }
}

/// Reports jumps of the wall clock in the daemon's log and in the audit log.
async fn watch_clock(mut clock: WallClock, journal: Journal) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(jump_ms) = clock.look(Reading::now()) {
            tell_of_jump(&journal, "jumped", jump_ms);
        }
    }
}

/// Reports that the wall clock differs by `jump_ms` milliseconds from what was expected.
pub(super) fn tell_of_jump(journal: &Journal, event: &str, jump_ms: i64) {
    tracing::warn!(
        jump_ms,
        "the wall clock {event}; withdrawals stay in force; if the clock was wrong before, tokens signed in that time \
         have wrong times: `acgs key rotate token --withdraw` ends all tokens"
    );
    let recorded = Event::new(EventKind::Clock, DAEMON).name("event", event).name("jump_ms", jump_ms);
    if let Err(error) = journal.record_first(&[recorded]) {
        tracing::error!(%error, "the jump of the wall clock cannot be recorded in the audit log");
    }
}
