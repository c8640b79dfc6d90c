//! The state of each alert: it fires once its figure has been bad for the hold, and ends once the figure has been good,
//! by a margin, for as long.

mod rule;
mod rules;

use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;

pub use rule::{AlertRule, AlertSeverity, Bound};
pub use rules::RULES;

use super::figures::Figures;
use crate::settings::Settings;

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The figure has been bad for long enough.
    Firing,
    /// The figure is bad, but not for long enough yet.
    Pending,
    /// The figure is good, or there is none.
    Inactive,
}

/// An alert as it is now.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The rule by which it fires.
    pub rule: &'static AlertRule,
    /// Its state.
    pub state: AlertState,
    /// Since when; `None`: since the start.
    pub since: Option<OffsetDateTime>,
    /// The figure.
    pub value: Option<f64>,
    /// When the figure became bad, while it is, and the alert does not fire.
    bad_since: Option<Instant>,
    /// Since when the figure is good, while the alert fires.
    good_since: Option<Instant>,
}

/// A change of state that is logged, recorded and posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The alert fires from now on.
    Fired,
    /// The alert does not fire any more.
    Resolved,
}

impl Alert {
    /// All alerts, inactive.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let new = |rule| Self {
            rule,
            state: AlertState::Inactive,
            since: None,
            value: None,
            bad_since: None,
            good_since: None,
        };
        RULES.iter().map(new).collect()
    }

    /// Takes the present figure.
    pub(super) fn update(&mut self, figures: &Figures, settings: &Settings) -> Option<Transition> {
        let value = (self.rule.figure)(figures, settings);
        let (bound, hold) = ((self.rule.bound)(settings), self.rule.hold(settings));
        self.take(value, bound, hold, Instant::now(), figures.now.at)
    }

    fn take(
        &mut self,
        value: Option<f64>,
        bound: Bound,
        hold: Duration,
        now: Instant,
        at: OffsetDateTime,
    ) -> Option<Transition> {
        self.value = value;
        let is_bad = value.is_some_and(|value| bound.is_broken(value));
        // Where there is nothing to measure, nothing is wrong.
        let is_good = value.is_none_or(|value| bound.is_cleared(value, self.rule.margin_percent));
        let has_lasted = |since: &mut Option<Instant>, is_so: bool| {
            *since = if is_so { since.or(Some(now)) } else { None };
            since.is_some_and(|since| now.duration_since(since) >= hold)
        };
        if self.state == AlertState::Firing {
            if has_lasted(&mut self.good_since, is_good) {
                self.set(AlertState::Inactive, at);
                return Some(Transition::Resolved);
            }
            return None;
        }
        if has_lasted(&mut self.bad_since, is_bad) {
            self.set(AlertState::Firing, at);
            return Some(Transition::Fired);
        }
        self.set(if is_bad { AlertState::Pending } else { AlertState::Inactive }, at);
        None
    }

    fn set(&mut self, state: AlertState, at: OffsetDateTime) {
        if self.state != state {
            self.state = state;
            self.since = Some(at);
            self.good_since = None;
            if state != AlertState::Pending {
                self.bad_since = None;
            }
        }
    }

    /// The condition as text, such as `> 5 ms for 60 s`; of a state, such as `once it has lasted for 60 s`.
    #[must_use]
    pub fn condition(&self, settings: &Settings) -> String {
        let bound = || (self.rule.bound)(settings).text(self.rule.unit);
        match (self.rule.hold(settings).as_secs(), self.rule.is_about_state()) {
            (0, true) => "while it lasts".to_owned(),
            (seconds, true) => format!("once it has lasted for {seconds} s"),
            (0, false) => bound(),
            (seconds, false) => format!("{} for {seconds} s", bound()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn rule(name: &str) -> Alert {
        Alert::all().into_iter().find(|alert| alert.rule.name == name).unwrap()
    }

    /// Takes figures one second apart; the states after each, and the transitions with their seconds.
    fn states(
        alert: &mut Alert,
        bound: Bound,
        hold: u64,
        values: &[Option<f64>],
    ) -> Vec<(AlertState, Option<Transition>)> {
        let (began, mut second) = (Instant::now(), 0);
        let take = |value: &Option<f64>| {
            second += 1;
            let now = began + Duration::from_secs(second);
            let told = alert.take(*value, bound, Duration::from_secs(hold), now, OffsetDateTime::UNIX_EPOCH);
            (alert.state, told)
        };
        values.iter().map(take).collect()
    }

    #[test]
    fn an_alert_fires_when_the_figure_stays_bad_and_ends_when_it_stays_good_by_a_margin() {
        use AlertState::{Firing, Inactive, Pending};
        let mut alert = rule("latency_p99");
        let values = [4.0, 6.0, 4.0, 6.0, 6.0, 6.0, 4.9, 4.4, 4.9, 4.4, 4.4, 4.4].map(Some);
        let found = states(&mut alert, Bound::Above(5.0), 2, &values);
        let expected = [
            (Inactive, None),
            (Pending, None),
            (Inactive, None),
            (Pending, None),
            (Pending, None),
            (Firing, Some(Transition::Fired)),
            (Firing, None),
            (Firing, None),
            (Firing, None),
            (Firing, None),
            (Firing, None),
            (Inactive, Some(Transition::Resolved)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_hold_it_fires_at_once_and_nothing_to_measure_ends_it() {
        let mut alert = rule("compliance");
        let found = states(&mut alert, Bound::Below(100.0), 0, &[None, Some(100.0), Some(99.9), Some(99.9), None]);
        let told: Vec<_> = found.into_iter().map(|(_, told)| told).collect();
        assert_eq!(told, [None, None, Some(Transition::Fired), None, Some(Transition::Resolved)]);
        assert!(alert.since.is_some());
    }

    #[test]
    fn a_condition_is_readable() {
        let settings = Settings::load(std::path::Path::new("settings"), None, std::iter::empty());
        let mut settings = settings.unwrap().settings;
        let conditions = |settings: &Settings| {
            ["latency_p99", "throughput", "database_unavailable", "audit_log_unwritable", "login_failures"]
                .map(|name| rule(name).condition(settings))
        };
        assert_eq!(
            conditions(&settings),
            ["> 5 ms for 60 s", "< 100 /s for 60 s", "once it has lasted for 60 s", "while it lasts", "≥ 60 /min"]
        );
        settings.monitor.alerts.hold = Duration::ZERO;
        assert_eq!(conditions(&settings)[..3], ["> 5 ms", "< 100 /s", "while it lasts"]);
    }

    #[test]
    fn each_alert_has_a_name_of_its_own_and_says_what_to_do() {
        let names: HashSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        for rule in &RULES {
            assert!(
                rule.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                rule.name
            );
            assert!(rule.remedy.len() > 40 && rule.meaning.len() > 40, "{}", rule.name);
            assert!(rule.meaning.ends_with('.') && rule.remedy.ends_with('.'), "{}", rule.name);
        }
    }
}
