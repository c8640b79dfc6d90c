//! Settings that are a share of a whole.

use std::fmt;

use super::{raw_value::RawValue, rule::Rule};

/// A number from 0 to 100.
#[derive(Clone, Copy, PartialEq)]
pub struct Percent(f64);

// INVARIANT: it is a number, and so equal to itself.
impl Eq for Percent {}

impl Percent {
    /// The number, from 0 to 100.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number as a share, from 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Percent({:?})", self.0)
    }
}

/// Any [`Percent`].
pub(super) struct Percents;

impl Rule<Percent> for Percents {
    fn allowed(&self) -> String {
        "a number from 0 to 100".to_owned()
    }

    fn read(&self, written: &RawValue) -> Result<Percent, &'static str> {
        let number = written.float()?;
        if (0.0..=100.0).contains(&number) { Ok(Percent(number)) } else { Err("out of range") }
    }

    fn write(&self, value: &Percent) -> RawValue {
        RawValue::Float(value.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_is_within_the_whole() {
        for (written, expected) in [
            (RawValue::Float(85.0), Ok("85.0")),
            (RawValue::Integer(85), Ok("85.0")),
            (RawValue::Float(99.95), Ok("99.95")),
            (RawValue::Float(-0.0), Ok("-0.0")),
            (RawValue::Integer(0), Ok("0.0")),
            (RawValue::Float(100.0), Ok("100.0")),
            (RawValue::Float(100.1), Err("out of range")),
            (RawValue::Float(-0.1), Err("out of range")),
            (RawValue::Integer(i64::MAX), Err("out of range")),
            (RawValue::Huge("99999999999999999999".to_owned()), Err("out of range")),
            (RawValue::Float(f64::NAN), Err("out of range")),
            (RawValue::Float(f64::INFINITY), Err("out of range")),
            (RawValue::from("85"), Err("not a number")),
            (RawValue::Bool(true), Err("not a number")),
        ] {
            assert_eq!(
                Percents.read(&written).map(|percent| percent.to_string()).as_deref(),
                expected.as_ref().copied()
            );
        }
        let percent = Percents.read(&RawValue::Float(50.0)).unwrap();
        assert!((percent.get() - 50.0).abs() < f64::EPSILON && (percent.share() - 0.5).abs() < f64::EPSILON);
    }
}
