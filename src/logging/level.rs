//! How much is logged, changed while the daemon runs.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry};

use crate::settings::LogLevel;

/// Changes how much is logged while the daemon runs; shared by all clones.
#[derive(Debug, Clone)]
pub struct LevelSwitch {
    filter: Handle<EnvFilter, Registry>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    setting: LogLevel,
    /// Another level than that of the settings.
    other: Option<(LogLevel, Option<OffsetDateTime>)>,
    /// The number of changes so far.
    changes: u64,
}

/// The level that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelStatus {
    /// The level.
    pub level: LogLevel,
    /// The level of the settings.
    pub setting: LogLevel,
    /// When the level is that of the settings again, if that is known.
    pub until: Option<OffsetDateTime>,
}

/// One change of the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange(u64);

impl LevelSwitch {
    pub(super) fn new(filter: Handle<EnvFilter, Registry>, setting: LogLevel) -> Self {
        Self { filter, state: Arc::new(Mutex::new(State { setting, other: None, changes: 0 })) }
    }

    /// Logs by the level of the settings from now on, which may be another one than before.
    pub fn set(&self, setting: &LogLevel) {
        let mut state = self.state.lock();
        state.setting.clone_from(setting);
        state.other = None;
        state.changes += 1;
        self.apply(setting);
    }

    /// Logs by this level from now on, until the settings are read again or the change is reverted, which the caller
    /// does after `time`.
    #[must_use]
    pub fn change(&self, level: LogLevel, time: Option<Duration>) -> LevelChange {
        let mut state = self.state.lock();
        state.changes += 1;
        self.apply(&level);
        state.other = Some((level, time.and_then(|time| OffsetDateTime::now_utc().checked_add(time.try_into().ok()?))));
        LevelChange(state.changes)
    }

    /// Logs by the level of the settings again, if there was no change after this one.
    pub fn revert(&self, change: LevelChange) {
        let mut state = self.state.lock();
        if state.changes == change.0 && state.other.take().is_some() {
            self.apply(&state.setting);
            tracing::info!(level = %state.setting, "the log level is that of the settings again");
        }
    }

    /// The level in force.
    #[must_use]
    pub fn status(&self) -> LevelStatus {
        let state = self.state.lock();
        let (level, until) = state.other.clone().unwrap_or_else(|| (state.setting.clone(), None));
        LevelStatus { level, setting: state.setting.clone(), until }
    }

    fn apply(&self, level: &LogLevel) {
        if let Err(error) = self.filter.reload(level.filter()) {
            tracing::error!(%error, "the log level cannot be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::reload;

    use super::*;

    #[test]
    fn a_change_ends_with_its_time_or_a_reload_but_not_with_that_of_an_earlier_one() {
        let level = |text: &str| text.parse::<LogLevel>().unwrap();
        let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(level("info").filter());
        let switch = LevelSwitch::new(handle, level("info"));
        let shown = |switch: &LevelSwitch| switch.status().level.to_string();
        let first = switch.change(level("debug"), Some(Duration::from_mins(1)));
        assert!(switch.status().until.is_some());
        let second = switch.change(level("trace"), None);
        switch.revert(first);
        assert_eq!((shown(&switch), switch.status().until), ("trace".to_owned(), None));
        switch.revert(second);
        assert_eq!(shown(&switch), "info");
        let third = switch.change(level("off"), None);
        switch.set(&level("warn"));
        switch.revert(third);
        assert_eq!((shown(&switch), switch.status().setting), ("warn".to_owned(), level("warn")));
        drop(filter);
    }
}
