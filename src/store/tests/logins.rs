//! Sessions and their refresh tokens.

use super::super::clients;
use super::super::refresh_tokens::{self, RefreshToken, Rotation};
use super::super::sessions::{self, Session};
use super::super::users::{self, recovery_codes};
use super::callers::{person, program};
use super::*;

pub(super) fn session(id: &str, name: &str) -> Session {
    Session {
        id: id.to_owned(),
        user_id: person(name).id,
        created_at: 100,
        last_used_at: 100,
        expires_at: 1000,
        ended_at: None,
        end_reason: None,
        address: "192.0.2.1".to_owned(),
        user_agent: "curl".to_owned(),
        client_id: None,
    }
}

pub(super) fn token(digest: u8, session: &str) -> RefreshToken {
    let (digest, session) = (vec![digest; 32], session.to_owned());
    RefreshToken { digest, session, used_at: None, expires_at: 500, seed: None, used_by: None }
}

/// Ann is logged in twice and Bob once; each session has a token.
fn logged_in() -> Stored {
    let stored = Stored::new();
    let conn = &mut stored.connection();
    for name in ["ann", "bob"] {
        users::insert(conn, &person(name)).unwrap();
    }
    for (n, id, name) in [(1, "s1", "ann"), (2, "s2", "ann"), (3, "s3", "bob")] {
        sessions::insert(conn, &Session { created_at: 100 + i64::from(n), ..session(id, name) }).unwrap();
        refresh_tokens::insert(conn, &token(n, id)).unwrap();
    }
    stored
}

/// How many sessions were ended.
fn sessions_ended(conn: &mut Connection) -> Result<usize, StoreError> {
    let all = ["s1", "s2", "s3"].map(|id| sessions::find(conn, id));
    all.into_iter().try_fold(0, |ended, found| Ok(ended + usize::from(found?.is_some_and(|it| it.ended_at.is_some()))))
}

fn count(conn: &mut Connection, digests: &[u8]) -> usize {
    digests.iter().filter(|digest| refresh_tokens::find(conn, &[**digest; 32]).unwrap().is_some()).count()
}

#[test]
fn a_session_ends_once_and_keeps_its_first_reason() {
    let conn = &mut logged_in().connection();
    assert!(sessions::end(conn, "s1", "logout", 200).unwrap());
    assert!(!sessions::end(conn, "s1", "reuse", 300).unwrap());
    assert!(!sessions::end(conn, "s9", "logout", 300).unwrap());
    let found = sessions::find(conn, "s1").unwrap().unwrap();
    assert_eq!((found.ended_at, found.end_reason.as_deref()), (Some(200), Some("logout")));
    assert_eq!(sessions::end_all(conn, "u-ann", "password changed", 400).unwrap(), ["s2"]);
    assert_eq!(sessions::end_all(conn, "u-ann", "password changed", 400).unwrap(), [""; 0]);
    assert_eq!(sessions::find(conn, "s3").unwrap().unwrap().ended_at, None);
    let of_ann = sessions::of_user(conn, "u-ann").unwrap().into_iter().map(|session| session.id);
    assert_eq!(of_ann.collect::<Vec<_>>(), ["s2", "s1"]);
}

#[test]
fn a_refresh_token_is_good_once() {
    let conn = &mut logged_in().connection();
    let rotated = Rotation::Rotated("s1".to_owned());
    assert_eq!(refresh_tokens::rotate(conn, &[1; 32], &[11; 32], 700, 200).unwrap(), rotated);
    assert_eq!(sessions::find(conn, "s1").unwrap().unwrap().last_used_at, 200);
    let new = RefreshToken { expires_at: 700, ..token(11, "s1") };
    assert_eq!(refresh_tokens::find(conn, &[11; 32]).unwrap(), Some(new));
    refresh_tokens::remember_use(conn, &[1; 32], &[7; 32], &[8; 32]).unwrap();
    let old = refresh_tokens::find(conn, &[1; 32]).unwrap().unwrap();
    assert_eq!((old.seed, old.used_by), (Some(vec![7; 32]), Some(vec![8; 32])));

    let reused = Rotation::Reused("s1".to_owned());
    assert_eq!(refresh_tokens::rotate(conn, &[1; 32], &[12; 32], 700, 201).unwrap(), reused);
    assert_eq!(refresh_tokens::find(conn, &[1; 32]).unwrap().unwrap().used_at, Some(200));
    assert_eq!(refresh_tokens::rotate(conn, &[11; 32], &[13; 32], 700, 202).unwrap(), rotated);
    assert_eq!(refresh_tokens::rotate(conn, &[99; 32], &[14; 32], 700, 203).unwrap(), Rotation::Unknown);
    assert_eq!(count(conn, &[12, 14]), 0);
}

#[test]
fn neither_an_expired_token_nor_one_of_a_session_that_is_over_gives_a_new_one() {
    let conn = &mut logged_in().connection();
    let mut rotate = |old: u8, now| refresh_tokens::rotate(conn, &[old; 32], &[old + 20; 32], 5000, now).unwrap();
    assert_eq!(rotate(1, 500), Rotation::Expired);
    assert_eq!(rotate(1, 499), Rotation::Rotated("s1".to_owned()));
    assert_eq!(rotate(21, 1000), Rotation::Expired);
    assert_eq!(rotate(1, 1000), Rotation::Reused("s1".to_owned()));
    assert!(sessions::end(conn, "s2", "logout", 200).unwrap());
    assert_eq!(refresh_tokens::rotate(conn, &[2; 32], &[22; 32], 700, 300).unwrap(), Rotation::Expired);
    assert_eq!(count(conn, &[22, 41]), 0);
}

