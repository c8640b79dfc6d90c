//! One SQLite file: how it is set up, made, checked, and told from others.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, sql_query};

use super::connection::Connection;
use super::error::StoreError;
use super::kind::{Kind, Loss};
use super::migrations;

/// Files of up to so many bytes are read through when they are opened, which takes some ten milliseconds; in larger ones
/// damage shows when the damaged page is read.
const CHECKED_AT_OPEN: u64 = 8 * 1024 * 1024;

/// Opens the database file, makes it where there is none, and brings it up to date.
///
/// The folder must be there. A new file is readable by its owner only. A file that is damaged, another
/// application's, another kind's or of a newer version is refused as it is: nothing is written to it.
pub(super) fn open(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let mut conn = connect(kind, path, busy_timeout)?;
    migrations::run(kind, &mut conn)?;
    Ok(conn)
}

/// Brings the database up to date as [`open`] does, and answers how many migrations it lacked.
pub(super) fn migrate(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<usize, StoreError> {
    migrations::run(kind, &mut connect(kind, path, busy_timeout)?)
}

/// Looks whether [`open`] would take the file, without changing anything, and answers how to read it, where it is up to
/// date. A file that is not there yet is fine.
pub(super) fn inspect(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<Option<Connection>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let size = measure(kind, path)?;
    if size == 0 {
        return Ok(None);
    }
    let mut conn = establish(&uri(path, "ro")?)?;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {};", busy_timeout.as_millis()))?;
    verify(kind, &mut conn, size)?;
    let is_behind = migrations::is_behind(kind, &mut conn)?;
    Ok((!is_behind).then_some(conn))
}

fn connect(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let size = create_or_measure(kind, path)?;
    let mut conn = establish(&url(path)?)?;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {};", busy_timeout.as_millis()))?;
    if size > 0 {
        verify(kind, &mut conn, size)?;
    }
    configure(&mut conn, kind.single, busy_timeout)?;
    Ok(conn)
}

/// A connection as one of a pool: to a file that is there and up to date.
pub(super) fn pooled(kind: &Kind, path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let mut conn = establish(&uri(path, "rw")?)?;
    configure(&mut conn, kind.pooled, busy_timeout)?;
    Ok(conn)
}

fn establish(url: &str) -> Result<Connection, StoreError> {
    Ok(Connection::Sqlite(SqliteConnection::establish(url)?))
}

/// How SQLite is told where the file is. An absolute path cannot be taken for a URI or `:memory:`.
fn url(path: &Path) -> Result<String, StoreError> {
    let path = std::path::absolute(path).map_err(StoreError::unavailable)?;
    path.into_os_string().into_string().map_err(|_| StoreError::unavailable("its path is not UTF-8"))
}

/// The same for a file that is there already, which is opened in that mode.
fn uri(path: &Path, mode: &str) -> Result<String, StoreError> {
    let name = url(path)?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("file:{name}?mode={mode}"))
}

/// Which files a database file and its write-ahead log are: device and inode of each that is there.
pub(super) type Identity = [Option<(u64, u64)>; 2];

/// The identity of a database. It stays the same as long as the database is open, unless somebody moves or deletes files.
pub(super) fn identity(path: &Path) -> Identity {
    [path, &with_suffix(path, "-wal")].map(|file| fs::metadata(file).ok().map(|file| (file.dev(), file.ino())))
}

/// Sets what SQLite keeps per connection: what holds for all databases, and the `pragmas` of this one, which come before
/// anything that makes the file.
///
/// `cell_size_check` finds damaged pages sooner.
fn configure(conn: &mut Connection, pragmas: &str, busy_timeout: Duration) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {};
         {pragmas}
         PRAGMA journal_mode = WAL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
        busy_timeout.as_millis()
    ))
}

