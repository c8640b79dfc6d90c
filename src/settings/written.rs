//! A value between a file or a variable and its key.

use std::ops::RangeInclusive;

use toml::de::DeValue;

/// A value as it stands in a file or in a variable, before it is known to be any good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Digits that no whole number of 64 bits can hold.
    Huge(String),
    /// Anything else; no key takes it. Its name has an article.
    Other(&'static str),
}

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
            Self::Other(name) => (*name).to_owned(),
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
            Self::Text(_) | Self::Other(_) => Err("not an integer"),
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
