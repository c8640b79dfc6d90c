//! Where a database is.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// In an SQLite file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server: its URL as libpq takes it. It may have a password, so it is never shown as it is.
    Postgres(String),
}

impl Target {
    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// The file, or the server with the database but without user, password and options.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => {
                let plain = url.split(['?', '#']).next().unwrap_or_default();
                let (scheme, rest) = plain.split_once("://").unwrap_or(("postgres", plain));
                write!(f, "{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// From `sqlite:` with a path, or a URL of PostgreSQL.
impl From<&str> for Target {
    fn from(url: &str) -> Self {
        url.strip_prefix("sqlite:").map_or_else(|| Self::Postgres(url.to_owned()), |path| Self::Sqlite(path.into()))
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shown_without_who_and_how() {
        for (url, shown) in [
            (
                "postgres://ann:p%40ss@db.example:5432/acgs?sslmode=verify-full&password=x",
                "postgres://db.example:5432/acgs",
            ),
            ("postgresql://db.example/acgs", "postgresql://db.example/acgs"),
            ("postgres:///acgs?host=/run/postgresql", "postgres:///acgs"),
            ("postgres://a:b@c:d@e/f", "postgres://e/f"),
        ] {
            let target = Target::Postgres(url.to_owned());
            assert_eq!([target.to_string(), format!("{target:?}")], [shown, shown]);
        }
    }
}
