//! Whether it is worth asking the fleet's cache, or cheaper to evaluate here.

use std::time::{Duration, Instant};

/// Weight of the newest figure in an average.
const NEWEST: f64 = 1.0 / 16.0;
/// While look-ups pay off, one of this number of questions is evaluated all the same, to measure that cost.
const SAMPLE: u32 = 64;
/// While they do not, one look-up is made in this interval, to measure its cost at little expense.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Running averages of the costs and the success of look-ups.
#[derive(Debug, Default)]
pub struct CostModel {
    ask: Average,
    hits: Average,
    evaluation: Average,
    questions: u32,
    asked: Option<Instant>,
}

#[derive(Debug, Default)]
struct Average(Option<f64>);

impl CostModel {
    /// Whether to ask. A hit saves the evaluation; the ask is paid either way.
    pub fn should_look_up(&mut self, now: Instant) -> bool {
        self.questions = self.questions.wrapping_add(1);
        let should_look_up = match (self.ask.0, self.hits.0, self.evaluation.0) {
            (Some(ask), Some(hits), Some(evaluation)) if hits * evaluation > ask => {
                !self.questions.is_multiple_of(SAMPLE)
            }
            (Some(_), Some(_), Some(_)) => self.asked.is_none_or(|asked| now.duration_since(asked) >= PROBE_INTERVAL),
            _ => !self.questions.is_multiple_of(SAMPLE),
        };
        if should_look_up {
            self.asked = Some(now);
        }
        should_look_up
    }

    /// Whether evaluated verdicts should be written: only if a look-up is cheaper than an evaluation.
    #[must_use]
    pub fn should_write(&self) -> bool {
        match (self.ask.0, self.evaluation.0) {
            (Some(ask), Some(evaluation)) => evaluation > ask,
            _ => true,
        }
    }

    /// Counts a look-up that took `took`, and whether it was a hit. One that was given up counts with the time until
    /// then.
    pub fn asked(&mut self, took: Duration, hit: bool) {
        self.ask.add(took.as_secs_f64());
        self.hits.add(f64::from(u8::from(hit)));
    }

    /// Counts an evaluation that took `took`, including the reading of entities.
    pub fn evaluated(&mut self, took: Duration) {
        self.evaluation.add(took.as_secs_f64());
    }

    /// The average time of an evaluation; `None` before the first one.
    #[must_use]
    pub fn evaluation(&self) -> Option<Duration> {
        self.evaluation.0.map(Duration::from_secs_f64)
    }
}

impl Average {
    fn add(&mut self, value: f64) {
        self.0 = Some(self.0.map_or(value, |average| average + (value - average) * NEWEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: fn(u64) -> Duration = Duration::from_micros;

    /// How many of 6,400 questions are asked, one in 100 µs, where a share of them hit.
    fn asked(model: &mut CostModel, clock: &mut Instant, ask: Duration, hits_in_100: u32, evaluation: Duration) -> u32 {
        let mut asked = 0;
        for n in 0..6_400 {
            *clock += MICROS(100);
            let hit = n * 37 % 100 < hits_in_100;
            let should_look_up = model.should_look_up(*clock);
            if should_look_up {
                model.asked(ask, hit);
                asked += 1;
            }
            if !should_look_up || !hit {
                model.evaluated(evaluation);
            }
        }
        asked
    }

    #[test]
    fn it_asks_where_that_is_cheaper() {
        let rows = [
            (200, 90, 2_000, true),
            (200, 90, 20, false),
            (200, 0, 2_000, false),
            (5_000, 100, 2_000, false),
            (200, 50, 10_000, true),
        ];
        for (ask, hits, evaluation, worth_it) in rows {
            let asked = asked(&mut CostModel::default(), &mut Instant::now(), MICROS(ask), hits, MICROS(evaluation));
            assert!(if worth_it { asked > 6_200 } else { asked < 100 }, "{ask} {hits} {evaluation}: {asked}");
        }
    }

    #[test]
    fn it_notices_when_asking_becomes_worth_it() {
        let mut model = CostModel::default();
        let clock = &mut Instant::now();
        assert!(asked(&mut model, clock, MICROS(200), 0, MICROS(2_000)) < 50);
        // It takes some looks, and then it asks nearly always.
        let some = (0..4).map(|_| asked(&mut model, clock, MICROS(200), 90, MICROS(2_000))).max();
        assert!(some > Some(5_000), "{some:?}");
        assert!(asked(&mut model, clock, MICROS(5_000), 90, MICROS(2_000)) < 200);
    }

    #[test]
    fn it_asks_while_nothing_is_known() {
        let mut model = CostModel::default();
        let now = Instant::now();
        assert!(model.should_look_up(now) && model.should_look_up(now) && model.should_write());
        model.evaluated(MICROS(1));
        assert!(model.should_look_up(now) && model.should_write(), "nobody has been asked yet");
        model.asked(MICROS(2), true);
        assert!(!model.should_write());
        assert_eq!(model.evaluation(), Some(MICROS(1)));
    }
}
