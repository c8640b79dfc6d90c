//! The environment: variables that set keys, folder and profile.

use std::path::{Path, PathBuf};

use super::{
    fault::{Fault, FaultKind, SourceLocation},
    layer::{Entry, Layer},
    list,
    raw_value::RawValue,
    section::Key,
    service_links::is_service_link,
};
use crate::domain::nearest;

/// The default folder of settings, if the working directory has none.
pub const SYSTEM_FOLDER: &str = "/etc/acgs";

/// Variables with the prefix that are not keys.
const NOT_KEYS: [&str; 2] = ["ACGS_PROFILE", "ACGS_SETTINGS"];

/// The environment of this process, for [`super::Settings::load`].
///
/// Variables that are not Unicode are converted lossily, and refused later if they are the value of a key.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

/// The settings folder: `--settings`, else `$ACGS_SETTINGS`, else `./settings` if there is one, else `/etc/acgs`.
#[must_use]
pub fn folder(flag: Option<PathBuf>, env: impl IntoIterator<Item = (String, String)>) -> PathBuf {
    flag.or_else(|| value_of("ACGS_SETTINGS", env).map(PathBuf::from)).unwrap_or_else(|| {
        let here = Path::new("settings");
        if here.is_dir() { here.to_owned() } else { SYSTEM_FOLDER.into() }
    })
}

/// The profile: `--profile`, else `$ACGS_PROFILE`, else none.
#[must_use]
pub fn profile(flag: Option<String>, env: impl IntoIterator<Item = (String, String)>) -> Option<String> {
    flag.or_else(|| value_of("ACGS_PROFILE", env))
}

/// The value of one variable; an empty one counts as absent.
pub(super) fn value_of(name: &str, env: impl IntoIterator<Item = (String, String)>) -> Option<String> {
    env.into_iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value)
}

/// The layer of the environment.
pub(super) fn read(keys: &[Key], env: &[(String, String)], faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::new("environment".to_owned());
    let mut ours: Vec<_> = ours(env).collect();
    ours.sort();
    for (name, value) in ours {
        let place = SourceLocation::Variable(name.clone());
        let Some(key) = keys.iter().find(|key| key.variable() == *name) else {
            if !is_service_link(name, value) {
                faults.push(unknown(keys, name, place));
            }
            continue;
        };
        match to_written(key, value, &place) {
            Ok(written) => layer.insert(key.name, Entry { value: written, place }),
            Err(found) => faults.extend(found),
        }
    }
    layer
}

/// The names of the service links among the variables with the daemon's prefix, sorted.
pub(super) fn service_links(keys: &[Key], env: &[(String, String)]) -> Vec<String> {
    let is_key = |name: &String| keys.iter().any(|key| key.variable() == *name);
    let ignored = ours(env).filter(|(name, value)| is_service_link(name, value) && !is_key(name));
    let mut names: Vec<String> = ignored.map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

fn ours(env: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    env.iter().filter(|(name, _)| name.starts_with("ACGS_") && !NOT_KEYS.contains(&name.as_str()))
}

/// The value as the type of its key: a list is TOML; other text stays text, as a hash may be all digits.
pub(super) fn to_written(key: &Key, value: &str, place: &SourceLocation) -> Result<RawValue, Vec<Fault>> {
    if key.list.is_some() {
        return list::parse(key, value, place);
    }
    let written = match key.default {
        Some(RawValue::Integer(_)) => to_number(value),
        Some(RawValue::Float(_)) => value.parse().map_or_else(|_| RawValue::from(value), RawValue::Float),
        Some(RawValue::Bool(_)) => value.parse().map_or_else(|_| RawValue::from(value), RawValue::Bool),
        _ => RawValue::from(value),
    };
    match Fault::of_value(key, &written, place.clone()) {
        Some(fault) => Err(vec![fault]),
        None => Ok(written),
    }
}

fn to_number(value: &str) -> RawValue {
    let is_integer = value.strip_prefix(['-', '+']).unwrap_or(value).bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) => RawValue::Integer(number),
        Err(_) if is_integer && value.len() > 1 => RawValue::Huge(value.to_owned()),
        Err(_) => RawValue::from(value),
    }
}

fn unknown(keys: &[Key], name: &str, place: SourceLocation) -> Fault {
    let variables: Vec<String> = keys.iter().map(Key::variable).collect();
    let candidates = || variables.iter().map(String::as_str).chain(NOT_KEYS);
    // The prefix is right already; it must not make strangers look near.
    let rest = |variable: &'_ str| variable.strip_prefix("ACGS_").unwrap_or_default().to_owned();
    let rests: Vec<String> = candidates().map(rest).collect();
    let suggestion = nearest(&rest(name), rests.iter().map(String::as_str))
        .map(|near| format!("ACGS_{near}"))
        // A key without its section, if only one has that name.
        .or_else(|| {
            let ending = format!("__{}", rest(name).trim_start_matches('_'));
            let mut found = variables.iter().filter(|variable| variable.ends_with(&ending));
            found.next().filter(|_| found.next().is_none()).cloned()
        });
    let key = keys.iter().find(|key| Some(key.variable()) == suggestion).map(|key| key.name.to_owned());
    let allowed = "`ACGS_` and a key in capitals with `__` for each dot, like `ACGS_HTTP__BIND` for `http.bind`";
    Fault {
        wrong: FaultKind::UnknownVariable(name.to_owned()),
        place,
        key,
        allowed: Some(allowed.to_owned()),
        suggestion,
    }
}
