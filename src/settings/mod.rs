//! Settings: TOML and environment into checked structs.
//!
//! The layers, each overriding those before it: built-in defaults, `default.toml`, `<profile>.toml`, `local.toml`,
//! systemd credentials, and variables like `ACGS_HTTP__BIND`. Each is validated alone, so that a fault has a place even
//! if a later layer would have hidden it; then they are merged, and the rules between settings are checked. All faults
//! are reported at once.

mod address;
mod algorithm;
mod authority;
mod choice;
mod conflict;
mod fault;
mod file;
mod hidden;
mod hosts;
mod issuer;
mod keys;
mod layer;
mod list;
mod log_level;
mod networks;
mod origin;
mod percent;
mod postgres_url;
mod proxies;
mod raw_value;
mod redis_url;
mod rule;
mod secret;
mod section;
mod service_links;
#[cfg(test)]
mod tests;
mod urls;
mod variables;
mod witness;

use std::{
    collections::BTreeMap,
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

pub use self::{
    address::{Bind, DatabaseUrl, HttpUrl},
    algorithm::Algorithm,
    choice::{DecisionAccess, Durability, HashEnforcement, LogFormat, ProxyProtocol, RequestProperties, RequestRecord},
    fault::{Fault, FaultKind, Faults, SourceLocation, Span},
    hosts::{HostNames, Origins},
    issuer::{ClaimText, Issuer, IssuerUrl},
    keys::{
        Alerts, ApplicationTier, Audit, Auth, Cache, Constitution, Database, Http, Log, Monitor, Pool, RequestTier,
        ServiceTier, Settings,
    },
    log_level::LogLevel,
    networks::{Networks, NetworksError},
    origin::LogOrigin,
    percent::Percent,
    postgres_url::PostgresUrl,
    proxies::TrustedProxies,
    redis_url::{RedisKind, RedisUrl},
    variables::{SYSTEM_FOLDER, environment, folder, profile},
    witness::{Witness, WitnessKey},
};
use self::{
    layer::{Entry, Layer, Merged},
    raw_value::RawValue,
    secret::Presence,
    section::{Key, Section},
};
use crate::domain::nearest;

/// Files that are read whatever the profile; neither can be one.
const LAYERS: [&str; 2] = ["default", "local"];

/// Settings, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every key, in order.
    pub origins: Vec<Origin>,
    /// Environment variables that Kubernetes sets for a service with the daemon's name. They set nothing.
    pub service_links: Vec<String>,
}

impl Loaded {
    /// A one-line notice about ignored environment variables, if there are any.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let first = self.service_links.first()?;
        let others = match self.service_links.len() - 1 {
            0 => "it sets".to_owned(),
            others => format!("it and {others} more set"),
        };
        Some(format!(
            "ignored the environment variable `{first}`, which Kubernetes sets for a service: {others} nothing here; \
             `enableServiceLinks: false` in the pod's specification turns them off"
        ))
    }
}

/// One setting and where it came from. As text: `http.bind = "127.0.0.1:80" # default.toml:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The full name of the key, like `http.bind`.
    pub key: &'static str,
    /// The value in force, as TOML, with `***` for a password.
    pub value: String,
    /// Where it came from.
    pub place: SourceLocation,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} # {}", self.key, self.value, self.place.origin())
    }
}

impl Settings {
    /// Reads a settings folder and the environment.
    ///
    /// A missing `default.toml` or `local.toml` is fine, since every key has a default; so is a missing
    /// [`SYSTEM_FOLDER`]. Any other missing folder was named by somebody, and is a fault, as is a profile without a
    /// file. Relative paths become absolute, starting at the folder, or, for `data_dir`, at the working directory.
    ///
    /// # Errors
    /// Every fault of every layer.
    pub fn load(
        folder: &Path,
        profile: Option<&str>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Faults> {
        Self::load_with(Presence::Required, folder, profile, &env.collect::<Vec<_>>())
    }

    /// As [`Self::load`], where nothing will be connected to: a secret's file that is not there, or is not for whoever
    /// asks, is left out, and its key keeps the value that it has without it.
    ///
    /// # Errors
    /// Every other fault of every layer.
    pub fn load_offline(
        folder: &Path,
        profile: Option<&str>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Faults> {
        Self::load_with(Presence::Optional, folder, profile, &env.collect::<Vec<_>>())
    }

    fn load_with(
        secrets: Presence,
        folder: &Path,
        profile: Option<&str>,
        env: &[(String, String)],
    ) -> Result<Loaded, Faults> {
        let keys = keys::keys();
        let mut faults = Vec::new();
        let layers = read_layers(&keys, folder, profile, env, &mut faults);
        let mut merged = match Merged::new(&keys, &layers) {
            Ok(merged) => merged,
            Err(error) => return Err(one(folder, error.to_string(), faults)),
        };
        let left_out = secret::fill(&keys, folder, secrets, &mut merged, &mut faults);
        let mut settings = match Self::read(&|key| merged.value(key)) {
            Ok(settings) => settings,
            Err((key, wrong)) => return Err(one(folder, format!("`{key}` is {wrong}"), faults)),
        };
        settings.complete(folder, env, &mut merged);
        faults.extend(conflict::check(&settings, &merged, &[faults.as_slice(), &left_out].concat()));
        Faults::check(faults)?;
        let origin = |(key, value)| Origin { key, value, place: merged.place(key) };
        let origins = settings.values().into_iter().map(origin).collect();
        Ok(Loaded { settings, origins, service_links: variables::service_links(&keys, env) })
    }

    /// The keys that have another value in `new` and are only looked at when the daemon starts.
    ///
    /// Everything about the constitution and `log.level` can change while it runs.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let is_live = |key: &str| key.starts_with("constitution.") || key == "log.level";
        let new: BTreeMap<_, _> = new.written().into_iter().collect();
        let changed = |(key, value): (_, RawValue)| (new.get(key) != Some(&value)).then_some(key);
        self.written().into_iter().filter_map(changed).filter(|key| !is_live(key)).collect()
    }

    /// Every key with its value, in order, with what is secret.
    fn written(&self) -> Vec<(&'static str, RawValue)> {
        let mut values = Vec::new();
        self.write(&mut values);
        values
    }

    /// Every key with its value as TOML, in order. Instead of a password there is `***`.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, String)> {
        let mut values = Vec::new();
        self.show(&mut values);
        values.into_iter().map(|(key, written)| (key, written.to_toml())).collect()
    }

