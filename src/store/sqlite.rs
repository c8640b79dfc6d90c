//! SQLite files: how they are set up, created, checked, and identified.

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

use super::connection::{Connection, DbSession};
use super::database_spec::{DatabaseSpec, OnMissing};
use super::error::StoreError;
use super::migrations;

/// Files up to this size in bytes are checked when they are opened, which takes some ten milliseconds; in larger ones
/// damage is detected when the damaged page is read.
const CHECKED_AT_OPEN: u64 = 8 * 1024 * 1024;

/// Opens the database file, creates it if there is none, and migrates it.
///
/// The folder must exist. A new file is readable by its owner only. A file that is damaged, of another application,
/// another kind or a newer version is refused, and nothing is written to it.
pub(super) fn open(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<DbSession, StoreError> {
    make_missing(spec, path, busy_timeout)?;
    let mut conn = connect(spec, path, busy_timeout)?;
    migrations::run(spec, &mut conn)?;
    Ok(conn)
}

/// Whether the file is an empty one, as left by a first start that was killed before it wrote to it.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let is_empty = |file: &Path| fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() == 0);
    let log = with_suffix(path, "-wal");
    is_empty(path) && (!log.exists() || is_empty(&log))
}

/// Removes the empty file of an interrupted first start. To be called only if nothing was ever recorded: otherwise an
/// empty file may be the remains of a database.
pub(super) fn discard_unfinished(path: &Path) -> Result<(), StoreError> {
    if !is_unfinished(path) {
        return Ok(());
    }
    let path = canonical(path).map_err(StoreError::unavailable)?;
    remove_files(&path, &["-journal", "-wal", "-shm", ""]).map_err(StoreError::unavailable)
}

/// Brings the database up to date as [`open`] does, and answers how many migrations it lacked.
pub(super) fn migrate(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<usize, StoreError> {
    let made = make_missing(spec, path, busy_timeout)?;
    Ok(made + migrations::run(spec, &mut connect(spec, path, busy_timeout)?)?)
}

/// Checks without any change whether [`open`] would accept the file. Returns a connection if its schema is up to date.
/// A missing file is accepted.
pub(super) fn inspect(
    spec: &DatabaseSpec,
    path: &Path,
    busy_timeout: Duration,
) -> Result<Option<DbSession>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let size = measure(spec, path)?;
    if size == 0 {
        return Ok(None);
    }
    let mut conn = establish(&uri(path, "ro")?)?;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {};", busy_timeout.as_millis()))?;
    verify(spec, &mut conn, size)?;
    let is_behind = migrations::is_behind(spec, &mut conn)?;
    Ok((!is_behind).then_some(DbSession::own(conn)))
}

