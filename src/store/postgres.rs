//! A PostgreSQL server, direct or behind a pooler: how connections to it are opened and set up.

use std::time::Duration;

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::{Connection as _, ConnectionResult};

use super::connection::{Connection, DbSession};
use super::database_spec::DatabaseSpec;
use super::error::StoreError;
use super::migrations;
use super::target::{PoolMode, Server};

/// Connection parameters of libpq that the URL may override: the application's name, the connect timeout, and the
/// timeouts after which a silent server is given up. A host that vanishes is detected within some four seconds, also on
/// idle connections.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "acgs"),
    ("connect_timeout", "2"),
    ("keepalives_idle", "2"),
    ("keepalives_interval", "1"),
    ("keepalives_count", "2"),
    ("tcp_user_timeout", "3000"),
];

/// How long a statement of a pooled connection may take.
const STATEMENT: Duration = Duration::from_secs(30);

/// Opens a connection by itself, and brings the database up to date.
pub(super) fn open(kind: &DatabaseSpec, server: &Server, lock_timeout: Duration) -> Result<DbSession, StoreError> {
    let mut session = connect(server, &Limits::of_one(lock_timeout))?;
    migrations::run(kind, &mut session)?;
    Ok(session)
}

/// Brings the database up to date as [`open`] does, and answers how many migrations it lacked.
pub(super) fn migrate(kind: &DatabaseSpec, server: &Server, lock_timeout: Duration) -> Result<usize, StoreError> {
    migrations::run(kind, &mut connect(server, &Limits::of_one(lock_timeout))?)
}

/// Checks without any change whether [`open`] would accept the database. Returns a connection if its schema is up to
/// date.
pub(super) fn inspect(
    kind: &DatabaseSpec,
    server: &Server,
    lock_timeout: Duration,
) -> Result<Option<DbSession>, StoreError> {
    let mut session = connect(server, &Limits::of_one(lock_timeout))?;
    let is_behind = migrations::is_behind(kind, &mut session)?;
    Ok((!is_behind).then_some(session))
}

/// Checks whether the server accepts connections to the database, whatever is in it.
pub(super) fn reach(server: &Server) -> Result<(), StoreError> {
    Ok(establish(server)?.batch_execute("SELECT 1")?)
}

/// A connection as one of a pool: to a database that is up to date.
pub(super) fn pooled(kind: &DatabaseSpec, server: &Server, lock_timeout: Duration) -> Result<DbSession, StoreError> {
    let mut session = connect(server, &Limits { lock_timeout, statement_timeout: Some(STATEMENT) })?;
    if !session.is_lent() && !kind.session.is_empty() {
        session.batch_execute(kind.session)?;
    }
    Ok(session)
}

/// The timeouts of a session.
struct Limits {
    lock_timeout: Duration,
    /// `None`: the server's own limit.
    statement_timeout: Option<Duration>,
}

impl Limits {
    /// For a connection outside of the pool, which may have migrations to run.
    fn of_one(lock_timeout: Duration) -> Self {
        Self { lock_timeout, statement_timeout: None }
    }

    /// The statements that set the timeouts, for the session or for one transaction.
    ///
    /// An answered write must survive a power failure, since it may be a withdrawal: `synchronous_commit = off` is
    /// overridden.
    fn statements(&self, sessions: PoolMode) -> String {
        let (set, is_local) = match sessions {
            PoolMode::Session => ("SET", false),
            PoolMode::Transaction => ("SET LOCAL", true),
        };
        let lock = self.lock_timeout.as_millis().max(1);
        let statement = self.statement_timeout.map(|limit| format!("{set} statement_timeout = {};", limit.as_millis()));
        format!(
            "{set} lock_timeout = {lock};
             {set} idle_in_transaction_session_timeout = 60000;
             {set} client_min_messages = warning;
             {}
             SELECT set_config('synchronous_commit', 'on', {is_local}) WHERE current_setting('synchronous_commit') = 'off';",
            statement.unwrap_or_default()
        )
    }
}

fn establish(server: &Server) -> ConnectionResult<PgConnection> {
    PgConnection::establish(&with_defaults(server.url()))
}

fn connect(server: &Server, limits: &Limits) -> Result<DbSession, StoreError> {
    let mut conn = establish(server)?;
    let sessions = match server.pool_mode() {
        Some(known) => known,
        None => find_out(server, &mut conn)?,
    };
    let statements = limits.statements(sessions);
    match sessions {
        PoolMode::Session => {
            conn.batch_execute(&statements)?;
            Ok(DbSession::own(Connection::Postgres(conn)))
        }
        PoolMode::Transaction => {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
            Ok(DbSession::lent(conn, statements))
        }
    }
}

/// Detects whether a pooler assigns sessions to transactions, and stores that for all clones. A direct connection
/// always has the same server process, which no other connection has. A pooler uses whichever process is free: the same
/// one for the next connection, or another one each time.
fn find_out(server: &Server, conn: &mut PgConnection) -> Result<PoolMode, StoreError> {
    let mut other = establish(server)?;
    let own = process(conn)?;
    let is_lent =
        process(conn)? != own || process(conn)? != own || process(&mut other)? == own || process(conn)? != own;
    let sessions = if is_lent { PoolMode::Transaction } else { PoolMode::Session };
    if is_lent {
        tracing::info!("a pooler assigns sessions to transactions; prepared statements and LISTEN are off");
    }
    server.set_pool_mode(sessions);
    Ok(sessions)
}

/// The id of the server process of a session.
fn process(conn: &mut PgConnection) -> Result<i32, StoreError> {
    // Not prepared: behind a pooler, the statement would stay in another client's session.
    Ok(diesel::select(sql::<Integer>("pg_backend_pid()")).get_result(conn)?)
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
