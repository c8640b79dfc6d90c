//! Rules between two settings, each of which is fine by itself.

use std::os::unix::ffi::OsStrExt;

use super::{
    Bind, DatabaseUrl, DecisionAccess, Issuer, ProxyProtocol, Settings,
    fault::{Fault, FaultKind, SourceLocation},
    file::is_within,
    hidden::without_password,
    layer::Merged,
};

/// A setting that must be at least another.
struct AtLeast {
    larger: &'static str,
    smaller: &'static str,
    holds: fn(&Settings) -> bool,
    because: &'static str,
}

const RULES: [AtLeast; 7] = [
    AtLeast {
        larger: "audit.max_queue",
        smaller: "http.max_evaluations",
        holds: |settings| settings.audit.max_queue >= settings.http.max_evaluations,
        because: "the records of the largest request have to fit into the queue",
    },
    AtLeast {
        larger: "http.request_timeout_ms",
        smaller: "database.pool.acquire_timeout_ms",
        holds: |settings| settings.http.request_timeout >= settings.database.pool.acquire_timeout,
        because: "a request cannot wait for a connection longer than it may take",
    },
    AtLeast {
        larger: "http.request_timeout_ms",
        smaller: "audit.sync_interval_us",
        holds: |settings| settings.http.request_timeout >= settings.audit.sync_interval,
        because: "a decision is answered after the sync of its record",
    },
    AtLeast {
        larger: "http.shutdown_timeout_s",
        smaller: "http.request_timeout_ms",
        holds: |settings| settings.http.shutdown_timeout >= settings.http.request_timeout,
        because: "a request in flight has to finish before the daemon stops",
    },
    AtLeast {
        larger: "http.max_connections",
        smaller: "http.max_connections_per_address",
        holds: |settings| settings.http.max_connections >= settings.http.max_connections_per_address,
        because: "the connections of one address count in the total",
    },
    AtLeast {
        larger: "database.pool.size",
        smaller: "database.pool.min_idle",
        holds: |settings| settings.database.pool.size.get() >= settings.database.pool.min_idle,
        because: "the pool cannot keep more connections idle than it holds",
    },
    AtLeast {
        larger: "cache.l2.max_connections",
        smaller: "cache.l2.pool_size",
        holds: |settings| settings.cache.l2.max_connections >= settings.cache.l2.pool_size,
        because: "those that are kept are some of all",
    },
];

/// The longest path that the kernel takes for a socket, in bytes.
const SOCKET_PATH: usize = 107;

/// Every violated rule, except those about keys that already have faults.
pub(super) fn check(settings: &Settings, merged: &Merged, known: &[Fault]) -> Vec<Fault> {
    // A file that could not be read might have had the value that is missed here.
    if known.iter().any(|fault| fault.key.is_none() && !matches!(fault.wrong, FaultKind::UnknownVariable(_))) {
        return Vec::new();
    }
    let is_known = |key: &str| {
        let is_about = |about: &String| about == key || is_within(key, about);
        known.iter().any(|fault| fault.key.as_ref().is_some_and(is_about))
    };
    let mut faults: Vec<Fault> = RULES
        .iter()
        .filter(|rule| !is_known(rule.larger) && !is_known(rule.smaller) && !(rule.holds)(settings))
        .map(|rule| rule.fault(merged))
        .collect();
    if !is_known("data_dir") {
        faults.extend(unreadable_folder(settings, merged));
    }
    if !is_known("http.bind") {
        faults.extend(socket_path(settings, merged));
        if !is_known("auth.decisions") {
            faults.extend(open_to_others(settings, merged));
        }
        if !is_known("http.trusted_proxies") && !is_known("http.proxy_protocol") {
            faults.extend(protocol_of_nobody(settings, merged));
        }
    }
    if !is_known("database.replicas") && !is_known("database.url") {
        faults.extend(replicas_of_a_file(settings, merged));
    }
    if !is_known("monitor.alerts.webhook_url") && !is_known("monitor.alerts.webhook_key_file") {
        faults.extend(unsigned_webhook(settings, merged));
    }
    if !is_known("auth.issuers") {
        faults.extend(settings.auth.issuers.iter().filter_map(|issuer| keys_of(issuer, merged)));
    }
    faults
}

/// A data folder, from the working directory or `$STATE_DIRECTORY`, whose path is not UTF-8: SQLite would open another
/// one.
fn unreadable_folder(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let folder = &settings.data_dir;
    let is_text = folder.to_str().is_some_and(|path| !path.contains(char::REPLACEMENT_CHARACTER));
    (!is_text).then(|| Fault {
        wrong: FaultKind::Value {
            key: "data_dir".to_owned(),
            value: format!("`\"{}\"`", folder.display()),
            why: "not a path in UTF-8",
        },
        place: merged.place("data_dir"),
        key: Some("data_dir".to_owned()),
        allowed: Some("a folder whose absolute path is UTF-8".to_owned()),
        suggestion: None,
    })
}

