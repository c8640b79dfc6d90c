//! Which files are opened, and which are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::{Store, StoreError};

fn refusal(path: &Path) -> String {
    SearchIndex::open(&options(path)).unwrap_err().to_string()
}

#[test]
fn neither_database_is_taken_for_the_other_or_for_that_of_another_application() {
    use crate::store::Connection;
    use diesel::Connection as _;
    let folder = tempfile::tempdir().unwrap();
    let [of_entities, of_audit, of_others] = ["a.db", "b.db", "c.db"].map(|name| folder.path().join(name));
    drop(Store::open(&options(&of_entities)).unwrap());
    drop(SearchIndex::open(&options(&of_audit)).unwrap());
    let mut other = Connection::establish(of_others.to_str().unwrap()).unwrap();
    other.batch_execute("CREATE TABLE audit_entries (place INTEGER PRIMARY KEY)").unwrap();
    drop(other);
    for path in [&of_entities, &of_others] {
        let before = fs::read(path).unwrap();
        let said = format!(
            "the database `{}` is unavailable: it is not an audit database of acgs: check the path",
            path.display()
        );
        assert_eq!(refusal(path), said);
        assert_eq!(inspect(&Target::from(path.as_path()), Duration::ZERO).unwrap_err().to_string(), said);
        assert_eq!(fs::read(path).unwrap(), before);
    }
    let said =
        format!("the database `{}` is unavailable: it is not a database of acgs: check the path", of_audit.display());
    assert_eq!(Store::open(&options(&of_audit)).unwrap_err().to_string(), said);
    inspect(&Target::from(&*of_audit), Duration::ZERO).unwrap();
}

#[test]
fn a_file_that_is_gone_is_begun_anew() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let Copied { store, options, _folder, .. } = copied;
    store.checkpoint().unwrap();
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", options.target.path().unwrap().display()));
    }
    let store = SearchIndex::open(&options).unwrap();
    assert_eq!(fs::metadata(options.target.path().unwrap()).unwrap().permissions().mode() & 0o777, 0o600);
    let log = store.log("acgs.example/log").unwrap();
    assert_eq!(log.next, 0);
    assert!(found(&store, None, &Search::default(), 10).is_empty());
    assert_eq!(store.index(log.id, 0, &entries(0..5)).unwrap(), 5);
}

#[test]
fn what_a_kill_leaves_of_a_file_is_not_in_the_way_of_a_new_one() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let path = copied.options.target.path().unwrap().to_owned();
    let log = fs::read(format!("{}-wal", path.display())).unwrap();
    assert!(!log.is_empty());
    let Copied { store, options, _folder, .. } = copied;
    drop(store);
    for (file, log) in [(None, log.as_slice()), (None, b""), (Some(b""), log.as_slice()), (Some(b""), b"")] {
        fs::remove_file(&path).unwrap();
        if let Some(file) = file {
            fs::write(&path, file).unwrap();
        }
        fs::write(format!("{}-wal", path.display()), log).unwrap();
        inspect(&Target::from(&*path), Duration::ZERO).unwrap();
        let store = SearchIndex::open(&options).unwrap();
        let shipped = store.log("acgs.example/log").unwrap();
        assert_eq!(shipped.next, 0);
        assert!(found(&store, None, &Search::default(), 10).is_empty());
        assert_eq!(store.index(shipped.id, 0, &entries(0..3)).unwrap(), 3);
    }
}

#[test]
fn a_file_without_a_table_or_from_the_future_is_refused() {
    if server::is_elsewhere() {
        return;
    }
    for (sql, said) in [
        ("DROP TABLE audit_logs", "is damaged: no such table: audit_logs"),
        ("UPDATE audit_logs SET id = -1", "is damaged: table `audit_logs` has a number that is out of range"),
        (
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')",
            "was written by a newer acgs: migration `29991231000000` is unknown here",
        ),
    ] {
        let copied = Copied::new();
        copied.connection().batch_execute(sql).unwrap();
        let path = copied.options.target.path().unwrap();
        assert_eq!(refusal(path), format!("the database `{}` {said}", path.display()));
    }
}