/// Moves what is in a file's write-ahead log into the database file and empties the log, so that the file alone is whole.
///
/// Readers and writers go on; where they are in the way, part of the log stays.
pub(super) fn checkpoint(conn: &mut Connection) -> QueryResult<()> {
    let Connection::Sqlite(conn) = conn else { return Ok(()) };
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE);")
}

/// Puts everything committed so far on stable storage, for connections that do not sync each commit.
///
/// [`StoreError::Busy`] where a reader of something older was in the way for longer than the busy timeout.
pub(super) fn sync(conn: &mut Connection) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Progress {
        #[diesel(sql_type = BigInt)]
        busy: i64,
    }
    let Connection::Sqlite(conn) = conn else { return Ok(()) };
    let progress = sql_query("PRAGMA wal_checkpoint(FULL)").get_result::<Progress>(conn)?;
    if progress.busy == 0 { Ok(()) } else { Err(StoreError::Busy("the write-ahead log is still read".to_owned())) }
}

/// Reads the whole database file and says the first thing that is wrong with it. Takes seconds where it is large.
pub fn check(conn: &mut Connection) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        quick_check: String,
    }
    let Connection::Sqlite(conn) = conn else { return Ok(()) };
    let lines = sql_query("PRAGMA quick_check(1)").load::<Line>(conn)?;
    match lines.first() {
        Some(line) if line.quick_check == "ok" => Ok(()),
        Some(line) => Err(StoreError::damaged(line.quick_check.replace('\n', " "))),
        None => Err(StoreError::damaged("it cannot be checked")),
    }
}

/// The size of the file in bytes; 0 for one that was made just now.
fn create_or_measure(kind: &Kind, path: &Path) -> Result<u64, StoreError> {
    let log = with_suffix(path, "-wal");
    match fs::exists(path) {
        Ok(true) => measure(kind, path),
        Err(error) => Err(StoreError::unavailable(error)),
        Ok(false) if kind.loss == Loss::Refused && log.exists() => {
            Err(StoreError::damaged(format!("the file is gone, but its log `{}` is there", log.display())))
        }
        Ok(false) => create(path),
    }
}

/// The size in bytes of a file that is there; 0 only where it may be begun anew.
fn measure(kind: &Kind, path: &Path) -> Result<u64, StoreError> {
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err(StoreError::unavailable("it is not a file")),
        // SQLite would take it for a new database, and whatever was in it would be gone without a word.
        Ok(file) if kind.loss == Loss::Refused && file.len() == 0 => {
            Err(StoreError::damaged("the file is empty; remove it to begin a new database"))
        }
        Ok(file) => Ok(file.len()),
        Err(error) => Err(StoreError::unavailable(error)),
    }
}

fn create(path: &Path) -> Result<u64, StoreError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match (created, path.parent()) {
        (Ok(_), _) => Ok(0),
        (Err(error), Some(folder)) if error.kind() == ErrorKind::NotFound => {
            Err(StoreError::unavailable(format!("folder `{}` does not exist", folder.display())))
        }
        (Err(error), _) => Err(StoreError::unavailable(error)),
    }
}

/// The name of a file that SQLite keeps beside a database file.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a database that is another application's or another kind's, or that is damaged, as far as can be seen at little cost.
fn verify(kind: &Kind, conn: &mut Connection, size: u64) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Header {
        #[diesel(sql_type = BigInt)]
        application: i64,
        #[diesel(sql_type = BigInt)]
        tables: i64,
    }
    let header = "SELECT application_id AS application,
                  (SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '__diesel_schema_migrations') AS tables
                  FROM pragma_application_id";
    let header = sql_query(header).get_result::<Header>(conn)?;
    // A start that ended before its first migration leaves a file without tables, or with that of the migrations.
    let is_new = header.application == 0 && header.tables == 0;
    if header.application != kind.application && !is_new {
        return Err(StoreError::damaged(format!("it is not {}", kind.name)));
    }
    if size <= CHECKED_AT_OPEN { check(conn) } else { Ok(()) }
}