/// A socket whose path the kernel does not take.
fn socket_path(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let Bind::Unix(path) = &settings.http.bind else { return None };
    (path.as_os_str().as_bytes().len() > SOCKET_PATH).then(|| Fault {
        wrong: FaultKind::Value {
            key: "http.bind".to_owned(),
            value: format!("`\"unix:{}\"`", path.display()),
            why: "too long for a socket",
        },
        place: merged.place("http.bind"),
        key: Some("http.bind".to_owned()),
        allowed: Some(format!("a path of at most {SOCKET_PATH} bytes, counted from the root")),
        suggestion: None,
    })
}

/// Decisions open to all callers, on an address that other hosts can reach.
fn open_to_others(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let is_open = settings.auth.decisions == DecisionAccess::Open && !settings.http.bind.is_local();
    let allowed = "`http.bind` on a loopback address or a Unix socket, or `auth.decisions = \"token\"`, because others \
                   can reach this address";
    is_open.then(|| conflict("http.bind", "auth.decisions", merged, allowed.to_owned()))
}

/// The PROXY protocol, which only trusted proxies may speak, on a listener to which no trusted proxy can connect.
fn protocol_of_nobody(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let http = &settings.http;
    let is_for_nobody = match http.bind {
        Bind::Tcp(_) => http.trusted_proxies.has_no_network(),
        Bind::Unix(_) => !http.trusted_proxies.contains_unix(),
    };
    let allowed = "`http.proxy_protocol = \"v2\"` only where `http.trusted_proxies` has the peers of `http.bind`: their \
                   networks, or `unix` for a Unix socket";
    (http.proxy_protocol == ProxyProtocol::V2 && is_for_nobody)
        .then(|| conflict("http.proxy_protocol", "http.trusted_proxies", merged, allowed.to_owned()))
}

/// Replicas of a database that can have none.
fn replicas_of_a_file(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let is_file = matches!(settings.database.url, DatabaseUrl::Sqlite(_));
    let allowed = "`database.replicas` only where `database.url` is PostgreSQL's";
    (is_file && !settings.database.replicas.is_empty())
        .then(|| conflict("database.replicas", "database.url", merged, allowed.to_owned()))
}

/// Alerts that would be posted without a signature.
fn unsigned_webhook(settings: &Settings, merged: &Merged) -> Option<Fault> {
    let alerts = &settings.monitor.alerts;
    let allowed = "`monitor.alerts.webhook_url` together with `monitor.alerts.webhook_key_file`, because posted alerts \
                   are signed";
    let url = alerts.webhook_url.as_ref().filter(|_| alerts.webhook_key_file.is_none())?;
    let mut fault =
        conflict("monitor.alerts.webhook_url", "monitor.alerts.webhook_key_file", merged, allowed.to_owned());
    if let FaultKind::Conflict { value, .. } = &mut fault.wrong {
        *value = format!("\"{url}\"");
    }
    Some(fault)
}

/// An issuer that has no keys, or keys in two places.
fn keys_of(issuer: &Issuer, merged: &Merged) -> Option<Fault> {
    const KEY: &str = "auth.issuers.jwks_url";
    let value = match (&issuer.jwks_url, &issuer.jwks_file) {
        (Some(_), None) | (None, Some(_)) => return None,
        (None, None) => None,
        (Some(url), Some(file)) => Some((url, file)),
    };
    // Places are known of whole lists only.
    let place = merged.place("auth.issuers");
    let wrong = match value {
        None => FaultKind::Missing(KEY.to_owned()),
        Some((url, file)) => FaultKind::Conflict {
            key: KEY.to_owned(),
            value: format!("\"{url}\""),
            other: "auth.issuers.jwks_file".to_owned(),
            other_value: format!("\"{}\"", file.display()),
            other_origin: place.origin(),
        },
    };
    let allowed = format!("either `jwks_url` or `jwks_file` for the issuer `{}`", issuer.issuer);
    Some(Fault { wrong, place, key: Some(KEY.to_owned()), allowed: Some(allowed), suggestion: None })
}

/// Two values that do not go together, reported at the first.
fn conflict(key: &str, other: &str, merged: &Merged, allowed: String) -> Fault {
    let value = |key| merged.value(key).map(|written| without_password(&written.to_toml())).unwrap_or_default();
    Fault {
        wrong: FaultKind::Conflict {
            key: key.to_owned(),
            value: value(key),
            other: other.to_owned(),
            other_value: value(other),
            other_origin: merged.place(other).origin(),
        },
        place: merged.place(key),
        key: Some(key.to_owned()),
        allowed: Some(allowed),
        suggestion: None,
    }
}

impl AtLeast {
    fn fault(&self, merged: &Merged) -> Fault {
        // The caret must point to a line of a file, not to a default.
        let (key, other) = if merged.place(self.larger) == SourceLocation::Default {
            (self.smaller, self.larger)
        } else {
            (self.larger, self.smaller)
        };
        let allowed = format!("`{}` at least `{}`, because {}", self.larger, self.smaller, self.because);
        conflict(key, other, merged, allowed)
    }
}
