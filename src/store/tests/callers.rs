//! Users, clients and API keys.

use super::super::api_keys::{self, ApiKey};
use super::super::clients::{self, Client};
use super::super::users::{self, User, recovery_codes};
use super::*;

/// A user whose id is not the name.
pub(super) fn person(name: &str) -> User {
    User {
        id: format!("u-{name}"),
        name: name.to_owned(),
        password: "$argon2id$secret".to_owned(),
        roles: "admin auditor".to_owned(),
        disabled_at: None,
        totp_secret: Some(vec![1; 20]),
        totp_confirmed: false,
        totp_last_step: 0,
        created_at: 100,
        password_changed_at: 100,
        version: 1,
        made_by: None,
    }
}

/// A client whose id is not the name.
pub(super) fn program(name: &str) -> Client {
    Client {
        id: format!("c-{name}"),
        name: name.to_owned(),
        secret: Some(vec![7; 32]),
        jwks: None,
        roles: "agent".to_owned(),
        session: format!("s-{name}"),
        disabled_at: None,
        created_at: 100,
        version: 1,
        made_by: None,
    }
}

pub(super) fn key(id: &str, owner: &str) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        name: "ci".to_owned(),
        digest: vec![9; 32],
        owner: owner.to_owned(),
        scopes: "decide".to_owned(),
        networks: String::new(),
        rate_per_s: Some(5),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        created_at: 100,
    }
}

fn two() -> NonZeroU16 {
    NonZeroU16::new(2).unwrap()
}

#[test]
fn users_clients_and_keys_are_found_as_they_were_inserted() {
    let conn = &mut Stored::new().connection();
    let (ann, bot, ci) = (person("ann"), program("bot"), key("k1", "user:ann"));
    users::insert(conn, &ann).unwrap();
    clients::insert(conn, &bot).unwrap();
    api_keys::insert(conn, &ci).unwrap();
    assert_eq!(users::find_by_name(conn, "ann").unwrap().as_ref(), Some(&ann));
    assert_eq!(users::find_by_id(conn, "u-ann").unwrap(), Some(ann));
    assert_eq!(clients::find(conn, "c-bot").unwrap().as_ref(), Some(&bot));
    assert_eq!(clients::find_by_name(conn, "bot").unwrap(), Some(bot));
    assert_eq!(api_keys::find(conn, "k1").unwrap(), Some(ci));
    assert_eq!(users::find_by_name(conn, "Ann").unwrap(), None);
    assert_eq!(users::find_by_id(conn, "ann").unwrap(), None);
    assert_eq!(clients::find(conn, "bot").unwrap(), None);
    assert_eq!(api_keys::find(conn, "K1").unwrap(), None);
}

#[test]
fn a_name_is_given_once() {
    let conn = &mut Stored::new().connection();
    let taken = |result: Result<(), StoreError>| match result {
        Err(StoreError::NameTaken(name)) => name,
        other => panic!("{other:?}"),
    };
    users::insert(conn, &person("ann")).unwrap();
    assert_eq!(taken(users::insert(conn, &User { id: "other".to_owned(), ..person("ann") })), "a user called `ann`");
    clients::insert(conn, &program("bot")).unwrap();
    assert_eq!(
        taken(clients::insert(conn, &Client { id: "o".to_owned(), session: "o".to_owned(), ..program("bot") })),
        "a client called `bot`"
    );
    let same_session = Client { session: "s-bot".to_owned(), ..program("bat") };
    assert_eq!(taken(clients::insert(conn, &same_session)), "a client called `bat`");
    api_keys::insert(conn, &key("k1", "user:ann")).unwrap();
    assert_eq!(taken(api_keys::insert(conn, &key("k1", "user:bob"))), "an API key with id `k1`");
    api_keys::insert(conn, &key("k2", "user:ann")).unwrap();
    assert_eq!(users::find_by_name(conn, "ann").unwrap().unwrap().id, "u-ann");
}

