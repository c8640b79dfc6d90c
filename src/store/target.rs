//! Where a database is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// In an SQLite file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server.
    Postgres(Server),
}

/// A PostgreSQL server, or a pooler in front of it.
#[derive(Clone)]
pub struct Server {
    url: Arc<str>,
    /// The detected pool mode, shared by all clones: a discriminant of [`PoolMode`], or [`UNKNOWN`].
    mode: Arc<AtomicU8>,
}

/// To what a server session is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// To a connection, until that ends.
    Session = 1,
    /// To a transaction, by a pooler such as `PgBouncer` with `pool_mode = transaction`.
    Transaction = 2,
}

const UNKNOWN: u8 = 0;

impl Server {
    /// The server at a libpq URL. Its pool mode is detected by the first connection.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.into(), mode: Arc::new(AtomicU8::new(UNKNOWN)) }
    }

    /// The URL. It may contain a password, so it must not be displayed.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The pool mode, once it is known.
    pub(super) fn pool_mode(&self) -> Option<PoolMode> {
        match self.mode.load(Ordering::Acquire) {
            mode if mode == PoolMode::Session as u8 => Some(PoolMode::Session),
            mode if mode == PoolMode::Transaction as u8 => Some(PoolMode::Transaction),
            _ => None,
        }
    }

    /// Sets the pool mode of all clones.
    pub fn set_pool_mode(&self, mode: PoolMode) {
        self.mode.store(mode as u8, Ordering::Release);
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Server {}

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
            Self::Postgres(server) => {
                let plain = server.url().split(['?', '#']).next().unwrap_or_default();
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
        url.strip_prefix("sqlite:").map_or_else(|| Self::Postgres(Server::new(url)), |path| Self::Sqlite(path.into()))
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
            let target = Target::from(url);
            assert_eq!([target.to_string(), format!("{target:?}")], [shown, shown]);
        }
    }
}
