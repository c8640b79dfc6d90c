//! Reading, writing and listing.

use std::collections::HashSet;

use diesel::connection::SimpleConnection;

use super::*;

#[test]
fn an_entity_is_found_as_it_was_put() {
    let Stored { store, .. } = &Stored::new();
    let written = store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!((written.version, written.created), (1, true));
    let found = store.find(&uid("ann")).unwrap();
    assert_eq!(found, Some(StoredEntity { entity: user("ann", 1), version: 1 }));

    let written = store.put(&user("ann", 2), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!((written.version, written.created), (2, false));
    let found = store.find(&uid("ann")).unwrap();
    assert_eq!(found, Some(StoredEntity { entity: user("ann", 2), version: 2 }));
    assert_eq!(store.find(&uid("Ann")).unwrap(), None);
    assert_eq!(store.find(&EntityUid::new("Team", "ann")).unwrap(), None);
}

#[test]
fn a_write_whose_precondition_does_not_hold_changes_nothing() {
    let Stored { store, .. } = &Stored::new();
    let refused = |precondition| store.put(&user("ann", 9), precondition, |_| Ok(())).unwrap_err().to_string();
    assert_eq!(refused(Precondition::at(1)), r#"`User::"ann"` does not have the expected version"#);
    assert_eq!(store.find(&uid("ann")).unwrap(), None);

    let first = store.put(&user("ann", 1), Precondition::absent(), |_| Ok(())).unwrap();
    assert_eq!(refused(Precondition::absent()), r#"`User::"ann"` is stored already"#);
    let second = store.put(&user("ann", 2), Precondition::at(first.version), |_| Ok(())).unwrap();
    assert!(second.version > first.version);
    assert_eq!(refused(Precondition::at(first.version)), r#"`User::"ann"` does not have the expected version"#);
    assert_eq!(store.find(&uid("ann")).unwrap().unwrap().entity, user("ann", 2));

    let stale = store.remove(&uid("ann"), Precondition::at(first.version), |_| Ok(())).unwrap_err();
    let StoreError::Stale { stored, .. } = stale else { panic!("{stale}") };
    assert_eq!(stored, Some(second.version));
    assert!(store.find(&uid("ann")).unwrap().is_some());
    store.remove(&uid("ann"), Precondition::at(second.version), |_| Ok(())).unwrap();
    assert_eq!(store.find(&uid("ann")).unwrap(), None);
}

#[test]
fn removing_what_is_not_stored_says_so_whatever_the_precondition() {
    let Stored { store, .. } = &Stored::new();
    for precondition in [Precondition::default(), Precondition::at(1), Precondition::absent()] {
        let missing = store.remove(&uid("ann"), precondition, |_| Ok(())).unwrap_err();
        assert!(matches!(missing, StoreError::Missing(_)), "{missing}");
    }
}

#[test]
fn an_entity_made_anew_never_has_an_old_version() {
    let Stored { store, .. } = &Stored::new();
    let first = store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    store.remove(&uid("ann"), Precondition::default(), |_| Ok(())).unwrap();
    let second = store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    assert!(second.created && second.version > first.version);
    let stale = store.put(&user("ann", 2), Precondition::at(first.version), |_| Ok(())).unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale}");
}

#[test]
fn versions_go_on_when_the_store_is_opened_again() {
    let stored = Stored::new();
    let before = stored.store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    stored.store.remove(&uid("ann"), Precondition::default(), |_| Ok(())).unwrap();
    let again = Store::open(&stored.options).unwrap();
    assert!(again.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap().version > before.version);
}

#[test]
fn a_batch_is_stored_whole() {
    let Stored { store, .. } = &Stored::new();
    store.put(&user("bob", 0), Precondition::default(), |_| Ok(())).unwrap();
    let written = store.put_many(&[user("ann", 1), user("bob", 2), user("cid", 3)], |_| Ok(())).unwrap();
    assert_eq!(written.iter().map(|w| (w.version, w.created)).collect::<Vec<_>>(), [(2, true), (3, false), (4, true)]);
    let found = store.find_many(&[uid("cid"), uid("bob"), uid("nobody"), uid("ann"), uid("bob")]).unwrap();
    let found = found.into_iter().map(|found| found.map(|stored| stored.entity)).collect::<Vec<_>>();
    let (ann, bob, cid) = (user("ann", 1), user("bob", 2), user("cid", 3));
    assert_eq!(found, [Some(cid), Some(bob.clone()), None, Some(ann), Some(bob)]);
}

#[test]
fn nothing_of_a_batch_is_stored_when_one_of_it_fails() {
    if server::is_elsewhere() {
        return;
    }
    let stored = Stored::new();
    let store = &stored.store;
    store.put(&user("bob", 0), Precondition::default(), |_| Ok(())).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON entities WHEN NEW.id = 'bad'
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    stored.connection().batch_execute(refuse).unwrap();

    let twice = store.put_many(&[user("ann", 1), user("bob", 1), user("ann", 2)], |_| Ok(())).unwrap_err();
    assert_eq!(twice.to_string(), r#"`User::"ann"` is named twice in one batch"#);
    let failed = store.put_many(&[user("ann", 1), user("bob", 1), user("bad", 1)], |_| Ok(())).unwrap_err();
    assert!(failed.to_string().ends_with("is unavailable: not this one"), "{failed}");

    assert_eq!(store.find(&uid("ann")).unwrap(), None);
    assert_eq!(store.find(&uid("bob")).unwrap(), Some(StoredEntity { entity: user("bob", 0), version: 1 }));
}

#[test]
fn thousands_of_names_of_many_types_are_found_at_once() {
    let Stored { store, .. } = &Stored::new();
    let typed = |n: usize| EntityUid::new(format!("Type{}", n % 40), format!("id-{n}"));
    let batch = (0..3000).map(|n| Entity { uid: typed(n), ..user("", 0) }).collect::<Vec<_>>();
    let one_type = (0..1200).map(|n| user(&format!("{n}"), 0));
    store.put_many(&batch.into_iter().chain(one_type).collect::<Vec<_>>(), |_| Ok(())).unwrap();

    let asked = (0..4000).rev().map(typed).chain((0..1300).map(|n| uid(&n.to_string()))).collect::<Vec<_>>();
    let found = store.find_many(&asked).unwrap();
    assert_eq!(found.len(), asked.len());
    for (at, (uid, found)) in asked.iter().zip(&found).enumerate() {
        let is_stored = (1000..4000).contains(&at) || (4000..5200).contains(&at);
        assert_eq!(found.as_ref().map(|stored| &stored.entity.uid), is_stored.then_some(uid));
    }
    assert_eq!(store.find_many(&[]).unwrap(), []);
}

#[test]
fn a_list_gives_every_entity_once_whatever_its_id() {
    let Stored { store, .. } = &Stored::new();
    let odd =
        ["", " ", "%", "_", "'", "\"", "\\", "a", "A", "a\u{0}b", "é", "e\u{301}", "日本", "🦀", "\u{10ffff}", "\n"];
    let odd = odd.into_iter().filter(|id| !(store.is_shared() && id.contains('\0'))).collect::<Vec<_>>();
    store.put_many(&odd.iter().map(|id| user(id, 1)).collect::<Vec<_>>(), |_| Ok(())).unwrap();
    store.put_many(&[Entity { uid: EntityUid::new("Usera", "x"), ..user("", 0) }], |_| Ok(())).unwrap();
    let mut sorted = odd.clone();
    sorted.sort_unstable();
    for limit in [1, 3, 16, 100] {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list("User", cursor.as_ref(), NonZeroU16::new(limit).unwrap()).unwrap();
            assert!(page.items.len() <= usize::from(limit));
            ids.extend(page.items.into_iter().map(|stored| stored.entity.uid.id));
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse::<Cursor>().unwrap());
        }
        assert_eq!(ids, sorted);
    }
}

#[test]
fn a_list_goes_on_after_its_cursor_entity_is_removed() {
    let Stored { store, .. } = &Stored::new();
    store.put_many(&["a", "b", "c"].map(|id| user(id, 1)), |_| Ok(())).unwrap();
    let two = NonZeroU16::new(2).unwrap();
    let cursor = store.list("User", None, two).unwrap().next.unwrap();
    store.remove(&uid("b"), Precondition::default(), |_| Ok(())).unwrap();
    let rest = store.list("User", Some(&cursor), two).unwrap();
    assert_eq!(rest.items.iter().map(|stored| &*stored.entity.uid.id).collect::<Vec<_>>(), ["c"]);
    assert_eq!(rest.next, None);
    assert!(matches!(store.list("Team", Some(&cursor), two), Err(StoreError::Cursor)));
    assert_eq!(store.list("Team", None, two).unwrap(), Page { items: vec![], next: None });
}

#[test]
fn all_names_come_in_order_part_by_part() {
    let Stored { store, .. } = &Stored::new();
    let batch = ["b", "a", "", "é"].map(|id| ["User", "Team"].map(|kind| EntityUid::new(kind, id)));
    let mut expected = batch.concat();
    let entity = |uid: &EntityUid| Entity { uid: uid.clone(), ..user("", 0) };
    store.put_many(&expected.iter().map(entity).collect::<Vec<_>>(), |_| Ok(())).unwrap();
    expected.sort_unstable();
    for limit in [1, 3, 8, 100] {
        let mut names = Vec::new();
        loop {
            let part = store.names(names.last(), NonZeroU16::new(limit).unwrap()).unwrap();
            if part.is_empty() {
                break;
            }
            names.extend(part);
        }
        assert_eq!(names, expected, "{limit} at a time");
    }
}

#[test]
fn the_types_are_those_that_have_entities() {
    let stored = Stored::new();
    let types = || super::super::entities::types(&mut stored.connection()).unwrap();
    assert!(types().is_empty());
    let kinds = ["acgs::Agent", "User", "Team", "Ünit"];
    let batch = kinds.map(|kind| ["1", "2"].map(|id| Entity { uid: EntityUid::new(kind, id), ..user("", 0) }));
    stored.store.put_many(&batch.concat(), |_| Ok(())).unwrap();
    assert_eq!(types(), ["Team", "User", "acgs::Agent", "Ünit"]);
    stored.store.remove(&EntityUid::new("Team", "1"), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!(types().len(), 4);
    stored.store.remove(&EntityUid::new("Team", "2"), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!(types(), ["User", "acgs::Agent", "Ünit"]);
}

#[test]
fn a_row_that_is_no_entity_is_named() {
    let stored = Stored::new();
    stored.store.put_many(&[user("ann", 1), user("bob", 1)], |_| Ok(())).unwrap();
    let mut conn = stored.connection();
    for (column, text, said) in [
        ("attrs", "{\"a\":", "`attrs`: EOF while parsing a value at line 1 column 5"),
        ("attrs", "{\"a\":1,\"a\":2}", "`attrs`: duplicate key `a` at line 1 column 13"),
        ("parents", "[{\"type\":\"Team\"}]", "`parents`: missing field `id` at line 1 column 16"),
        ("tags", "[]", "`tags`: must be an object, not an array"),
    ] {
        stored.store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
        conn.batch_execute(&format!("UPDATE entities SET {column} = '{text}' WHERE id = 'ann'")).unwrap();
        let expected = format!(r#"the stored entity `User::"ann"` is damaged: {said}"#);
        assert_eq!(stored.store.find(&uid("ann")).unwrap_err().to_string(), expected);
        assert_eq!(stored.store.find_many(&[uid("bob"), uid("ann")]).unwrap_err().to_string(), expected);
    }
    assert!(stored.store.find(&uid("bob")).unwrap().is_some());
}

#[test]
fn a_stamp_taken_before_a_write_is_not_current_after_it() {
    let Stored { store, .. } = &Stored::new();
    let versions = store.versions();
    let ann = uid("ann");
    let stale_after = |write: &dyn Fn()| {
        let stamp = versions.stamp(&ann);
        assert!(versions.is_current(&stamp));
        write();
        assert!(!versions.is_current(&stamp));
    };
    stale_after(&|| assert!(store.put(&user("ann", 1), Precondition::absent(), |_| Ok(())).unwrap().created));
    stale_after(&|| drop(store.put_many(&[user("bob", 1), user("ann", 2)], |_| Ok(())).unwrap()));
    stale_after(&|| assert!(store.remove(&ann, Precondition::default(), |_| Ok(())).is_ok()));
    let stamp = versions.stamp(&ann);
    store.find(&ann).unwrap();
    store.put(&user("carol", 1), Precondition::default(), |_| Ok(())).unwrap();
    assert!(versions.is_current(&stamp));
}

#[test]
fn a_write_makes_its_type_known_before_and_its_stamp_stale_after() {
    let Stored { store, .. } = &Stored::new();
    let stamp = store.versions().stamp(&uid("ann"));
    // A write that failed may still be on disk, so it counts too.
    let failed = store.write([&uid("ann")], |_| {
        assert!(store.types().contains("User") && store.versions().is_current(&stamp));
        Err::<(Option<Commit>, ()), _>(StoreError::unavailable("the commit failed"))
    });
    assert!(failed.is_err());
    assert!(!store.versions().is_current(&stamp));
}

#[test]
fn a_type_is_known_from_its_first_entity_on_and_after_opening_again() {
    let stored = Stored::new();
    let types = stored.store.types().clone();
    assert!(!types.contains("User"));
    stored.store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    assert!(types.contains("User") && !types.contains("Team"));
    stored.store.remove(&uid("ann"), Precondition::default(), |_| Ok(())).unwrap();
    assert!(types.contains("User"));
    stored
        .store
        .put(&Entity { uid: EntityUid::new("Team", "t"), ..user("", 0) }, Precondition::default(), |_| Ok(()))
        .unwrap();
    let again = Store::open(&stored.options).unwrap();
    assert_eq!(["User", "Team"].map(|kind| again.types().contains(kind)), [false, true]);
}

#[test]
fn versions_of_a_batch_are_all_different() {
    let Stored { store, .. } = &Stored::new();
    let batch = (0..100).map(|n| user(&format!("{n}"), n)).collect::<Vec<_>>();
    let written = [store.put_many(&batch, |_| Ok(())).unwrap(), store.put_many(&batch, |_| Ok(())).unwrap()].concat();
    assert_eq!(written.iter().map(|written| written.version).collect::<HashSet<_>>().len(), 200);
}
