//! How much is logged.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::rule::TextSetting;

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// A level, or a list of directives like `info,acgs::http=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The filter for the subscriber.
    ///
    /// Malformed HTTP is the client's fault, and answered with 400: it is not logged as an error of the daemon, since
    /// any client could fill the log with it. A directive for that target turns it on again.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!("actix_http::h1=off,{}", self.0))
    }

    /// The directives as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error says what is wrong, and what is allowed.
impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text)
            .map_err(|wrong| format!("`{}` is {wrong}; allowed are {}", text.escape_debug(), Self::allowed()))
    }
}

impl TextSetting for LogLevel {
    const CHOICES: &'static [&'static str] = LEVELS;

    fn allowed() -> String {
        "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives like `info,acgs::http=debug`".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        // A word that is no level would be taken for a target, and everything else go silent.
        let is_level = |directive: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(directive.trim()));
        let mut bare = text.split(',').filter(|directive| !directive.contains(['=', '[']));
        if text.trim().is_empty() || bare.any(|directive| !is_level(directive)) {
            return Err("not a log level");
        }
        EnvFilter::builder().parse(text).map_err(|_| "not a log level")?;
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_not_taken_for_a_target() {
        for text in ["info", "INFO", "off", "info,acgs::http=debug", "acgs=trace", "warn,[request{id=1}]=debug"] {
            assert_eq!(LogLevel::read(text).map(|level| level.write()), Ok(text.to_owned()));
        }
        for text in
            ["", " ", "inof", "info,acgs", "inof,[request]=debug", "acgs=loud", "info,", "[{=info", "info;debug"]
        {
            assert_eq!(LogLevel::read(text), Err("not a log level"), "{text}");
        }
    }
}
