//! SIGHUP: settings and constitution are read again.

use sd_notify::NotifyState;

use super::Source;
use super::evidence::{self, DAEMON};
use super::signals::notify;
use crate::actors::Mailbox;
use crate::actors::journal::Journal;
use crate::actors::registry::{Registry, Reload, ReloadError};
use crate::logging::LevelSwitch;
use crate::settings::Settings;

/// Reads settings and constitution again; what is faulty stays as it was.
pub(super) async fn reload(
    source: &Source,
    started_with: &Settings,
    registry: &Mailbox<Registry>,
    journal: &Journal,
    level: &LevelSwitch,
) {
    let monotonic = NotifyState::monotonic_usec_now();
    notify(&match monotonic {
        Ok(now) => vec![NotifyState::Reloading, now],
        Err(_) => vec![NotifyState::Reloading],
    });
    match source.load() {
        Err(faults) => {
            for fault in &faults {
                tracing::error!(place = %fault.place, "the settings stay as they were: {}", fault.wrong);
            }
        }
        Ok(loaded) => {
            let new = loaded.settings;
            let recorded = evidence::record_settings(journal.clone(), "reread", &new).await;
            if let Err(error) = recorded {
                tracing::error!(%error, "the settings stay as they were: they cannot be recorded");
                return notify(&[NotifyState::Ready]);
            }
            level.set(&new.log.level);
            for key in started_with.restart_needed(&new) {
                tracing::warn!(key, "changed, but takes effect only after a restart");
            }
            match registry.ask(Reload { caller: DAEMON.into(), settings: Some(new.constitution) }).await {
                Ok(reloaded) => {
                    tracing::info!(hash = %reloaded.new.0, digest = %reloaded.new.1, "constitution reloaded");
                }
                Err(ReloadError::Faulty(faults)) => {
                    for fault in &faults.0 {
                        tracing::error!("the constitution stays as it was: {fault}");
                    }
                }
                Err(error @ ReloadError::Unrecorded(_)) => tracing::error!(%error, "the constitution stays as it was"),
                Err(error @ ReloadError::Unanswered(_)) => tracing::error!(%error, "it may yet come into force"),
            }
        }
    }
    notify(&[NotifyState::Ready]);
}
