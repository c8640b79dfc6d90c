//! A value between a file or a variable and its key.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::{fault::without_password, section::leaf};

/// A value as it stands in a file or in a variable, before it is known to be any good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Digits that no whole number of 64 bits can hold.
    Huge(String),
    /// A list of tables, each with the full names of its keys.
    Tables(Vec<Row>),
    /// Anything else; no key takes it. Its name has an article.
    Other(&'static str),
}

/// The values of one table of a list, in the order of the keys.
pub(super) type Row = Vec<(&'static str, Written)>;

impl Written {
    /// The value as TOML; for what no key takes, its name.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => {
                // Always on one line, so that a message is too.
                let escaped: String = text.chars().map(escape).collect();
                format!("\"{escaped}\"")
            }
            Self::Integer(number) => number.to_string(),
            Self::Huge(digits) => digits.clone(),
            Self::Tables(rows) => {
                let member = |(name, value): &(&str, Self)| format!("{} = {}", leaf(name).1, value.to_toml());
                let table = |row: &Row| format!("{{ {} }}", row.iter().map(member).collect::<Vec<_>>().join(", "));
                format!("[{}]", rows.iter().map(table).collect::<Vec<_>>().join(", "))
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
            Self::Text(_) | Self::Tables(_) | Self::Other(_) => Err("not an integer"),
        }
    }
}

impl From<&str> for Written {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Written {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<[Row; 0]> for Written {
    fn from(_: [Row; 0]) -> Self {
        Self::Tables(Vec::new())
    }
}

/// What no key takes keeps only the name of its type.
impl From<&DeValue<'_>> for Written {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or_else(|_| Self::Huge(digits.to_string()), Self::Integer),
            DeValue::Float(_) => Self::Other("a float"),
            DeValue::Boolean(_) => Self::Other("a boolean"),
            DeValue::Datetime(_) => Self::Other("a date or time"),
            DeValue::Array(_) => Self::Other("an array"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

/// A character as it stands in a TOML string.
fn escape(letter: char) -> String {
    match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\n' => "\\n".to_owned(),
        _ if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        _ => letter.to_string(),
    }
}
