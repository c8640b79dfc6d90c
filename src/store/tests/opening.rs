//! Which files are opened, and which are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use diesel::connection::SimpleConnection;

use super::*;

fn refusal(path: &Path) -> String {
    Store::open(&options(path)).unwrap_err().to_string()
}

#[test]
fn a_new_database_can_be_read_by_its_owner_only() {
    if server::is_elsewhere() {
        return;
    }
    let stored = Stored::new();
    stored.store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", stored.options.target.path().unwrap().display());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_missing_folder_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/acgs.db");
    let said = format!("folder `{}` does not exist", folder.path().join("none").display());
    assert_eq!(refusal(&path), format!("the database `{}` is unavailable: {said}", path.display()));
    assert!(!folder.path().join("none").exists());
    let said = "is unavailable: it is not a file";
    assert_eq!(refusal(folder.path()), format!("the database `{}` {said}", folder.path().display()));
}

#[test]
fn a_damaged_file_is_refused_by_name_and_left_as_it_is() {
    let (folder, path, _) = closed_database();
    let good = fs::read(&path).unwrap();
    let mut garbage = good.clone();
    garbage[..16].copy_from_slice(b"not a database!!");
    let mut middle = good.clone();
    middle[4096 * 2..4096 * 2 + 64].fill(0xff);
    let cases: [(&str, &[u8], &str); 8] = [
        ("garbage", &garbage, "file is not a database"),
        (
            "text",
            b"some text that is no database at all, and long enough to have a header of 100 bytes ................",
            "file is not a database",
        ),
        ("short", b"SQLite", "file is not a database"),
        ("header", &good[..100], "database disk image is malformed"),
        ("page", &good[..4096], "database disk image is malformed"),
        ("truncated", &good[..good.len() - 4096], "database disk image is malformed"),
        ("empty", b"", "the file is empty: restore it from a backup, or remove it if it never held data"),
        ("middle", &middle, ""),
    ];
    for (name, bytes, said) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let refusal = refusal(&path);
        let expected = format!("the database `{}` is damaged: {said}", path.display());
        assert!(refusal.starts_with(&expected), "{name}: {refusal}");
        assert!(!refusal.contains('\n'), "{name}: {refusal}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
}

/// Where the pages begin that describe the tables: the first page, and those below it.
fn description_pages(file: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_be_bytes([file[at], file[at + 1]]));
    // An inner page of a table's tree, right after the file's header of 100 bytes.
    assert_eq!(file[100], 5);
    let children = (0..half(103)).map(|cell| number(half(112 + 2 * cell))).chain([number(108)]);
    [0].into_iter().chain(children.map(|page| (page - 1) * 4096)).collect()
}

#[test]
fn a_bit_flipped_where_the_tables_are_described_is_refused_or_does_no_harm() {
    let (_folder, path, entities) = closed_database();
    let good = fs::read(&path).unwrap();
    let uids = entities.iter().map(|entity| entity.uid.clone()).collect::<Vec<_>>();
    let mut refused = 0;
    let described = description_pages(&good).into_iter().flat_map(|page| (page..page + 4096).step_by(5));
    for at in (0..112).chain(described) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let found = open(&Target::from(&*path), Duration::from_secs(1)).and_then(|mut conn| {
            super::super::entities::find_many(&mut conn, &uids).map_err(|error| error.at(&Target::from(&*path)))
        });
        match found {
            Ok(found) => {
                let found = found.into_iter().flatten().map(|stored| stored.entity).collect::<Vec<_>>();
                assert_eq!(found, entities, "byte {at}");
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(&*path.to_string_lossy()), "byte {at}: {error}");
            }
        }
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_log_whose_database_is_gone_is_not_taken_for_a_new_database() {
    let (_folder, path, _) = closed_database();
    let log = format!("{}-wal", path.display());
    fs::rename(&path, &log).unwrap();
    let said = format!("the file is gone, but its log `{log}` is there");
    assert_eq!(refusal(&path), format!("the database `{}` is damaged: {said}", path.display()));
    assert!(!path.exists());
}

#[test]
fn a_start_that_was_killed_before_its_first_migration_is_made_up_for() {
    use diesel::Connection as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs.db");
    let mut conn = Connection::establish(path.to_str().unwrap()).unwrap();
    diesel_migrations::MigrationHarness::applied_migrations(&mut conn).unwrap();
    drop(conn);
    assert!(fs::metadata(&path).unwrap().len() > 0);
    drop(Store::open(&options(&path)).unwrap());
}

