//! A database of an earlier version has all that it had when it is opened by this one.

use super::super::api_keys::{self, ApiKey};
use super::super::refresh_tokens::{self, RefreshToken};
use super::super::sessions::{self, Session};
use super::super::signing_keys::{self, SigningKeyRow};
use super::super::{clients, ended_tokens, revisions, users};
use super::callers::{key, person, program};
use super::logins::{session, token};
use super::*;

/// The migrations of this version and later ones begin with this month or a later one.
const SINCE: &str = "202605";

/// Everything that is stored of callers.
type Callers = (
    Option<users::User>,
    Option<clients::Client>,
    Option<ApiKey>,
    Option<Session>,
    Option<RefreshToken>,
    Vec<SigningKeyRow>,
    Vec<(String, i64)>,
);

fn callers(conn: &mut Connection) -> Callers {
    (
        users::find_by_name(conn, "ann").unwrap(),
        clients::find_by_name(conn, "bot").unwrap(),
        api_keys::find(conn, "k1").unwrap(),
        sessions::find(conn, "s1").unwrap(),
        refresh_tokens::find(conn, &[1; 32]).unwrap(),
        signing_keys::all(conn).unwrap(),
        ended_tokens::denied(conn, 0).unwrap(),
    )
}

#[test]
fn what_an_earlier_version_stored_is_there_after_the_migrations() {
    let stored = Stored::new();
    let conn = &mut stored.connection();
    users::insert(conn, &person("ann")).unwrap();
    clients::insert(conn, &program("bot")).unwrap();
    api_keys::insert(conn, &key("k1", "user:ann")).unwrap();
    sessions::insert(conn, &session("s1", "ann")).unwrap();
    refresh_tokens::insert(conn, &token(1, "s1")).unwrap();
    let signing = SigningKeyRow {
        kid: "k".to_owned(),
        pkcs8: vec![3; 80],
        created_at: 100,
        retired_at: None,
        withdrawn_at: None,
    };
    signing_keys::insert(conn, &signing).unwrap();
    ended_tokens::deny(conn, "sid:gone", 4_000_000_000).unwrap();
    stored.store.put(&user("u", 1), Precondition::default(), |_| Ok(())).unwrap();
    let (before, entity) = (callers(conn), stored.store.find(&uid("u")).unwrap().unwrap());
    let version = revisions::newest(conn).unwrap().version;
    let Stored { store, options, _folder } = stored;
    drop(store);
    downgrade(conn, &ENTITIES, SINCE);

    let store = Store::open(&options).unwrap();
    let conn = &mut open(&options.target, options.acquire_timeout).unwrap();
    assert_eq!(callers(conn), before);
    assert_eq!(store.find(&uid("u")).unwrap(), Some(entity));
    let revision = revisions::newest(conn).unwrap();
    assert_eq!(revision.version, version);
    assert_ne!((revision.incarnation, revision.nonce), (0, 0), "a name of its own");
    assert_eq!(revisions::relation_to(conn, &revision).unwrap(), revisions::HistoryRelation::Contains);
    // What was withdrawn before is not forgotten sooner than what is withdrawn now.
    assert_eq!(ended_tokens::purge(conn, i64::MAX).unwrap(), 0);
    let written = store.put(&user("u", 2), Precondition::default(), |_| Ok(())).unwrap();
    assert!(written.version > version);
}
