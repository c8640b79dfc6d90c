//! Limits repeated log messages: a message that is logged with each of many requests is written from time to time, with
//! the number of suppressed messages.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The messages of one kind that are written in a burst.
const BURST: u32 = 50;
/// The interval at which messages of one kind are written in the long run.
const INTERVAL: Duration = Duration::from_secs(5);

/// Limits the messages of each call site, at the levels `info`, `warn` and `error`. `debug` and `trace` are not
/// limited.
#[derive(Debug, Default)]
pub(super) struct RepeatLimit(Mutex<HashMap<Identifier, Allowance>>);

/// The remaining allowance of one call site.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// When `left` was last updated.
    since: Instant,
    left_out: u64,
}

/// The treatment of a message.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Written,
    /// It is written; contains the number of messages suppressed before it.
    WrittenAfter(u64),
    /// It is the first one to be suppressed.
    FirstLeftOut,
    LeftOut,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, left_out: 0 }
    }

    fn admit(&mut self, now: Instant) -> Admission {
        let passed = now.saturating_duration_since(self.since).as_secs() / INTERVAL.as_secs();
        let earned = u32::try_from(passed).unwrap_or(u32::MAX).min(BURST);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.since = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return if self.left_out == 1 { Admission::FirstLeftOut } else { Admission::LeftOut };
        }
        self.left -= 1;
        match std::mem::take(&mut self.left_out) {
            0 => Admission::Written,
            left_out => Admission::WrittenAfter(left_out),
        }
    }
}

impl RepeatLimit {
    fn admit(&self, place: Identifier, now: Instant) -> Admission {
        let mut places = self.0.lock();
        match places.entry(place) {
            Entry::Occupied(mut known) => known.get_mut().admit(now),
            Entry::Vacant(new) => new.insert(Allowance::new(now)).admit(now),
        }
    }
}

impl<S: Subscriber> Layer<S> for RepeatLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // The messages of this file itself are limited by those that they report on, and management writes by rates.
        if *metadata.level() > Level::INFO || [module_path!(), super::ACCESS].contains(&metadata.target()) {
            return true;
        }
        match self.admit(metadata.callsite(), Instant::now()) {
            Admission::Written => true,
            Admission::LeftOut => false,
            Admission::WrittenAfter(left_out) => {
                tracing::warn!(left_out, "messages like the next one were suppressed");
                true
            }
            Admission::FirstLeftOut => {
                let place = metadata.target();
                tracing::warn!(place, "a message repeats; writing only one in {} s from now on", INTERVAL.as_secs());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::captured_lines::CapturedLines;
    use super::*;

    #[test]
    fn a_message_that_repeats_is_written_now_and_then_with_the_number_left_out() {
        let began = Instant::now();
        let mut allowance = Allowance::new(began);
        let outcomes: Vec<_> = (0..1_000).map(|_| allowance.admit(began)).collect();
        let written = outcomes.iter().filter(|outcome| **outcome == Admission::Written).count();
        let first = outcomes.iter().position(|outcome| *outcome == Admission::FirstLeftOut);
        assert_eq!((written, first), (50, Some(50)));
        assert_eq!(allowance.admit(began + INTERVAL), Admission::WrittenAfter(950));
        assert_eq!(allowance.admit(began + INTERVAL), Admission::FirstLeftOut);
        let later = began + INTERVAL * 1_000;
        assert_eq!(allowance.admit(later), Admission::WrittenAfter(1));
        let more = (0..1_000).filter(|_| allowance.admit(later) == Admission::Written).count();
        assert_eq!(more, 49, "silence earns no more than at the beginning");
    }

    #[test]
    fn each_kind_of_message_is_limited_for_itself_and_debugging_is_not() {
        let lines = CapturedLines::default();
        let output = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone());
        let subscriber = tracing_subscriber::registry().with(RepeatLimit::default()).with(output);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..500 {
                tracing::error!(number, "the disk is full");
                tracing::debug!(number, "a detail");
            }
            tracing::info!("another one");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!((count("the disk is full"), count("a detail"), count("another one")), (50, 500, 1));
    }
}