#[test]
fn the_database_of_another_application_is_refused_and_left_as_it_is() {
    use diesel::Connection as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let mut other = Connection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let said = "is unavailable: it is not a database of acgs: check the path";
    assert_eq!(refusal(&path), format!("the database `{}` {said}", path.display()));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_from_the_future_is_refused() {
    let (_folder, path, _) = closed_database();
    let mut conn = open(&Target::from(&*path), Duration::from_secs(1)).unwrap();
    let migration = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
    conn.batch_execute(migration).unwrap();
    let refusal = refusal(&path);
    let name = path.display();
    let said = format!("the database `{name}` was written by a newer acgs: migration `29991231000000` is unknown here");
    assert_eq!(refusal, said);
}

#[test]
fn a_database_without_its_tables_is_refused() {
    for (sql, said) in [
        ("DROP TABLE entities", "no such table: entities"),
        ("ALTER TABLE entities RENAME COLUMN type TO kind", "no such column: entities.type"),
        ("DELETE FROM entity_versions", "the row of table `entity_versions` is gone"),
    ] {
        let (_folder, path, _) = closed_database();
        open(&Target::from(&*path), Duration::from_secs(1)).unwrap().batch_execute(sql).unwrap();
        assert_eq!(refusal(&path), format!("the database `{}` is damaged: {said}", path.display()));
    }
}

#[test]
fn a_start_that_ended_before_its_tables_were_made_is_gone_on_with() {
    use diesel::Connection as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs.db");
    Connection::establish(path.to_str().unwrap()).unwrap().batch_execute("PRAGMA journal_mode = WAL").unwrap();
    let store = Store::open(&options(&path)).unwrap();
    store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
}

#[test]
fn migrations_run_once_and_can_be_undone() {
    use diesel::migration::MigrationSource;
    use diesel::sqlite::Sqlite;
    use diesel_migrations::MigrationHarness as _;
    let known = MigrationSource::<Sqlite>::migrations(&(ENTITIES.migrations.sqlite)()).unwrap().len();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs.db");
    let second = Duration::from_secs(1);
    assert_eq!(
        [migrate(&Target::from(&*path), second).unwrap(), migrate(&Target::from(&*path), second).unwrap()],
        [known, 0]
    );
    open(&Target::from(&*path), second).unwrap().revert_all_migrations((ENTITIES.migrations.sqlite)()).unwrap();
    assert_eq!(migrate(&Target::from(&*path), second).unwrap(), known);
}

#[test]
fn a_database_that_another_writes_to_is_opened_without_waiting() {
    let (_folder, path, _) = closed_database();
    let mut other = open(&Target::from(&*path), Duration::from_secs(1)).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let mut conn = open(&Target::from(&*path), Duration::ZERO).unwrap();
    assert!(super::super::entities::find(&mut conn, &uid("user-01")).unwrap().is_some());
}

#[test]
fn damage_that_shows_only_when_it_is_read_is_told_with_the_file() {
    if server::is_elsewhere() {
        return;
    }
    let stored = Stored::new();
    let path = stored.options.target.path().unwrap();
    stored.store.put_many(&(0..40).map(|n| user(&format!("{n}"), n)).collect::<Vec<_>>(), |_| Ok(())).unwrap();
    stored.connection().batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let store = Store::open(&stored.options).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[4096..].fill(0xff);
    fs::write(path, bytes).unwrap();
    let said = format!("the database `{}` is damaged: database disk image is malformed", path.display());
    // Twice: a connection that has met damage goes on telling it.
    for _ in 0..2 {
        assert_eq!(store.find(&uid("1")).unwrap_err().to_string(), said);
        assert_eq!(store.find_many(&[uid("1"), uid("2")]).unwrap_err().to_string(), said);
        assert_eq!(store.list("User", None, NonZeroU16::MIN).unwrap_err().to_string(), said);
        assert_eq!(store.put(&user("1", 2), Precondition::default(), |_| Ok(())).unwrap_err().to_string(), said);
        assert_eq!(store.remove(&uid("1"), Precondition::default(), |_| Ok(())).unwrap_err().to_string(), said);
    }
}

#[test]
fn a_database_from_before_users_keeps_its_entities() {
    let (_folder, path, entities) = closed_database();
    let second = Duration::from_secs(1);
    downgrade(&mut open(&Target::from(&*path), second).unwrap(), &ENTITIES, "20260201");
    inspect(&Target::from(&*path), second).unwrap();
    let store = Store::open(&options(&path)).unwrap();
    let uids = entities.iter().map(|entity| entity.uid.clone()).collect::<Vec<_>>();
    let found = store.find_many(&uids).unwrap().into_iter().flatten().map(|stored| stored.entity);
    assert_eq!(found.collect::<Vec<_>>(), entities);
    assert_eq!(store.put(&user("new", 1), Precondition::default(), |_| Ok(())).unwrap().version, 41);
    assert_eq!(store.query(super::super::signing_keys::all).unwrap(), []);
    assert_eq!(migrate(&Target::from(&*path), second).unwrap(), 0);
}