#[test]
fn what_was_copied_before_indexes_were_made_of_regions_is_found() {
    // In PostgreSQL it is in the database of the entities, which the test of that store's upgrade downgrades.
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..20)).unwrap();
    downgrade(&mut copied.connection(), &AUDIT, "202604");
    let store = SearchIndex::open(&copied.options).unwrap();
    store.index(copied.log, 20, &entries(20..30)).unwrap();
    for n in [7, 25] {
        let search = Search { subject: sought(None, &format!("agent-{n}")), ..Search::default() };
        let found = found(&store, None, &search, 10).into_iter();
        assert_eq!(found.map(|(_, index, _)| index).collect::<Vec<_>>(), [n]);
    }
}

#[test]
fn migrations_run_once_and_can_be_undone() {
    use diesel_migrations::MigrationHarness as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs-audit.db");
    let migrated = || migrate(&Target::from(&*path), Duration::from_secs(1)).unwrap();
    let all = migrated();
    assert!(all > 0);
    assert_eq!(migrated(), 0);
    open_spec(&AUDIT, &Target::from(&*path), Duration::from_secs(1)).unwrap().revert_all_migrations(SQLITE).unwrap();
    assert_eq!(migrated(), all);
}

#[test]
fn a_copy_whose_files_are_moved_or_replaced_is_displaced() {
    if server::is_elsewhere() {
        return;
    }
    for suffix in ["", "-wal"] {
        let copied = Copied::new();
        copied.store.index(copied.log, 0, &entries(0..10)).unwrap();
        copied.store.sync().unwrap();
        copied.store.index(copied.log, 10, &entries(10..20)).unwrap();
        assert_eq!(copied.found(&Search::default(), 100).len(), 20);
        assert!(!copied.store.is_displaced());
        let mut file = copied.options.target.path().unwrap().as_os_str().to_owned();
        file.push(suffix);
        let kept = Path::new(&file).with_extension("kept");
        std::fs::rename(&file, &kept).unwrap();
        assert!(copied.store.is_displaced(), "gone: {suffix}");
        std::fs::copy(&kept, &file).unwrap();
        assert!(copied.store.is_displaced(), "another one: {suffix}");
        std::fs::rename(&kept, &file).unwrap();
        assert!(!copied.store.is_displaced(), "the same: {suffix}");
    }
}

#[test]
fn those_who_read_do_not_make_a_file() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    let path = copied.options.target.path().unwrap();
    let moved = path.with_extension("moved");
    std::fs::rename(path, &moved).unwrap();
    let refusal = copied.store.search(None, &Search::default(), None, NonZeroU16::MIN, in_a_minute()).unwrap_err();
    assert!(refusal.to_string().contains("unable to open"), "{refusal}");
    assert!(!path.exists());
}

#[test]
fn those_who_read_cannot_write() {
    let copied = Copied::new();
    let written = copied.store.read(|conn| conn.batch_execute("DELETE FROM audit_logs").map_err(StoreError::from));
    let refusal = written.unwrap_err().to_string();
    let said = ["attempt to write a readonly database", "cannot execute DELETE in a read-only transaction"];
    assert!(said.iter().any(|said| refusal.ends_with(said)), "{refusal}");
}

#[test]
fn an_entry_of_no_log_is_told_as_damage() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..1)).unwrap();
    copied.connection().batch_execute("DELETE FROM audit_logs").unwrap();
    let limit = NonZeroU16::MIN;
    let error = copied.store.search(None, &Search::default(), None, limit, in_a_minute()).unwrap_err();
    assert!(error.to_string().ends_with("is damaged: an entry is of a log that is not there"), "{error}");
    let error = copied.store.index(copied.log, 1, &entries(1..2)).unwrap_err();
    assert!(error.to_string().ends_with("the row of the log in table `audit_logs` is gone"), "{error}");
    assert!(error.to_string().contains(&*copied.options.target.path().unwrap().to_string_lossy()), "{error}");
}