    /// Makes paths absolute, and fills in an empty `data_dir`.
    fn complete(&mut self, folder: &Path, env: &[(String, String)], merged: &mut Merged) {
        // Without a working directory relative paths stay as they are.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if self.data_dir.as_os_str().is_empty() {
            // Systemd separates several state directories by colons; the first one is ours.
            let state = variables::value_of("STATE_DIRECTORY", env.iter().cloned());
            let state = state.as_deref().and_then(|list| list.split(':').next()).filter(|path| !path.is_empty());
            self.data_dir = PathBuf::from(state.unwrap_or("data"));
            if let Some(state) = state {
                let place = SourceLocation::Variable("STATE_DIRECTORY".to_owned());
                merged.replace("data_dir", Entry { value: RawValue::from(state), place });
            }
        }
        self.data_dir = absolute(&self.data_dir);
        if let DatabaseUrl::Sqlite(database) = &mut self.database.url {
            *database = self.data_dir.join(&*database);
        }
        self.constitution.path = absolute(&folder.join(&self.constitution.path));
        if let Bind::Unix(socket) = &mut self.http.bind {
            *socket = absolute(&folder.join(&*socket));
        }
        let secrets = [&mut self.database.url_file, &mut self.database.replicas_file, &mut self.cache.l2.url_file];
        let issuers = self.auth.issuers.iter_mut().map(|issuer| &mut issuer.jwks_file);
        for file in secrets.into_iter().chain(issuers).flatten() {
            *file = absolute(&folder.join(&*file));
        }
    }
}

/// The settings as a TOML file that gives the same settings in any folder, except for passwords. A value that came from
/// a file of its own is a comment, and is read from that file again.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        let values = self.values();
        for (key, value) in &values {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            if section != last {
                writeln!(f, "\n[{section}]")?;
            }
            let comment = if secret::is_from_file(key, &values) { "#" } else { "" };
            writeln!(f, "{comment}{name} = {value}")?;
            last = section;
        }
        Ok(())
    }
}

fn read_layers(
    keys: &[Key],
    folder: &Path,
    profile: Option<&str>,
    env: &[(String, String)],
    faults: &mut Vec<Fault>,
) -> Vec<Layer> {
    let mut layers = vec![Layer::defaults(keys)];
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => {
            layers.extend(file::read(keys, &folder.join("default.toml"), faults));
            layers.extend(profile.and_then(|profile| read_profile(keys, folder, profile, faults)));
            layers.extend(file::read(keys, &folder.join("local.toml"), faults));
        }
        // Nobody named it, so nothing is missing, unless a profile should be in it.
        Err(error) if error.kind() == ErrorKind::NotFound && folder == Path::new(SYSTEM_FOLDER) => {
            layers.extend(profile.and_then(|profile| read_profile(keys, folder, profile, faults)));
        }
        other => {
            let wrong = match other {
                Ok(_) => FaultKind::NoFolder,
                Err(error) if error.kind() == ErrorKind::NotFound => FaultKind::NoFolder,
                Err(error) => FaultKind::Unreadable(error.to_string()),
            };
            faults.push(Fault::at(SourceLocation::Path(folder.to_owned()), wrong));
        }
    }
    layers.push(secret::credentials(env));
    layers.push(variables::read(keys, env, faults));
    layers
}

fn read_profile(keys: &[Key], folder: &Path, profile: &str, faults: &mut Vec<Fault>) -> Option<Layer> {
    let is_name = !profile.is_empty() && profile.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_name || LAYERS.contains(&profile) {
        let allowed = "letters, digits, `-` and `_`, and neither `default` nor `local`".to_owned();
        let fault = Fault::at(SourceLocation::Profile, FaultKind::ProfileName(profile.to_owned()));
        faults.push(Fault { allowed: Some(allowed), ..fault });
        return None;
    }
    let path = folder.join(format!("{profile}.toml"));
    let layer = file::read(keys, &path, faults);
    if layer.is_none() {
        let fault = Fault::at(SourceLocation::Path(path), FaultKind::NoProfile(profile.to_owned()));
        let profiles = profiles(folder);
        let suggestion = nearest(profile, profiles.iter().map(String::as_str)).map(str::to_owned);
        faults.push(Fault { suggestion, ..fault });
    }
    layer
}

/// The profiles that have a file.
fn profiles(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| !LAYERS.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// All faults and one that is nobody's but the program's.
fn one(folder: &Path, wrong: String, mut faults: Vec<Fault>) -> Faults {
    faults.push(Fault::at(SourceLocation::Path(folder.to_owned()), FaultKind::Unreadable(wrong)));
    Faults::from(faults)
}
