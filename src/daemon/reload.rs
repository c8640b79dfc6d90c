//! Reloads of settings and constitution, by signal or by route.

use std::sync::Arc;

use parking_lot::Mutex;
use sd_notify::NotifyState;

use super::Source;
use super::audit_subsystem::{DAEMON, record_settings};
use super::signals::notify;
use crate::actors::Mailbox;
use crate::actors::audit::journal::Journal;
use crate::actors::decision::registry::{OnObjections, Registry, Reload, ReloadError, Reread, SettingsReader};
use crate::logging::LevelSwitch;
use crate::settings::Settings;

/// Reads the settings again, applies the live ones, and returns those of the constitution. If they are faulty, or
/// cannot be recorded, nothing changes. A reload by the route is mostly about the constitution, so unchanged settings
/// are recorded only on SIGHUP.
pub(super) fn settings_reader(
    source: Source,
    started_with: Arc<Settings>,
    journal: Journal,
    level: Option<LevelSwitch>,
) -> SettingsReader {
    let known = Mutex::new(started_with.to_string());
    SettingsReader::new(move |caller| {
        let loaded = source.load().map_err(|faults| {
            let lines: Vec<String> =
                (&faults).into_iter().map(|fault| format!("{}: {}", fault.place, fault.wrong)).collect();
            for line in &lines {
                tracing::error!("reload refused, the settings stay as they were: {line}");
            }
            lines
        })?;
        let new = loaded.settings;
        let values = new.to_string();
        let mut known = known.lock();
        if caller == DAEMON || *known != values {
            let recorded = record_settings(&journal, "reread", &new);
            recorded.map_err(|error| vec![format!("the settings cannot be recorded: {error}")])?;
            *known = values;
        }
        if let Some(level) = &level {
            level.set(&new.log.level);
        }
        let restart_required = started_with.restart_needed(&new);
        for key in &restart_required {
            tracing::warn!(key, "changed, but takes effect only after a restart");
        }
        Ok(Reread { constitution: new.constitution, restart_required })
    })
}

/// Handles SIGHUP. If the settings or the constitution are faulty, both stay as they were.
pub(super) async fn reload(registry: &Mailbox<Registry>) {
    let monotonic = NotifyState::monotonic_usec_now();
    notify(&match monotonic {
        Ok(now) => vec![NotifyState::Reloading, now],
        Err(_) => vec![NotifyState::Reloading],
    });
    match registry.ask(Reload { caller: DAEMON.into(), on_objections: OnObjections::Refuse }).await {
        Err(ReloadError::Faulty(faults) | ReloadError::Objected(faults)) => {
            for fault in &faults.0 {
                tracing::error!("the constitution stays as it was: {fault}");
            }
        }
        Err(error @ ReloadError::Unanswered(_)) => {
            tracing::error!("{error}");
        }
        // The registry has logged the reason.
        Ok(_)
        | Err(
            ReloadError::Settings(_) | ReloadError::Unchecked(_) | ReloadError::Unsaved(_) | ReloadError::Unrecorded(_),
        ) => {}
    }
    notify(&[NotifyState::Ready]);
}
