//! How values are parsed and validated.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use super::{raw_value::RawValue, section::List};

/// Parses and displays the values of one key. A fault is described as "not a …".
pub(super) trait Rule<T> {
    /// The allowed values, for an administrator.
    fn allowed(&self) -> String;
    /// The allowed words, if they can be enumerated.
    fn choices(&self) -> &'static [&'static str] {
        &[]
    }
    /// The identity of a table, which must be unique in its list; `None` if there is none.
    fn identity(&self, _: &T) -> Option<String> {
        None
    }
    /// The kind of the list, if the value is one.
    fn list(&self) -> Option<List> {
        None
    }
    /// The value that was meant.
    fn read(&self, written: &RawValue) -> Result<T, &'static str>;
    /// The value, so that `read` gives it back.
    fn write(&self, value: &T) -> RawValue;
    /// The value for display, without secrets.
    fn show(&self, value: &T) -> RawValue {
        self.write(value)
    }
}

/// A type with a form in text of its own.
pub(super) trait TextSetting: Sized {
    /// The allowed words, if they can be enumerated.
    const CHOICES: &'static [&'static str] = &[];
    /// The allowed values, for an administrator.
    fn allowed() -> String {
        Self::CHOICES.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }
    /// The value that was meant.
    fn read(text: &str) -> Result<Self, &'static str>;
    /// The value, so that `read` gives it back.
    fn write(&self) -> String;
    /// The value for display, without secrets.
    fn show(&self) -> String {
        self.write()
    }
}

/// Any text that the type can read.
pub(super) struct Text;

impl<T: TextSetting> Rule<T> for Text {
    fn allowed(&self) -> String {
        T::allowed()
    }

    fn choices(&self) -> &'static [&'static str] {
        T::CHOICES
    }

    fn read(&self, written: &RawValue) -> Result<T, &'static str> {
        T::read(written.text()?)
    }

    fn write(&self, value: &T) -> RawValue {
        RawValue::Text(value.write())
    }

    fn show(&self, value: &T) -> RawValue {
        RawValue::Text(value.show())
    }
}

/// A word with a name of its own.
pub(super) trait Named: TextSetting {
    /// The name.
    fn name(&self) -> &str;
}

/// Any text that the type can read, with another name in each table of a list.
pub(super) struct Unique;

impl<T: Named> Rule<T> for Unique {
    fn allowed(&self) -> String {
        format!("{}, each name once", T::allowed())
    }

    fn identity(&self, value: &T) -> Option<String> {
        Some(value.name().to_owned())
    }

    fn read(&self, written: &RawValue) -> Result<T, &'static str> {
        Text.read(written)
    }

    fn write(&self, value: &T) -> RawValue {
        Text.write(value)
    }
}

/// Empty text is no value.
impl<T: TextSetting> TextSetting for Option<T> {
    fn allowed() -> String {
        format!("{}, or nothing", T::allowed())
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }

    fn write(&self) -> String {
        self.as_ref().map(T::write).unwrap_or_default()
    }

    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

impl TextSetting for PathBuf {
    fn allowed() -> String {
        "a path".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.contains(char::REPLACEMENT_CHARACTER) {
            // Bytes of an environment variable that are not UTF-8 arrive as U+FFFD; the path would name another file.
            Err("not a path in UTF-8")
        } else if text.is_empty() || text.contains('\0') {
            Err("not a path")
        } else {
            Ok(text.into())
        }
    }

    fn write(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

/// A path; the empty one is filled in when all settings are known.
pub(super) struct PathOrEmpty;

impl Rule<PathBuf> for PathOrEmpty {
    fn allowed(&self) -> String {
        Option::<PathBuf>::allowed()
    }

    fn read(&self, written: &RawValue) -> Result<PathBuf, &'static str> {
        Ok(Option::<PathBuf>::read(written.text()?)?.unwrap_or_default())
    }

    fn write(&self, value: &PathBuf) -> RawValue {
        RawValue::Text(value.write())
    }
}

/// A type of whole numbers.
pub(super) trait Number: Sized {
    /// The number, if the type has it.
    fn from_integer(number: i64) -> Option<Self>;
    /// The number again.
    fn to_integer(&self) -> i64;
}

macro_rules! number {
    ($($type:ty, $value:ident => $plain:expr;)*) => { $(
        impl Number for $type {
            fn from_integer(number: i64) -> Option<Self> {
                number.try_into().ok().and_then(Self::new)
            }

            fn to_integer(&self) -> i64 {
                let $value = self;
                i64::try_from($plain).unwrap_or(i64::MAX)
            }
        }
    )* };
}

number! {
    NonZeroUsize, value => value.get();
    NonZeroU32, value => value.get();
}

impl Number for u32 {
    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok()
    }

    fn to_integer(&self) -> i64 {
        i64::from(*self)
    }
}

/// Nought is no value.
impl<T: Number> Number for Option<T> {
    fn from_integer(number: i64) -> Option<Self> {
        if number == 0 { Some(None) } else { T::from_integer(number).map(Some) }
    }

    fn to_integer(&self) -> i64 {
        self.as_ref().map_or(0, T::to_integer)
    }
}

/// A whole number within bounds, both included.
pub(super) struct Count(pub(super) RangeInclusive<i64>);

impl<T: Number> Rule<T> for Count {
    fn allowed(&self) -> String {
        within(&self.0)
    }

    fn read(&self, written: &RawValue) -> Result<T, &'static str> {
        T::from_integer(written.integer(&self.0)?).ok_or("out of range")
    }

    fn write(&self, value: &T) -> RawValue {
        RawValue::Integer(value.to_integer())
    }
}

/// Whether something is so.
pub(super) struct Flag;

impl Rule<bool> for Flag {
    fn allowed(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn choices(&self) -> &'static [&'static str] {
        &["true", "false"]
    }

    fn read(&self, written: &RawValue) -> Result<bool, &'static str> {
        written.bool()
    }

    fn write(&self, value: &bool) -> RawValue {
        RawValue::Bool(*value)
    }
}

/// A time in whole units within bounds, both included.
pub(super) struct Time {
    unit: &'static str,
    micros: u64,
    within: RangeInclusive<i64>,
}

/// A time in whole microseconds.
pub(super) const fn micros(within: RangeInclusive<i64>) -> Time {
    Time { unit: "microseconds", micros: 1, within }
}

/// A time in whole milliseconds.
pub(super) const fn millis(within: RangeInclusive<i64>) -> Time {
    Time { unit: "milliseconds", micros: 1_000, within }
}

/// A time in whole seconds.
pub(super) const fn seconds(within: RangeInclusive<i64>) -> Time {
    Time { unit: "seconds", micros: 1_000_000, within }
}

impl Rule<Duration> for Time {
    fn allowed(&self) -> String {
        format!("{}, in {}", within(&self.within), self.unit)
    }

    fn read(&self, written: &RawValue) -> Result<Duration, &'static str> {
        let units = written.integer(&self.within)?.unsigned_abs();
        Ok(Duration::from_micros(units.saturating_mul(self.micros)))
    }

    fn write(&self, value: &Duration) -> RawValue {
        let units = value.as_micros() / u128::from(self.micros);
        RawValue::Integer(i64::try_from(units).unwrap_or(i64::MAX))
    }
}

fn within(range: &RangeInclusive<i64>) -> String {
    format!("an integer from {} to {}", range.start(), range.end())
}
