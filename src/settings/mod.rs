//! Reads TOML files, systemd credentials and environment variables into validated structs.
//!
//! The layers, each overriding those before it: built-in defaults, `default.toml`, `<profile>.toml`, `local.toml`,
//! systemd credentials, and variables like `ACGS_HTTP__BIND`. Each layer is validated before they are merged, so that
//! a value is reported at its place even if a later layer overrides it. Rules between settings are checked after that.
//! All faults are reported at once.

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
mod reach;
mod redis_url;
mod rule;
mod secret;
mod section;
mod service_links;
#[cfg(test)]
mod tests;
mod urls;
mod variables;
mod webhook_url;
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
    choice::{
        Archiving, DashboardAccess, DecisionAccess, Durability, HashEnforcement, LogFormat, MetricsAccess,
        ProxyProtocol, RequestProperties, RequestRecord,
    },
    fault::{Fault, FaultKind, Faults, SourceLocation, Span},
    hosts::{HostNames, Origins},
    issuer::{ClaimText, Issuer, IssuerUrl},
    keys::{
        Alerts, ApplicationTier, Audit, Auth, Cache, Constitution, Database, Http, Log, Monitor, Pool, RequestTier,
        ServiceTier, Settings, Trace,
    },
    log_level::LogLevel,
    networks::{Networks, NetworksError},
    origin::LogOrigin,
    percent::Percent,
    postgres_url::PostgresUrl,
    proxies::TrustedProxies,
    redis_url::{RedisKind, RedisUrl},
    secret::{SecretFileError, read_secret},
    variables::{SYSTEM_FOLDER, environment, folder, profile},
    webhook_url::WebhookUrl,
    witness::{Witness, WitnessKey},
};
use self::{
    layer::{Entry, Layer, Merged},
    raw_value::RawValue,
    secret::Presence,
    section::{Key, Section},
};
use crate::domain::nearest;

/// Names that no profile can have: these files are read with every profile.
const RESERVED: [&str; 2] = ["default", "local"];

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
        let (first, others) = self.service_links.split_first()?;
        let they_set = match others.len() {
            0 => "it sets".to_owned(),
            count => format!("it and {count} more set"),
        };
        Some(format!(
            "ignored the environment variable `{first}`, which Kubernetes sets for a service: {they_set} nothing here; \
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

    /// Like [`Self::load`], for commands that connect to nothing: a secret file that is missing, or that this user may
    /// not read, is no fault, and its key keeps the value that it has without the file.
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
            Err(error) => return Err(internal(folder, error.to_string(), faults)),
        };
        let left_out = secret::fill(&keys, folder, secrets, &mut merged, &mut faults);
        let mut settings = match Self::read(&|key| merged.value(key)) {
            Ok(settings) => settings,
            Err((key, wrong)) => return Err(internal(folder, format!("`{key}` is {wrong}"), faults)),
        };
        settings.fill_data_dir(env, &mut merged);
        settings.make_paths_absolute(folder);
        // A secret that was left out is no fault, but the rules about its key cannot be checked.
        let known = [faults.as_slice(), &left_out].concat();
        faults.extend(conflict::check(&settings, &merged, &known));
        Faults::check(faults)?;
        let origin = |(key, value)| Origin { key, value, place: merged.place(key) };
        let origins = settings.values().into_iter().map(origin).collect();
        Ok(Loaded { settings, origins, service_links: variables::service_links(&keys, env) })
    }

    /// The keys with another value in `new` that take effect only after a restart.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let new: BTreeMap<_, _> = new.values_with_secrets().into_iter().collect();
        let changed = self.values_with_secrets().into_iter().filter(|(key, value)| new.get(key) != Some(value));
        changed.map(|(key, _)| key).filter(|key| !is_live(key)).collect()
    }

    /// Every key with its value, in order, including secrets.
    fn values_with_secrets(&self) -> Vec<(&'static str, RawValue)> {
        let mut values = Vec::new();
        self.write(&mut values);
        values
    }

    /// Every key with its value as TOML, in order, with `***` for passwords.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, String)> {
        let mut values = Vec::new();
        self.show(&mut values);
        values.into_iter().map(|(key, written)| (key, written.to_toml())).collect()
    }

    /// Sets an empty `data_dir` to systemd's state directory, or else to `data`.
    fn fill_data_dir(&mut self, env: &[(String, String)], merged: &mut Merged) {
        if !self.data_dir.as_os_str().is_empty() {
            return;
        }
        // Systemd separates several state directories by colons; the first one is ours.
        let state = variables::value_of("STATE_DIRECTORY", env.iter().cloned());
        let state = state.as_deref().and_then(|list| list.split(':').next()).filter(|path| !path.is_empty());
        self.data_dir = PathBuf::from(state.unwrap_or("data"));
        if let Some(state) = state {
            let place = SourceLocation::Variable("STATE_DIRECTORY".to_owned());
            merged.replace("data_dir", Entry { value: RawValue::from(state), place });
        }
    }

    /// Resolves relative paths: `data_dir` from the working directory, the database file from `data_dir`, and all
    /// others from the settings folder.
    fn make_paths_absolute(&mut self, folder: &Path) {
        // Without a working directory relative paths stay as they are.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.data_dir = absolute(&self.data_dir);
        if let DatabaseUrl::Sqlite(database) = &mut self.database.url {
            *database = self.data_dir.join(&*database);
        }
        self.constitution.path = absolute(&folder.join(&self.constitution.path));
        if let Bind::Unix(socket) = &mut self.http.bind {
            *socket = absolute(&folder.join(&*socket));
        }
        let secrets = [
            &mut self.database.url_file,
            &mut self.database.replicas_file,
            &mut self.cache.l2.url_file,
            &mut self.monitor.alerts.webhook_key_file,
        ];
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

/// Whether a reload applies the key.
fn is_live(key: &str) -> bool {
    key.starts_with("constitution.") || key == "log.level"
}

/// Reads all layers, the lowest first.
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
        // Nobody named the default folder, so it may be missing, unless a profile was named.
        Err(error) if error.kind() == ErrorKind::NotFound && folder == Path::new(SYSTEM_FOLDER) => {
            layers.extend(profile.and_then(|profile| read_profile(keys, folder, profile, faults)));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            faults.push(Fault::at(SourceLocation::Path(folder.to_owned()), FaultKind::Unreadable(error.to_string())));
        }
        // Missing, or not a folder.
        _ => faults.push(Fault::at(SourceLocation::Path(folder.to_owned()), FaultKind::NoFolder)),
    }
    layers.push(secret::credentials(env));
    layers.push(variables::read(keys, env, faults));
    layers
}

fn read_profile(keys: &[Key], folder: &Path, profile: &str, faults: &mut Vec<Fault>) -> Option<Layer> {
    let is_name = !profile.is_empty() && profile.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_name || RESERVED.contains(&profile) {
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
        .filter(|name| !RESERVED.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// Adds a fault of the program itself: valid layers that cannot be merged, or a merged value that cannot be read.
fn internal(folder: &Path, wrong: String, mut faults: Vec<Fault>) -> Faults {
    faults.push(Fault::at(SourceLocation::Path(folder.to_owned()), FaultKind::Unreadable(wrong)));
    Faults::from(faults)
}
