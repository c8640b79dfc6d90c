//! Families of metrics, and their text forms: `OpenMetrics` 1.0 and the Prometheus text format 0.0.4.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::exemplars::{Exemplars, annotate};
use super::histogram::Distribution;

/// The labels of one sample: names and values.
pub type Labels = Vec<(&'static str, String)>;

/// A metric family at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    samples: Samples,
}

#[derive(Debug, Clone, PartialEq)]
enum Samples {
    Counter(Vec<(Labels, f64)>),
    Gauge(Vec<(Labels, f64)>),
    Histogram(Vec<(Labels, Distribution)>),
    Info(Labels),
}

/// The form of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

impl Family {
    /// A family of counters. Its samples get the suffix `_total`.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) -> Self {
        Self { name, help, samples: Samples::Counter(samples.into_iter().collect()) }
    }

    /// A family of gauges.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) -> Self {
        Self { name, help, samples: Samples::Gauge(samples.into_iter().collect()) }
    }

    /// A gauge without labels.
    #[must_use]
    pub fn value(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::gauge(name, help, [(Labels::new(), value)])
    }

    /// A family of histograms of durations in seconds.
    #[must_use]
    pub fn histogram(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Distribution)>,
    ) -> Self {
        Self { name, help, samples: Samples::Histogram(samples.into_iter().collect()) }
    }

    /// Facts as labels. Its sample gets the suffix `_info`.
    #[must_use]
    pub fn info(name: &'static str, help: &'static str, facts: Labels) -> Self {
        Self { name, help, samples: Samples::Info(facts) }
    }
}

impl Format {
    /// The format that a client prefers by its `Accept` header.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes families in that format.
pub fn render(families: Vec<Family>, format: Format) -> Result<String, fmt::Error> {
    let exemplars = match format {
        Format::OpenMetrics => families.iter().filter_map(Family::exemplars).collect(),
        Format::Prometheus => Vec::new(),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
    }
    for (family, buckets, found) in &exemplars {
        let found: Vec<&Exemplars> = found.iter().collect();
        written = annotate(&written, family, *buckets, &found);
    }
    Ok(written)
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    /// The exemplars of a family of histograms for each sample, with the number of buckets; `None` if there are none.
    fn exemplars(&self) -> Option<(&'static str, usize, Vec<Exemplars>)> {
        let Samples::Histogram(samples) = &self.samples else { return None };
        let found: Vec<_> = samples.iter().map(|(_, sample)| sample.exemplars.clone()).collect();
        let buckets = samples.first().map(|(_, sample)| sample.buckets().len())?;
        found.iter().any(|exemplars| !exemplars.is_empty()).then_some((self.name, buckets, found))
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match &self.samples {
            Samples::Counter(_) => MetricType::Counter,
            Samples::Gauge(_) => MetricType::Gauge,
            Samples::Histogram(_) => MetricType::Histogram,
            Samples::Info(_) => MetricType::Info,
        };
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        match &self.samples {
            Samples::Counter(samples) => each(&mut encoder, samples, |mut sample, value| {
                sample.encode_counter::<NoLabelSet, f64, f64>(value, None)
            }),
            Samples::Gauge(samples) => each(&mut encoder, samples, |mut sample, value| sample.encode_gauge(value)),
            Samples::Histogram(samples) => each(&mut encoder, samples, |mut sample, found| {
                sample.encode_histogram::<NoLabelSet>(found.sum_s(), found.count(), &found.buckets(), None)
            }),
            Samples::Info(facts) => encoder.encode_info(facts),
        }
    }
}

fn each<T>(
    encoder: &mut MetricEncoder<'_>,
    samples: &[(Labels, T)],
    encode: impl Fn(MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    samples.iter().try_for_each(|(labels, value)| encode(encoder.encode_family(labels)?, value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::histogram::Histogram;
    use super::*;

    fn families() -> Vec<Family> {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(3));
        let route = vec![("route", "/a\"b".to_owned())];
        vec![
            Family::counter("x_hits", "Hits.", [(vec![("tier", "l1".to_owned())], 3.0)]),
            Family::value("x_open", "Open ones.", 2.0),
            Family::histogram("x_seconds", "Durations.", [(route, histogram.distribution())]),
            Family::info("x_build", "The build.", vec![("version", "1".to_owned())]),
        ]
    }

    #[test]
    fn both_formats_have_every_sample() {
        let open = render(families(), Format::OpenMetrics).unwrap();
        let plain = render(families(), Format::Prometheus).unwrap();
        for line in [
            "x_hits_total{tier=\"l1\"} 3.0",
            "x_open 2.0",
            "x_seconds_count{route=\"/a\\\"b\"} 1",
            "x_seconds_sum{route=\"/a\\\"b\"} 0.003",
            "x_build_info{version=\"1\"} 1",
        ] {
            for text in [&open, &plain] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
        }
        for text in [&open, &plain] {
            let bucket = |bound: &str| {
                let is_it = |line: &&str| line.starts_with("x_seconds_bucket{") && line.contains(bound);
                text.lines().find(is_it).and_then(|line| line.rsplit(' ').next())
            };
            let found = ["le=\"0.0025\"", "le=\"0.005\"", "le=\"+Inf\""].map(bucket);
            assert_eq!(found, [Some("0"), Some("1"), Some("1")], "{text}");
            assert_eq!(text.matches("x_seconds_bucket").count(), 17, "{text}");
        }
        assert!(open.contains("# TYPE x_hits counter\n") && open.ends_with("# EOF\n"), "{open}");
        assert!(plain.contains("# TYPE x_hits_total counter\n") && !plain.contains("# EOF"), "{plain}");
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
