//! Exemplars: for a bucket of a histogram, the trace of one request in it.
//!
//! `prometheus_client` makes exemplars only of histograms that it counts itself, so they are added to its text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A request in a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The id of its trace: hex digits.
    trace: String,
    took: Duration,
    at: SystemTime,
}

/// The newest exemplar of each bucket, by its number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Exemplars(BTreeMap<usize, Exemplar>);

impl Exemplars {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a request of a bucket in place of an earlier one.
    pub(super) fn put(&mut self, bucket: usize, trace: String, took: Duration) {
        self.0.insert(bucket, Exemplar { trace, took, at: SystemTime::now() });
    }

    /// Adds those of another worker; the newer one counts.
    pub(super) fn add(&mut self, others: &Self) {
        for (bucket, other) in &others.0 {
            let known = self.0.entry(*bucket).or_insert_with(|| other.clone());
            if known.at < other.at {
                *known = other.clone();
            }
        }
    }
}

impl Exemplar {
    /// The end of a bucket's line in `OpenMetrics` 1.0.
    fn write(&self, line: &mut String) {
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let _ = write!(line, " # {{trace_id=\"{}\"}} {} {at:.3}", self.trace, self.took.as_secs_f64());
    }
}

/// Adds exemplars to the text of a family, whose samples are in the order of `samples` and have so many buckets.
pub(super) fn annotate(text: &str, family: &str, buckets: usize, samples: &[&Exemplars]) -> String {
    let (start, mut seen) = (format!("{family}_bucket{{"), 0);
    let mut annotated = String::with_capacity(text.len() + 128 * samples.len());
    for line in text.lines() {
        annotated.push_str(line);
        if line.starts_with(&start) {
            if let Some(exemplar) = samples.get(seen / buckets).and_then(|found| found.0.get(&(seen % buckets))) {
                exemplar.write(&mut annotated);
            }
            seen += 1;
        }
        annotated.push('\n');
    }
    annotated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_exemplar_of_each_bucket_is_written_at_its_line() {
        let (mut first, mut second) = (Exemplars::default(), Exemplars::default());
        first.put(0, "aa".to_owned(), Duration::from_micros(80));
        second.put(0, "bb".to_owned(), Duration::from_micros(90));
        second.put(1, "cc".to_owned(), Duration::from_micros(200));
        first.add(&second);
        let text = "x_sum 1\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"2\"} 2\nx_bucket{le=\"1\"} 3\ny_bucket{le=\"1\"} 4\n";
        let annotated = annotate(text, "x", 2, &[&first, &Exemplars::default()]);
        let lines: Vec<_> = annotated.lines().collect();
        assert!(lines[1].starts_with("x_bucket{le=\"1\"} 1 # {trace_id=\"bb\"} 0.00009 "), "{annotated}");
        assert!(lines[2].starts_with("x_bucket{le=\"2\"} 2 # {trace_id=\"cc\"} 0.0002 "), "{annotated}");
        assert_eq!(lines[3..], ["x_bucket{le=\"1\"} 3", "y_bucket{le=\"1\"} 4"]);
    }
}