#[test]
fn of_many_connections_that_show_one_token_at_once_one_gets_a_new_one() {
    let stored = logged_in();
    let mut current = vec![1; 32];
    for round in 0..20_u8 {
        let outcomes = std::thread::scope(|scope| {
            let callers = [0, 1, 2, 3, 4, 5].map(|caller: u8| {
                let mut conn = stored.connection();
                let (old, new) = (current.clone(), [vec![100 + round; 31], vec![caller]].concat());
                scope.spawn(move || (refresh_tokens::rotate(&mut conn, &old, &new, 500, 200).unwrap(), new))
            });
            callers.map(|caller| caller.join().unwrap())
        });
        let won = outcomes.iter().filter(|(outcome, _)| *outcome == Rotation::Rotated("s1".to_owned()));
        let new = won.map(|(_, new)| new.clone()).collect::<Vec<_>>();
        assert_eq!(new.len(), 1, "{outcomes:?}");
        let lost = outcomes.iter().filter(|(outcome, _)| *outcome == Rotation::Reused("s1".to_owned()));
        assert_eq!(lost.count(), 5, "{outcomes:?}");
        let stored = outcomes.iter().map(|(_, new)| refresh_tokens::find(&mut stored.connection(), new).unwrap());
        assert_eq!(stored.flatten().count(), 1);
        current = new.concat();
    }
}

#[test]
fn a_rotation_in_a_transaction_that_fails_is_undone() {
    let stored = logged_in();
    let undone = stored.store.transaction(|conn| {
        refresh_tokens::rotate(conn, &[1; 32], &[11; 32], 500, 200)?;
        Err::<(), _>(StoreError::Unrecorded("the disk is full".into()))
    });
    assert!(matches!(undone, Err(StoreError::Unrecorded(_))));
    let rotated = stored.store.transaction(|conn| refresh_tokens::rotate(conn, &[1; 32], &[11; 32], 500, 200)).unwrap();
    assert_eq!(rotated, Rotation::Rotated("s1".to_owned()));
}

#[test]
fn a_transaction_waits_for_another_from_its_start_and_a_query_sees_one_moment() {
    let stored = logged_in();
    let store = &stored.store;
    let ended = std::thread::scope(|scope| {
        let enders = [(); 4].map(|()| {
            scope.spawn(|| {
                store.transaction(|conn| {
                    let before = sessions_ended(conn)?;
                    sessions::end_all(conn, "u-ann", "logout", 200).map(|ended| (before, ended.len()))
                })
            })
        });
        enders.map(|ender| ender.join().unwrap().unwrap())
    });
    assert_eq!(ended.iter().filter(|outcome| **outcome == (0, 2)).count(), 1);
    assert_eq!(ended.iter().filter(|outcome| **outcome == (2, 0)).count(), 3);

    let seen = store.query(|conn| {
        let first = sessions_ended(conn)?;
        sessions::end_all(&mut stored.connection(), "u-bob", "logout", 300)?;
        Ok([first, sessions_ended(conn)?])
    });
    assert_eq!(seen.unwrap(), [2, 2]);
    assert_eq!(store.query(sessions_ended).unwrap(), 3);
}

#[test]
fn with_a_user_go_sessions_tokens_and_recovery_codes_and_nobody_elses() {
    let conn = &mut logged_in().connection();
    recovery_codes::replace(conn, "u-ann", &[[1; 32]]).unwrap();
    recovery_codes::replace(conn, "u-bob", &[[1; 32]]).unwrap();
    users::remove(conn, "u-ann").unwrap();
    assert_eq!(["u-ann", "u-bob"].map(|id| recovery_codes::use_one(conn, id, &[1; 32]).unwrap()), [false, true]);
    assert_eq!(["s1", "s2", "s3"].map(|id| sessions::find(conn, id).unwrap().is_some()), [false, false, true]);
    assert_eq!([count(conn, &[1, 2]), count(conn, &[3])], [0, 1]);
    assert!(sessions::insert(conn, &session("s4", "ann")).is_err(), "nobody logs in who was removed");
    assert!(refresh_tokens::insert(conn, &token(5, "s1")).is_err());
}

#[test]
fn with_a_client_go_the_sessions_that_came_through_it() {
    let conn = &mut logged_in().connection();
    clients::insert(conn, &program("bot")).unwrap();
    sessions::insert(conn, &Session { client_id: Some("c-bot".to_owned()), ..session("s4", "bob") }).unwrap();
    refresh_tokens::insert(conn, &token(4, "s4")).unwrap();
    clients::remove(conn, "c-bot").unwrap();
    assert_eq!(["s3", "s4"].map(|id| sessions::find(conn, id).unwrap().is_some()), [true, false]);
    assert_eq!(count(conn, &[4]), 0);
}

#[test]
fn purging_leaves_what_has_not_expired() {
    let conn = &mut logged_in().connection();
    sessions::end(conn, "s1", "logout", 200).unwrap();
    sessions::insert(conn, &Session { expires_at: 150, ..session("s4", "bob") }).unwrap();
    assert_eq!(sessions::purge(conn, 150).unwrap(), 0);
    assert_eq!(sessions::purge(conn, 200).unwrap(), 1);
    assert_eq!(sessions::purge(conn, 201).unwrap(), 1);
    assert_eq!(
        ["s1", "s2", "s3", "s4"].map(|id| sessions::find(conn, id).unwrap().is_some()),
        [false, true, true, false]
    );
    assert_eq!([count(conn, &[1]), count(conn, &[2, 3])], [0, 2]);

    refresh_tokens::rotate(conn, &[2; 32], &[22; 32], 900, 300).unwrap();
    assert_eq!(refresh_tokens::purge(conn, 500).unwrap(), 0);
    assert_eq!(refresh_tokens::purge(conn, 501).unwrap(), 2);
    assert_eq!(count(conn, &[2, 3, 22]), 1);
}