#[test]
fn of_two_who_insert_one_name_at_once_one_is_told_that_it_is_taken() {
    let stored = Stored::new();
    let outcomes = std::thread::scope(|scope| {
        let writers = [1, 2, 3, 4].map(|n| {
            let store = stored.store.clone();
            let ann = User { id: format!("u-{n}"), ..person("ann") };
            scope.spawn(move || store.transaction(|conn| users::insert(conn, &ann)))
        });
        writers.map(|writer| writer.join().unwrap())
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::NameTaken(_)))).count(), 3);
}

#[test]
fn an_update_of_another_version_changes_nothing() {
    let conn = &mut Stored::new().connection();
    let (ann, bot) = (person("ann"), program("bot"));
    users::insert(conn, &ann).unwrap();
    clients::insert(conn, &bot).unwrap();

    let disabled = User { disabled_at: Some(200), totp_secret: None, roles: String::new(), ..ann.clone() };
    assert_eq!(users::update(conn, &disabled).unwrap(), 2);
    assert_eq!(users::find_by_id(conn, "u-ann").unwrap(), Some(User { version: 2, ..disabled }));
    assert!(matches!(users::update(conn, &ann), Err(StoreError::Changed(name)) if name == "ann"));
    assert_eq!(users::find_by_id(conn, "u-ann").unwrap().unwrap().disabled_at, Some(200));
    assert!(
        matches!(users::update(conn, &person("bob")), Err(StoreError::Absent(name)) if name == "user called `bob`")
    );

    let other = Client { secret: None, jwks: Some("{}".to_owned()), session: "new".to_owned(), ..bot.clone() };
    assert_eq!(clients::update(conn, &other).unwrap(), 2);
    assert_eq!(clients::find(conn, "c-bot").unwrap(), Some(Client { version: 2, ..other }));
    assert!(matches!(clients::update(conn, &bot), Err(StoreError::Changed(name)) if name == "bot"));
    assert!(
        matches!(clients::update(conn, &program("bat")), Err(StoreError::Absent(name)) if name == "client called `bat`")
    );
}

#[test]
fn a_step_of_the_second_factor_is_taken_once_and_survives_an_update() {
    let stored = Stored::new();
    let ann = person("ann");
    stored.store.transaction(|conn| users::insert(conn, &ann)).unwrap();
    let taken = std::thread::scope(|scope| {
        let callers = [(); 4].map(|()| {
            let store = stored.store.clone();
            scope.spawn(move || store.transaction(|conn| users::take_step(conn, "u-ann", 50)).unwrap())
        });
        callers.map(|caller| caller.join().unwrap())
    });
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    let conn = &mut stored.connection();
    assert!(!users::take_step(conn, "u-ann", 49).unwrap());
    assert_eq!(users::update(conn, &ann).unwrap(), 2);
    assert_eq!(users::find_by_id(conn, "u-ann").unwrap().unwrap().totp_last_step, 50);
    assert!(users::take_step(conn, "u-ann", 51).unwrap());
    assert!(!users::take_step(conn, "nobody", 51).unwrap());
}

#[test]
fn a_recovery_code_is_good_once_and_for_its_user_only() {
    let conn = &mut Stored::new().connection();
    for name in ["ann", "bob"] {
        users::insert(conn, &person(name)).unwrap();
        recovery_codes::replace(conn, &person(name).id, &[[1; 32], [2; 32]]).unwrap();
    }
    assert!(recovery_codes::use_one(conn, "u-ann", &[1; 32]).unwrap());
    assert!(!recovery_codes::use_one(conn, "u-ann", &[1; 32]).unwrap());
    assert!(recovery_codes::use_one(conn, "u-bob", &[1; 32]).unwrap());
    recovery_codes::replace(conn, "u-ann", &[[3; 32]]).unwrap();
    assert!(!recovery_codes::use_one(conn, "u-ann", &[2; 32]).unwrap());
    assert!(recovery_codes::replace(conn, "u-ann", &[[4; 32], [4; 32]]).is_err());
    assert!(recovery_codes::use_one(conn, "u-ann", &[3; 32]).unwrap(), "a replacement that failed took nothing away");
    recovery_codes::replace(conn, "u-bob", &[]).unwrap();
    assert!(!recovery_codes::use_one(conn, "u-bob", &[2; 32]).unwrap());
    assert!(recovery_codes::replace(conn, "nobody", &[[1; 32]]).is_err());
}

