//! One PostgreSQL server: how connections to it are opened and set up.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection};

use super::connection::Connection;
use super::error::StoreError;
use super::kind::Kind;
use super::migrations;

/// What libpq is told where the URL does not say otherwise: who calls, how long a connection may take to be opened, and
/// when a server is given up that does not answer any more.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "acgs"),
    ("connect_timeout", "2"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "3"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// How long a statement of a pooled connection may take.
const STATEMENT: Duration = Duration::from_secs(30);

/// Opens a connection by itself, and brings the database up to date.
pub(super) fn open(kind: &Kind, url: &str, lock_timeout: Duration) -> Result<Connection, StoreError> {
    let mut conn = connect(url, lock_timeout)?;
    migrations::run(kind, &mut conn)?;
    Ok(conn)
}

/// Brings the database up to date as [`open`] does, and answers how many migrations it lacked.
pub(super) fn migrate(kind: &Kind, url: &str, lock_timeout: Duration) -> Result<usize, StoreError> {
    migrations::run(kind, &mut connect(url, lock_timeout)?)
}

/// Looks whether [`open`] would take the database, without changing anything, and answers how to read it, where it is up
/// to date.
pub(super) fn inspect(kind: &Kind, url: &str, lock_timeout: Duration) -> Result<Option<Connection>, StoreError> {
    let mut conn = connect(url, lock_timeout)?;
    let is_behind = migrations::is_behind(kind, &mut conn)?;
    Ok((!is_behind).then_some(conn))
}

/// A connection as one of a pool: to a database that is up to date.
pub(super) fn pooled(kind: &Kind, url: &str, lock_timeout: Duration) -> Result<Connection, StoreError> {
    let mut conn = connect(url, lock_timeout)?;
    conn.batch_execute(&format!("SET statement_timeout = {}; {}", STATEMENT.as_millis(), kind.session))?;
    Ok(conn)
}

/// A write that was answered must outlast a power failure, since it may be what takes a right away: a server that was
/// told not to wait for its disk waits for ours.
fn connect(url: &str, lock_timeout: Duration) -> Result<Connection, StoreError> {
    let mut conn = PgConnection::establish(&with_defaults(url))?;
    conn.batch_execute(&format!(
        "SET lock_timeout = {};
         SET idle_in_transaction_session_timeout = 60000;
         SET client_min_messages = warning;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        lock_timeout.as_millis().max(1)
    ))?;
    Ok(Connection::Postgres(conn))
}

fn with_defaults(url: &str) -> String {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let is_given = |name: &str| options.split('&').any(|option| option.split('=').next() == Some(name));
    let defaults = DEFAULTS.iter().filter(|(name, _)| !is_given(name)).map(|(name, value)| format!("{name}={value}"));
    let given = Some(options.to_owned()).filter(|options| !options.is_empty());
    let all = given.into_iter().chain(defaults).collect::<Vec<_>>().join("&");
    format!("{place}?{all}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says_comes_before_what_is_usual() {
        let url = with_defaults("postgres://db/acgs?sslmode=verify-full&connect_timeout=9");
        assert!(
            url.starts_with("postgres://db/acgs?sslmode=verify-full&connect_timeout=9&application_name=acgs&"),
            "{url}"
        );
        assert_eq!(url.matches("connect_timeout").count(), 1);
        assert!(with_defaults("postgres://db").starts_with("postgres://db?application_name=acgs&connect_timeout=2&"));
    }
}
