//! Where a PostgreSQL server is, and how to log in there.

use std::fmt;

use super::{
    authority::{cut, decoded, host},
    rule::TextSetting,
};

/// A connection URL of libpq (PostgreSQL's manual, section "Connection URIs"), perhaps with a password.
///
/// INVARIANT: a password is before the `@`, so that it can be hidden when the URL is displayed. `Display` and `Debug`
/// show `***` instead.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    full: String,
    shown: String,
}

impl PostgresUrl {
    /// All of the URL, with the password: for libpq only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({:?})", self.shown)
    }
}

impl TextSetting for PostgresUrl {
    fn allowed() -> String {
        "`postgres://user:password@host:port/database?parameter=value`, percent-encoded".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = scheme(text).ok_or("not a PostgreSQL URL")?;
        let (login, hosts, rest) = cut(rest)?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        // Without hosts libpq connects to a socket on this host.
        if !hosts.is_empty() && !hosts.split(',').all(is_host) {
            return Err("but has no valid host or port");
        }
        let database = path.strip_prefix('/').unwrap_or_default();
        if database.contains('/') {
            return Err("but a `/` in the name of its database must be percent-encoded");
        }
        decoded(database)?;
        for parameter in query.into_iter().flat_map(|query| query.split('&')) {
            check(parameter)?;
        }
        Ok(Self { full: text.to_owned(), shown: format!("{scheme}{}{hosts}{path}{}", login.shown, shown(query)) })
    }

    fn write(&self) -> String {
        self.full.clone()
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

/// Whether a text means PostgreSQL, even if it is no URL.
pub(super) fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres:") || text.starts_with("postgresql:")
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    ["postgres://", "postgresql://"].into_iter().find_map(|scheme| {
        let rest = text.strip_prefix(scheme)?;
        Some((scheme, rest))
    })
}

/// Whether this is a host, or the folder of a socket.
fn is_host(text: &str) -> bool {
    host(text, 5432).is_some() || decoded(text).is_ok_and(|folder| folder.starts_with('/'))
}

/// Checks one parameter.
fn check(parameter: &str) -> Result<(), &'static str> {
    let (name, value) = parameter.split_once('=').ok_or("but a parameter of it has no value")?;
    let name = decoded(name)?;
    decoded(value)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        Err("but a parameter of it has no such name")
    } else if name.ends_with("password") || name == "oauth_client_secret" {
        // As a parameter it would be shown.
        Err("but its password must stand before the `@`")
    } else {
        Ok(())
    }
}

fn shown(query: Option<&str>) -> String {
    query.map(|query| format!("?{query}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_whole_and_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://db/acgs", "postgres://db/acgs"),
            ("postgresql://me@db.example:5433/acgs", "postgresql://me@db.example:5433/acgs"),
            ("postgres://me:s%40cret@db/acgs?sslmode=verify-full", "postgres://me:***@db/acgs?sslmode=verify-full"),
            ("postgres://me:a'b@[::1]:1,10.0.0.1:2,c/acgs", "postgres://me:***@[::1]:1,10.0.0.1:2,c/acgs"),
            ("postgres://me@%2Frun%2Fpostgresql/acgs", "postgres://me@%2Frun%2Fpostgresql/acgs"),
            ("postgres:///acgs?host=/run/postgresql&port=1", "postgres:///acgs?host=/run/postgresql&port=1"),
            ("postgres://db", "postgres://db"),
        ] {
            let url = PostgresUrl::read(text).unwrap();
            assert_eq!((url.as_str(), &*url.write(), &*url.show()), (text, text, shown));
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("PostgresUrl({shown:?})")));
        }
    }

    #[test]
    fn a_url_that_libpq_would_not_take_or_that_would_show_its_password_is_refused() {
        for (text, wrong) in [
            ("", "not a PostgreSQL URL"),
            ("postgres:db", "not a PostgreSQL URL"),
            ("mysql://db/acgs", "not a PostgreSQL URL"),
            ("host=db password=secret", "not a PostgreSQL URL"),
            ("postgres://db:port/acgs", "but has no valid host or port"),
            ("postgres://a,,b/acgs", "but has no valid host or port"),
            ("postgres://run%2Fpostgresql/acgs", "but has no valid host or port"),
            ("postgres://db/a/b", "but a `/` in the name of its database must be percent-encoded"),
            ("postgres://db/a%", "but its percent-encoding is wrong"),
            ("postgres://db/a?sslmode", "but a parameter of it has no value"),
            ("postgres://db/a?", "but a parameter of it has no value"),
            ("postgres://db/a?=x", "but a parameter of it has no such name"),
            ("postgres://db/a?SSL=x", "but a parameter of it has no such name"),
            ("postgres://db/a?password=x", "but its password must stand before the `@`"),
            ("postgres://db/a?p%61ssword=x", "but its password must stand before the `@`"),
            ("postgres://db/a?sslpassword=x", "but its password must stand before the `@`"),
        ] {
            assert_eq!(PostgresUrl::read(text), Err(wrong), "{text}");
        }
    }
}
