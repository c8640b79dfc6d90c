//! Rules between two settings, each of which is fine by itself.

use std::os::unix::ffi::OsStrExt;

use super::{
    Bind, DecisionAccess, Settings,
    fault::{Fault, Place, Wrong},
    file::is_within,
    layer::Merged,
};

/// A setting that must be at least another.
struct AtLeast {
    larger: &'static str,
    smaller: &'static str,
    holds: fn(&Settings) -> bool,
    because: &'static str,
}

const RULES: [AtLeast; 3] = [
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
        larger: "http.shutdown_timeout_s",
        smaller: "http.request_timeout_ms",
        holds: |settings| settings.http.shutdown_timeout >= settings.http.request_timeout,
        because: "a request in flight has to finish before the daemon stops",
    },
];

/// The longest path that the kernel takes for a socket, in bytes.
const SOCKET_PATH: usize = 107;

/// Every rule that does not hold, beside those whose keys already have faults.
pub(super) fn check(settings: &Settings, merged: &Merged, known: &[Fault]) -> Vec<Fault> {
    // A file that could not be read might have had the value that is missed here.
    if known.iter().any(|fault| fault.key.is_none() && !matches!(fault.wrong, Wrong::UnknownVariable(_))) {
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
    if let Bind::Unix(path) = &settings.http.bind
        && path.as_os_str().as_bytes().len() > SOCKET_PATH
    {
        let value = format!("`\"unix:{}\"`", path.display());
        faults.push(Fault {
            wrong: Wrong::Value { key: "http.bind".to_owned(), value, why: "too long for a socket" },
            place: merged.place("http.bind"),
            key: Some("http.bind".to_owned()),
            allowed: Some(format!("a path of at most {SOCKET_PATH} bytes, counted from the root")),
            suggestion: None,
        });
    }
    if settings.auth.decisions == DecisionAccess::Open && !settings.http.bind.is_local() && !is_known("http.bind") {
        let (key, other) = if merged.place("auth.decisions") == Place::Default {
            ("http.bind", "auth.decisions")
        } else {
            ("auth.decisions", "http.bind")
        };
        let value = |key| merged.value(key).map(|written| written.to_toml()).unwrap_or_default();
        faults.push(Fault {
            wrong: Wrong::Conflict {
                key: key.to_owned(),
                value: value(key),
                other: other.to_owned(),
                other_value: value(other),
                other_origin: merged.place(other).origin(),
            },
            place: merged.place(key),
            key: Some(key.to_owned()),
            allowed: Some(
                "a loopback address or a Unix socket, or `auth.decisions = \"token\"`: else any stranger could ask"
                    .to_owned(),
            ),
            suggestion: None,
        });
    }
    for issuer in settings.auth.issuers.iter().filter(|issuer| issuer.keys().is_none()) {
        let (key, value) = ("auth.issuers".to_owned(), format!("`{}`", issuer.issuer));
        faults.push(Fault {
            wrong: Wrong::Value { key: key.clone(), value, why: "without one place of its keys" },
            place: merged.place("auth.issuers"),
            key: Some(key),
            allowed: Some("either `jwks_url` or `jwks_file` for each issuer".to_owned()),
            suggestion: None,
        });
    }
    faults
}

impl AtLeast {
    fn fault(&self, merged: &Merged) -> Fault {
        // The caret goes to a line that somebody wrote.
        let (key, other) = if merged.place(self.larger) == Place::Default {
            (self.smaller, self.larger)
        } else {
            (self.larger, self.smaller)
        };
        let value = |key| merged.value(key).map(|written| written.to_toml()).unwrap_or_default();
        Fault {
            wrong: Wrong::Conflict {
                key: key.to_owned(),
                value: value(key),
                other: other.to_owned(),
                other_value: value(other),
                other_origin: merged.place(other).origin(),
            },
            place: merged.place(key),
            key: Some(key.to_owned()),
            allowed: Some(format!("`{}` at least `{}`, because {}", self.larger, self.smaller, self.because)),
            suggestion: None,
        }
    }
}
