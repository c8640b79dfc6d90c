//! Faults of the settings, with their places.

use std::{fmt, ops::Range, path::PathBuf};

use super::hidden::without_password;

/// The kind of a fault. Values are shown as TOML, and never with a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A file or folder cannot be read.
    #[error("cannot read the settings: {0}")]
    Unreadable(String),
    /// The folder that was named is not there.
    #[error("there is no such settings folder")]
    NoFolder,
    /// The profile that was named has no file.
    #[error("the profile `{0}` has no file")]
    NoProfile(String),
    /// The profile's name cannot be the name of a file of its own.
    #[error("`{0}` cannot be the name of a profile")]
    ProfileName(String),
    /// A file is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that does not exist.
    #[error("`{0}` is not a key")]
    UnknownKey(String),
    /// A key of the top level in a section.
    #[error("`{key}` stands below `[{section}]`; move it above the first section")]
    Misplaced {
        /// The key.
        key: String,
        /// The section.
        section: String,
    },
    /// A table that does not exist.
    #[error("`{0}` is not a section")]
    UnknownSection(String),
    /// A variable that sets no key.
    #[error("`{0}` is not the variable of a key")]
    UnknownVariable(String),
    /// A value where a table belongs.
    #[error("`{0}` is a section, not a key")]
    NotASection(String),
    /// A key that a table of a list must have.
    #[error("`{0}` is missing")]
    Missing(String),
    /// Something in a list that does not belong there.
    #[error("`{key}` has {value} in it, {why}")]
    Item {
        /// The key of the list.
        key: String,
        /// The value as TOML in backticks, or the name of its type.
        value: String,
        /// The expectation that it does not meet.
        why: &'static str,
    },
    /// A file with a secret that cannot be used. Its contents are not shown.
    #[error("`{key}` names `{}`, {why}", .path.display())]
    Secret {
        /// The key that names it, or the credential.
        key: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// A value that its key does not take.
    #[error("`{key}` is {value}, {why}")]
    Value {
        /// The key.
        key: String,
        /// Its value as TOML in backticks, or the name of its type.
        value: String,
        /// The expectation that it does not meet.
        why: &'static str,
    },
    /// Two values that do not go together.
    #[error("`{key}` is `{value}`, but `{other}` is `{other_value}` ({other_origin})")]
    Conflict {
        /// The key at whose place the fault is reported.
        key: String,
        /// Its value as TOML.
        value: String,
        /// The other key.
        other: String,
        /// The other key's value as TOML.
        other_value: String,
        /// Where the other value came from.
        other_origin: String,
    },
}

/// The place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// Nowhere: it is built in.
    Default,
    /// A file or a folder as a whole.
    Path(PathBuf),
    /// In a file.
    Span(Span),
    /// In the environment variable of this name.
    Variable(String),
    /// The command line or `ACGS_PROFILE`.
    Profile,
}

impl SourceLocation {
    /// In short: `default`, `default.toml:12` or `ACGS_HTTP__BIND`.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::Span(span) => {
                format!("{}:{}", span.file.file_name().unwrap_or(span.file.as_os_str()).display(), span.line)
            }
            Self::Variable(name) => name.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Span(Span { file, line, column, .. }) => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Profile => f.write_str("--profile or ACGS_PROFILE"),
        }
    }
}

/// A piece of a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: PathBuf,
    /// Its line; the first is 1.
    pub line: usize,
    /// The character in the line; the first is 1.
    pub column: usize,
    /// How many characters, at least 1.
    pub width: usize,
    /// The number of characters of `source` before it.
    pub indent: usize,
    /// The whole line, without a password and control characters.
    pub source: String,
}

impl Span {
    /// The place of some bytes of a file's text; only the first line is shown.
    pub(super) fn new(file: PathBuf, text: &str, bytes: &Range<usize>) -> Self {
        let before = text.get(..bytes.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let before_it = before.get(line_start..).unwrap_or_default();
        let marked = text.get(bytes.clone()).and_then(|rest| rest.lines().next()).unwrap_or_default();
        Self {
            file,
            line: before.matches('\n').count() + 1,
            column: before_it.chars().count() + 1,
            width: without_password(marked).chars().count().max(1),
            indent: without_password(before_it).chars().count(),
            source: without_password(line).replace(is_unprintable, "\u{fffd}"),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of the fault.
    pub wrong: FaultKind,
    /// Where.
    pub place: SourceLocation,
    /// The key or section that is meant, as far as that is known.
    pub key: Option<String>,
    /// The allowed values.
    pub allowed: Option<String>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl Fault {
    /// A fault of a place as a whole.
    pub(super) fn at(place: SourceLocation, wrong: FaultKind) -> Self {
        Self { wrong, place, key: None, allowed: None, suggestion: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.wrong)?;
        let gutter = if let SourceLocation::Span(span) = &self.place { span.line.to_string().len() } else { 1 };
        write!(f, "\n{:gutter$}--> {}", "", self.place)?;
        if let SourceLocation::Span(Span { line, width, indent, source, .. }) = &self.place {
            // Tabs stay tabs, so that the caret is below its place however wide they are shown.
            let indent: String = source.chars().take(*indent).map(|c| if c == '\t' { c } else { ' ' }).collect();
            let carets = "^".repeat(*width);
            write!(f, "\n{:gutter$} |\n{line} | {source}\n{:gutter$} | {indent}{carets}", "", "")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n{:gutter$} = help: did you mean `{suggestion}`?", "")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n{:gutter$} = allowed: {allowed}", "")?;
        }
        Ok(())
    }
}

/// All faults of the settings, at least one, file by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Nothing wrong, or all that is.
    pub(super) fn check(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The faults in the order of the layers.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Whether a character would do something to a terminal.
fn is_unprintable(letter: char) -> bool {
    letter.is_control() && letter != '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_keeps_tabs() {
        let text = "a = 1\n\té = \"x\u{1b}\ny\"\n";
        let start = text.find('"').unwrap();
        let span = Span::new("f.toml".into(), text, &(start..text.len() - 1));
        assert_eq!((span.line, span.column, span.width), (2, 6, 3));
        let fault = Fault::at(SourceLocation::Span(span), FaultKind::Syntax("bad".to_owned()));
        assert_eq!(fault.to_string(), "error: bad\n --> f.toml:2:6\n  |\n2 | \té = \"x\u{fffd}\n  | \t    ^^^");
    }
}