fn connect(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<DbSession, StoreError> {
    let size = measure(spec, path)?;
    let mut conn = establish(&url(path)?)?;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {};", busy_timeout.as_millis()))?;
    if size > 0 {
        verify(spec, &mut conn, size)?;
    }
    configure(&mut conn, spec.single, busy_timeout)?;
    Ok(DbSession::own(conn))
}

/// A connection as one of a pool: to a file that is there and up to date.
pub(super) fn pooled(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<DbSession, StoreError> {
    let mut conn = establish(&uri(path, "rw")?)?;
    configure(&mut conn, spec.pooled, busy_timeout)?;
    Ok(DbSession::own(conn))
}

fn establish(url: &str) -> Result<Connection, StoreError> {
    Ok(Connection::Sqlite(SqliteConnection::establish(url)?))
}

/// The file's name for SQLite. An absolute path cannot be taken for a URI or `:memory:`.
fn url(path: &Path) -> Result<String, StoreError> {
    let path = std::path::absolute(path).map_err(StoreError::unavailable)?;
    path.into_os_string().into_string().map_err(|_| StoreError::unavailable("its path is not UTF-8"))
}

/// The URI of an existing file, to be opened in that mode.
fn uri(path: &Path, mode: &str) -> Result<String, StoreError> {
    let name = url(path)?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("file:{name}?mode={mode}"))
}

/// Which files a database file and its write-ahead log are: device and inode of each that is there.
pub(super) type Identity = [Option<(u64, u64)>; 2];

/// The identity of a database file and its companions, which is constant while the database is open and its files are
/// in place.
pub(super) fn identity(path: &Path) -> Identity {
    [path, &with_suffix(path, "-wal")].map(|file| fs::metadata(file).ok().map(|file| (file.dev(), file.ino())))
}

/// Configures a connection: first the settings of all databases, then the `pragmas` of this one, which precede any
/// write to the file.
///
/// `cell_size_check` detects damaged pages earlier.
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

/// Moves the contents of the write-ahead log into the database file and empties the log, so that the file alone is
/// complete.
///
/// Readers and writers are not blocked; if they are in the way, part of the log remains.
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

/// Reads the whole database file and reports the first fault. Takes seconds for a large one.
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

/// Creates the database if there is none, and returns the number of migrations that this took.
fn make_missing(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<usize, StoreError> {
    if is_to_be_made(spec, path)? { make(spec, path, busy_timeout) } else { Ok(0) }
}

/// Whether there is no database. An empty file counts as none if its kind may be recreated.
fn is_to_be_made(spec: &DatabaseSpec, path: &Path) -> Result<bool, StoreError> {
    let log = with_suffix(path, "-wal");
    match fs::exists(path) {
        Ok(true) => Ok(measure(spec, path)? == 0),
        Err(error) => Err(StoreError::unavailable(error)),
        Ok(false) if spec.on_missing == OnMissing::Refused && log.exists() => {
            Err(StoreError::damaged(format!("the file is gone, but its log `{}` is there", log.display())))
        }
        Ok(false) => Ok(true),
    }
}

/// The size of an existing file in bytes; 0 only if it may be created again.
fn measure(spec: &DatabaseSpec, path: &Path) -> Result<u64, StoreError> {
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err(StoreError::unavailable("it is not a file")),
        // SQLite would take it for a new database, and whatever was in it would be gone without a word.
        Ok(file) if spec.on_missing == OnMissing::Refused && file.len() == 0 => {
            Err(StoreError::damaged("the file is empty: restore it from a backup, or remove it if it never held data"))
        }
        Ok(file) => Ok(file.len()),
        Err(error) => Err(StoreError::unavailable(error)),
    }
}

/// Creates a database with all its tables under a temporary name, and renames it once it is durable: an interrupted
/// start leaves no database or a complete one.
fn make(spec: &DatabaseSpec, path: &Path, busy_timeout: Duration) -> Result<usize, StoreError> {
    let missing = |error: std::io::Error| match path.parent() {
        Some(folder) if error.kind() == ErrorKind::NotFound => {
            StoreError::unavailable(format!("folder `{}` does not exist", folder.display()))
        }
        _ => StoreError::unavailable(error),
    };
    let path = canonical(path).map_err(missing)?;
    let unfinished = with_suffix(&path, ".new");
    remove_files(&unfinished, &["-journal", "-wal", "-shm", ""]).map_err(missing)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(missing)?;
    let migrations = {
        let mut conn = establish(&url(&unfinished)?)?;
        configure(&mut conn, spec.single, busy_timeout)?;
        let mut conn = DbSession::own(conn);
        let migrations = migrations::run(spec, &mut conn)?;
        checkpoint(&mut conn)?;
        migrations
    };
    let publish = || {
        fs::File::open(&unfinished)?.sync_all()?;
        // SQLite would apply the remains of an earlier database's journal to the new one.
        remove_files(&path, &["-journal", "-wal", "-shm"])?;
        fs::rename(&unfinished, &path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    publish().map_err(StoreError::unavailable)?;
    Ok(migrations)
}

/// Removes a database's files with these suffixes, if they exist.
fn remove_files(path: &Path, suffixes: &[&str]) -> std::io::Result<()> {
    for suffix in suffixes {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The path with symbolic links resolved, also for a missing file: SQLite creates its other files beside the target.
pub(super) fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    /// The most links that Linux follows.
    const LINKS: usize = 40;
    let mut path = std::path::absolute(path)?;
    for _ in 0..LINKS {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { break };
        match fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Ok(fs::canonicalize(folder)?.join(name)),
        }
    }
    Err(std::io::Error::other("there are too many levels of symbolic links"))
}

/// The files of an open database, under the names with which SQLite opens them.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let path = canonical(path).unwrap_or_else(|_| path.to_owned());
    ["", "-wal", "-shm"].map(|suffix| with_suffix(&path, suffix)).into()
}

/// The name of a file that SQLite keeps beside a database file.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a database of another application or kind, or with damage that can be detected cheaply.
fn verify(spec: &DatabaseSpec, conn: &mut Connection, size: u64) -> Result<(), StoreError> {
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
    if header.application != spec.application && !is_new {
        return Err(StoreError::unavailable(format!("it is not {}: check the path", spec.name)));
    }
    if size <= CHECKED_AT_OPEN { check(conn) } else { Ok(()) }
}
