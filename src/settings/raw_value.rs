//! A value between a file or a variable and its key.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::hidden::without_password;

/// A value as written in a file or a variable, before it is validated.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Digits that no whole number of 64 bits can hold.
    Huge(String),
    /// A number with a point.
    Float(f64),
    /// Whether something is so.
    Bool(bool),
    /// A list.
    List(Vec<RawValue>),
    /// A table in a list, with the full names of its keys.
    Table(Row),
    /// Anything else; no key takes it. Its name has an article.
    Other(&'static str),
}

/// The values of one table of a list, in the order of the keys.
pub(super) type Row = Vec<(&'static str, RawValue)>;

impl RawValue {
    /// The value as TOML; for types that no key has, the type's name.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => {
                // Always on one line, so that a message is too.
                let escaped: String = text.chars().map(escape).collect();
                format!("\"{escaped}\"")
            }
            Self::Integer(number) => number.to_string(),
            Self::Huge(digits) => digits.clone(),
            Self::Float(number) => format!("{number:?}"),
            Self::Bool(whether) => whether.to_string(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::to_toml).collect::<Vec<_>>().join(", ")),
            Self::Table(row) => {
                let member = |(name, value): &(&str, Self)| format!("{} = {}", leaf(name).1, value.to_toml());
                format!("{{ {} }}", row.iter().map(member).collect::<Vec<_>>().join(", "))
            }
            Self::Other(name) => (*name).to_owned(),
        }
    }

    /// The value for a message: as TOML in backticks and without a password, or the name of its type.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Other(name) => (*name).to_owned(),
            _ => format!("`{}`", without_password(&self.to_toml())),
        }
    }

    /// The string.
    pub(super) fn text(&self) -> Result<&str, &'static str> {
        if let Self::Text(text) = self { Ok(text) } else { Err("not a string") }
    }

    /// The whole number, if it is within the bounds.
    pub(super) fn integer(&self, range: &RangeInclusive<i64>) -> Result<i64, &'static str> {
        match self {
            Self::Integer(number) if range.contains(number) => Ok(*number),
            Self::Integer(_) | Self::Huge(_) => Err("out of range"),
            _ => Err("not an integer"),
        }
    }

    /// The number, with a point or without.
    pub(super) fn float(&self) -> Result<f64, &'static str> {
        match self {
            Self::Float(number) => Ok(*number),
            // One that no `f64` has exactly is far out of any range.
            Self::Integer(number) => i32::try_from(*number).map(f64::from).map_err(|_| "out of range"),
            Self::Huge(_) => Err("out of range"),
            _ => Err("not a number"),
        }
    }

    /// Whether it is so.
    pub(super) fn bool(&self) -> Result<bool, &'static str> {
        if let Self::Bool(whether) = self { Ok(*whether) } else { Err("neither `true` nor `false`") }
    }
}

impl From<&str> for RawValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for RawValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for RawValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for RawValue {
    fn from(whether: bool) -> Self {
        Self::Bool(whether)
    }
}

impl From<[RawValue; 0]> for RawValue {
    fn from(_: [RawValue; 0]) -> Self {
        Self::List(Vec::new())
    }
}

/// Values of types that no key has keep only the name of their type.
impl From<&DeValue<'_>> for RawValue {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or_else(|_| Self::Huge(digits.to_string()), Self::Integer),
            DeValue::Float(digits) => digits.as_str().parse().map_or(Self::Other("a float"), Self::Float),
            DeValue::Boolean(whether) => Self::Bool(*whether),
            DeValue::Datetime(_) => Self::Other("a date or time"),
            DeValue::Array(_) => Self::Other("an array"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

/// A character in the form of a TOML string.
fn escape(letter: char) -> String {
    match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\n' => "\\n".to_owned(),
        _ if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        _ => letter.to_string(),
    }
}

/// Section and last part of a name.
pub(super) fn leaf(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}
