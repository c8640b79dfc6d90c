//! Whether it is worth asking the fleet's cache, or cheaper to evaluate here.

use std::time::Duration;

/// Weight of the newest figure in an average.
const NEWEST: f64 = 1.0 / 16.0;
/// One question in so many goes the way that seems dearer, so that its figures stay true too.
const SAMPLE: u32 = 64;

/// Running averages of what was paid and got.
#[derive(Debug, Default)]
pub struct Worth {
    ask: Average,
    hits: Average,
    evaluation: Average,
    questions: u32,
}

#[derive(Debug, Default)]
struct Average(Option<f64>);

impl Worth {
    /// Whether to ask. A hit saves the evaluation; the ask is paid either way.
    pub fn asks(&mut self) -> bool {
        let worth_it = match (self.ask.0, self.hits.0, self.evaluation.0) {
            (Some(ask), Some(hits), Some(evaluation)) => hits * evaluation > ask,
            _ => true,
        };
        self.questions = self.questions.wrapping_add(1);
        worth_it != self.questions.is_multiple_of(SAMPLE)
    }

    /// An ask took so long, and gave a verdict or did not. One that was given up counts with the time it was waited
    /// for.
    pub fn asked(&mut self, took: Duration, hit: bool) {
        self.ask.add(took.as_secs_f64());
        self.hits.add(f64::from(u8::from(hit)));
    }

    /// An evaluation here took so long, reading its entities included.
    pub fn evaluated(&mut self, took: Duration) {
        self.evaluation.add(took.as_secs_f64());
    }

    /// How long an evaluation takes; none where none was made.
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

    /// How many of 6,400 questions are asked, where a share of them hit.
    fn asked(worth: &mut Worth, ask: Duration, hits_in_100: u32, evaluation: Duration) -> u32 {
        let mut asked = 0;
        for n in 0..6_400 {
            let hit = n * 37 % 100 < hits_in_100;
            let asks = worth.asks();
            if asks {
                worth.asked(ask, hit);
                asked += 1;
            }
            if !asks || !hit {
                worth.evaluated(evaluation);
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
            let asked = asked(&mut Worth::default(), MICROS(ask), hits, MICROS(evaluation));
            assert!(if worth_it { asked > 6_200 } else { asked < 200 }, "{ask} {hits} {evaluation}: {asked}");
        }
    }

    #[test]
    fn it_notices_when_asking_becomes_worth_it() {
        let mut worth = Worth::default();
        assert!(asked(&mut worth, MICROS(200), 0, MICROS(2_000)) < 200);
        assert!(asked(&mut worth, MICROS(200), 90, MICROS(2_000)) > 5_000);
        assert!(asked(&mut worth, MICROS(5_000), 90, MICROS(2_000)) < 200);
    }

    #[test]
    fn it_asks_while_nothing_is_known() {
        let mut worth = Worth::default();
        assert!(worth.asks() && worth.asks());
        worth.evaluated(MICROS(1));
        assert!(worth.asks(), "nobody has been asked yet");
        assert_eq!(worth.evaluation(), Some(MICROS(1)));
    }
}
