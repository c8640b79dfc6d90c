//! `acgs log-level`: how much the running daemon logs.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{Answer, Ask, running};
use super::print_line;
use crate::daemon::Source;

/// Shows the level of the running daemon, or changes it, for so many seconds if they are given. Exits with 0, or 1 if
/// it refuses or no daemon runs.
pub(super) fn run(source: &Source, level: Option<&str>, seconds: Option<u64>) -> ExitCode {
    let ask = match level {
        None => Ask::get("/v1/log-level"),
        Some(level) => Ask::put("/v1/log-level", json!({"level": level, "for_s": seconds})),
    };
    running(source, &ask, Answer::refusal, |answer| {
        let told = answer.json();
        let text = |member: &str| told.get(member).and_then(Value::as_str);
        let (level, setting) = (text("level").unwrap_or_default(), text("setting").unwrap_or_default());
        print_line(&match text("until") {
            Some(until) => format!("{level} until {until}, then {setting}"),
            None if level == setting => level.to_owned(),
            None => format!("{level} until a reload or a restart, then {setting}"),
        });
    })
}

/// A time such as `90s`, `10m`, `2h` or `1d`, in seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a time such as `90s`, `10m`, `2h` or `1d`");
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(number.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        for (text, expected) in [("90s", Some(90)), ("10m", Some(600)), ("2h", Some(7_200)), ("1d", Some(86_400))] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for text in ["", "10", "m", "1.5h", "-1s", "10min", "10 m", "99999999999999999999d", "9999999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
