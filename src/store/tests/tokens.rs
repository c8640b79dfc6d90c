//! What was denied, which assertions were used, and the keys that sign.

use super::super::signing_keys::SigningKeyRow;
use super::super::{assertions, ended_tokens, signing_keys, uptime};
use super::*;

#[test]
fn an_id_is_denied_until_the_latest_time_it_was_denied_for() {
    let conn = &mut Stored::new().connection();
    for (id, until) in [("sid:a", 200), ("jti:acgs:1", 100), ("sid:a", 150), ("jti:acgs:1", 300)] {
        ended_tokens::deny(conn, id, until).unwrap();
    }
    let both = [("jti:acgs:1".to_owned(), 300), ("sid:a".to_owned(), 200)];
    assert_eq!(ended_tokens::denied(conn, 199).unwrap(), both);
    assert_eq!(ended_tokens::denied(conn, 200).unwrap(), both[..1]);
    // A wall clock that is ahead removes nothing.
    assert_eq!(ended_tokens::purge(conn, i64::MAX).unwrap(), 0);
    uptime::advance(conn, ended_tokens::HELD_S - 1, i64::MAX).unwrap();
    assert_eq!(ended_tokens::purge(conn, i64::MAX).unwrap(), 0);
    uptime::advance(conn, ended_tokens::HELD_S, 1).unwrap();
    assert_eq!([ended_tokens::purge(conn, 199).unwrap(), ended_tokens::purge(conn, 200).unwrap()], [0, 1]);
    assert_eq!(ended_tokens::denied(conn, i64::MIN).unwrap(), both[..1]);
}

#[test]
fn the_uptime_never_goes_back() {
    let conn = &mut Stored::new().connection();
    assert_eq!(uptime::read(conn).unwrap(), uptime::Uptime { seconds: 0, wall: 0 });
    for (seconds, wall, expected) in [(60, 1_000, 60), (30, 500, 60), (61, 2_000, 61)] {
        uptime::advance(conn, seconds, wall).unwrap();
        assert_eq!(uptime::read(conn).unwrap(), uptime::Uptime { seconds: expected, wall });
    }
}

#[test]
fn what_is_denied_stays_so_over_a_restart() {
    let stored = Stored::new();
    stored.store.transaction(|conn| ended_tokens::deny(conn, "sid:a", 200)).unwrap();
    let again = Store::open(&stored.options).unwrap();
    assert_eq!(again.query(|conn| ended_tokens::denied(conn, 0)).unwrap(), [("sid:a".to_owned(), 200)]);
}

#[test]
fn an_assertion_is_good_once_until_it_expires() {
    let conn = &mut Stored::new().connection();
    assert!(assertions::use_once(conn, "bot", "1", 100, 50).unwrap());
    assert!(!assertions::use_once(conn, "bot", "1", 100, 50).unwrap());
    assert!(!assertions::use_once(conn, "bot", "1", 900, 99).unwrap());
    assert!(assertions::use_once(conn, "bat", "1", 100, 50).unwrap());
    let is_used = [("bot", 99), ("bot", 100), ("bat", 99), ("bit", 99)];
    let is_used = is_used.map(|(client, now)| assertions::is_used(conn, client, "1", now).unwrap());
    assert_eq!(is_used, [true, false, true, false]);
    assert!(assertions::use_once(conn, "bot", "1", 200, 100).unwrap());
    assert!(!assertions::use_once(conn, "bot", "1", 200, 199).unwrap());
    assert_eq!(assertions::purge(conn, i64::MAX).unwrap(), 0, "a wall clock that is ahead removes nothing");
    uptime::advance(conn, ended_tokens::HELD_S, 0).unwrap();
    assert_eq!([assertions::purge(conn, 99).unwrap(), assertions::purge(conn, 100).unwrap()], [0, 1]);
    assert!(!assertions::use_once(conn, "bot", "1", 200, 199).unwrap());
}

#[test]
fn of_many_connections_that_show_one_assertion_at_once_one_is_let_in() {
    let stored = Stored::new();
    let outcomes = std::thread::scope(|scope| {
        let callers = [(); 6].map(|()| {
            let mut conn = stored.connection();
            scope.spawn(move || assertions::use_once(&mut conn, "bot", "1", 100, 50).unwrap())
        });
        callers.map(|caller| caller.join().unwrap())
    });
    assert_eq!(outcomes.iter().filter(|used| **used).count(), 1);
}

#[test]
fn a_signing_key_is_retired_and_withdrawn_once_and_never_forgotten() {
    let conn = &mut Stored::new().connection();
    let key = |kid: &str, created_at| SigningKeyRow {
        kid: kid.to_owned(),
        pkcs8: vec![42; 48],
        created_at,
        retired_at: None,
        withdrawn_at: None,
    };
    signing_keys::insert(conn, &key("a", 200)).unwrap();
    signing_keys::insert(conn, &key("b", 100)).unwrap();
    assert!(
        matches!(signing_keys::insert(conn, &key("a", 300)), Err(StoreError::NameTaken(key)) if key == "a signing key with id `a`")
    );
    assert_eq!(signing_keys::all(conn).unwrap(), [key("b", 100), key("a", 200)]);

    for at in [300, 400] {
        signing_keys::retire(conn, "b", at).unwrap();
        signing_keys::withdraw(conn, "b", at + 1).unwrap();
    }
    let old = SigningKeyRow { retired_at: Some(300), withdrawn_at: Some(301), ..key("b", 100) };
    assert_eq!(signing_keys::all(conn).unwrap(), [old.clone(), key("a", 200)]);
    assert!(
        matches!(signing_keys::retire(conn, "c", 1), Err(StoreError::Absent(key)) if key == "signing key with id `c`")
    );
    assert!(
        matches!(signing_keys::withdraw(conn, "c", 1), Err(StoreError::Absent(key)) if key == "signing key with id `c`")
    );
    assert!(!format!("{old:?}").contains("42"));
}