#[test]
fn lists_go_on_where_they_ended_though_rows_come_and_go() {
    let conn = &mut Stored::new().connection();
    for name in ["eve", "ann", "dan", "bob", "Zoe"] {
        users::insert(conn, &person(name)).unwrap();
        clients::insert(conn, &program(name)).unwrap();
        api_keys::insert(conn, &key(name, "user:ann")).unwrap();
    }
    let names = |part: &ListPage<User>| part.items.iter().map(|user| user.name.clone()).collect::<Vec<_>>();
    let first = users::list(conn, None, two()).unwrap();
    assert_eq!((names(&first), first.next.as_deref()), (vec!["Zoe".into(), "ann".into()], Some("ann")));
    users::remove(conn, "u-ann").unwrap();
    users::remove(conn, "u-bob").unwrap();
    let last = users::list(conn, first.next.as_deref(), two()).unwrap();
    assert_eq!((names(&last), last.next), (vec!["dan".into(), "eve".into()], None));

    let first = clients::list(conn, None, two()).unwrap();
    assert_eq!(first.next.as_deref(), Some("ann"));
    assert_eq!(clients::list(conn, Some("dan"), two()).unwrap().items, [program("eve")]);
    assert_eq!(api_keys::list(conn, Some("dan"), two()).unwrap().items, [key("eve", "user:ann")]);
    assert_eq!(api_keys::list(conn, Some("eve"), two()).unwrap(), ListPage { items: Vec::new(), next: None });
}

#[test]
fn a_key_is_revoked_for_good_and_keeps_its_first_time() {
    let conn = &mut Stored::new().connection();
    for (id, owner) in [("k1", "user:ann"), ("k2", "user:ann"), ("k3", "user:bob")] {
        api_keys::insert(conn, &key(id, owner)).unwrap();
    }
    api_keys::revoke(conn, "k1", 200).unwrap();
    api_keys::revoke(conn, "k1", 300).unwrap();
    assert!(matches!(api_keys::revoke(conn, "k9", 300), Err(StoreError::Absent(id)) if id == "API key with id `k9`"));
    assert_eq!(api_keys::revoke_of(conn, "user:ann", 400).unwrap(), ["k2"]);
    let revoked = ["k1", "k2", "k3"].map(|id| api_keys::find(conn, id).unwrap().unwrap().revoked_at);
    assert_eq!(revoked, [Some(200), Some(400), None]);
}

#[test]
fn the_last_use_of_a_key_never_goes_back() {
    let conn = &mut Stored::new().connection();
    for id in ["k1", "k2"] {
        api_keys::insert(conn, &key(id, "user:ann")).unwrap();
    }
    api_keys::touch(conn, [("k1", 200), ("k9", 200), ("k1", 150)]).unwrap();
    api_keys::touch(conn, []).unwrap();
    assert_eq!(["k1", "k2"].map(|id| api_keys::find(conn, id).unwrap().unwrap().last_used_at), [Some(200), None]);
}

#[test]
fn what_is_removed_is_gone_and_can_be_made_anew() {
    let conn = &mut Stored::new().connection();
    users::insert(conn, &person("ann")).unwrap();
    users::remove(conn, "u-ann").unwrap();
    assert!(matches!(users::remove(conn, "u-ann"), Err(StoreError::Absent(_))));
    users::insert(conn, &person("ann")).unwrap();
    clients::insert(conn, &program("bot")).unwrap();
    clients::remove(conn, "c-bot").unwrap();
    assert!(matches!(clients::remove(conn, "c-bot"), Err(StoreError::Absent(_))));
    clients::insert(conn, &program("bot")).unwrap();
}

#[test]
fn no_secret_shows_in_what_is_printed_for_the_log() {
    let shown = format!("{:?} {:?} {:?}", person("ann"), program("bot"), key("k1", "user:ann"));
    for secret in ["argon2", "[1, 1", "[7, 7", "[9, 9"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
