//! The points of the last minutes, for charts.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::kpis::Point;

/// How many points are kept: 15 minutes, one each second.
const KEPT: usize = 900;

/// The points of the last 15 minutes.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Point>>);

impl History {
    pub(super) fn push(&self, point: &Point) {
        let mut points = self.0.lock();
        points.push_back(*point);
        if points.len() > KEPT {
            points.pop_front();
        }
    }

    /// All points as JSON: one array for each figure.
    pub(super) fn to_json(&self) -> Value {
        let points = self.0.lock();
        let mut series = Map::new();
        for point in &*points {
            for (name, value) in point {
                let values = series.entry(*name).or_insert_with(|| Value::Array(Vec::with_capacity(points.len())));
                if let Value::Array(values) = values {
                    values.push(number(*value));
                }
            }
        }
        json!({"interval_s": 1, "series": series})
    }
}

/// A point as JSON.
pub(super) fn point_json(point: &Point) -> Value {
    let members: Map<String, Value> = point.iter().map(|(name, value)| ((*name).to_owned(), number(*value))).collect();
    Value::Object(members)
}

/// Rounded to three places, so that the text stays short.
fn number(value: Option<f64>) -> Value {
    value.map(|value| (value * 1e3).round() / 1e3).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_have_the_same_length_and_end_with_the_newest_point() {
        let history = History::default();
        for second in 0..KEPT + 5 {
            let value = super::super::kpis::count(second as u64);
            let mut point: Point = [("at", Some(value)); 20];
            for (place, (name, value)) in point.iter_mut().enumerate().skip(1) {
                (*name, *value) = (["a", "b", "c"][place % 3], (place % 2 == 0).then_some(1.234_56));
            }
            point[1] = ("p50", None);
            history.push(&point);
        }
        let json = history.to_json();
        let at = json["series"]["at"].as_array().unwrap();
        assert_eq!((at.len(), at[0].as_f64(), at[KEPT - 1].as_f64()), (KEPT, Some(5.0), Some(904.0)));
        assert!(json["series"]["p50"].as_array().unwrap().iter().all(Value::is_null));
    }
}
