//! No entity is stored that would be its own ancestor.

use super::*;

fn group(id: &str, parents: &[&str]) -> Entity {
    let uid = |id: &str| EntityUid::new("Group", id);
    let parents = parents.iter().map(|id| uid(id)).collect();
    Entity { uid: uid(id), attrs: crate::domain::Object::default(), parents, tags: crate::domain::Object::default() }
}

fn put(store: &Store, id: &str, parents: &[&str]) -> String {
    match store.put(&group(id, parents), Precondition::default(), |_| Ok(())) {
        Ok(_) => "stored".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn put_many(store: &Store, batch: &[(&str, &[&str])]) -> String {
    let batch: Vec<Entity> = batch.iter().map(|(id, parents)| group(id, parents)).collect();
    match store.put_many(&batch, |_| Ok(())) {
        Ok(_) => "stored".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_cycle_is_refused_whichever_write_would_close_it() {
    let Stored { store, .. } = &Stored::new();
    assert_eq!(
        put(store, "a", &["a"]),
        r#"entity `Group::"a"` would be its own ancestor: `Group::"a"` in `Group::"a"`"#
    );
    assert_eq!(put(store, "a", &["x", "b", "y"]), "stored");
    assert_eq!(put(store, "b", &["c", "y"]), "stored");
    let closed = r#"entity `Group::"c"` would be its own ancestor: `Group::"c"` in `Group::"a"` in `Group::"b"` in `Group::"c"`"#;
    assert_eq!(put(store, "c", &["z", "a"]), closed);
    assert_eq!(put(store, "c", &["z", "y"]), "stored");
    assert_eq!(store.find(&EntityUid::new("Group", "c")).unwrap().unwrap().entity, group("c", &["z", "y"]));
    // A replacement and a removal open what would have been closed.
    assert_eq!(put(store, "z", &["a"]).split(':').next(), Some(r"entity `Group"));
    assert_eq!(put(store, "b", &["y"]), "stored");
    assert_eq!(put(store, "z", &["a"]), "stored");
    assert!(put(store, "b", &["c"]).contains("would be its own ancestor"));
    store.remove(&EntityUid::new("Group", "z"), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!(put(store, "b", &["c"]), "stored");
    // And what comes back may close it again.
    assert!(put(store, "z", &["a"]).contains("would be its own ancestor"));
}

#[test]
fn a_batch_with_a_cycle_in_it_or_with_what_is_stored_changes_nothing() {
    let Stored { store, .. } = &Stored::new();
    let a_in_b: &[(&str, &[&str])] = &[("a", &["b"]), ("b", &["a"])];
    assert!(put_many(store, a_in_b).contains("would be its own ancestor"));
    assert_eq!(store.find(&EntityUid::new("Group", "a")).unwrap(), None);
    assert_eq!(put_many(store, &[("a", &["b"]), ("b", &["c"]), ("d", &["a", "b", "c"])]), "stored");
    assert!(put_many(store, &[("e", &[]), ("c", &["f"]), ("f", &["d"])]).contains("would be its own ancestor"));
    assert_eq!(store.find(&EntityUid::new("Group", "e")).unwrap(), None);
    // One batch may turn the whole order round.
    assert_eq!(put_many(store, &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]), "stored");
}

#[test]
fn a_long_chain_is_closed_by_none_of_its_entities() {
    let Stored { store, .. } = &Stored::new();
    let chain: Vec<Entity> = (0..3_000).map(|nth| group(&nth.to_string(), &[&(nth + 1).to_string()])).collect();
    store.put_many(&chain, |_| Ok(())).unwrap();
    assert_eq!(put(store, "3001", &[]), "stored");
    assert!(put(store, "3000", &["1500"]).contains("would be its own ancestor"));
    assert_eq!(put(store, "3000", &["3001"]), "stored");
}

#[test]
fn of_writers_who_would_close_a_cycle_together_one_is_refused() {
    let stored = Stored::new();
    for round in 0..20 {
        let name = |nth: usize| format!("r{round}-{}", nth % 3);
        let outcomes = std::thread::scope(|scope| {
            let writers = [0, 1, 2].map(|nth| {
                let mut conn = stored.connection();
                let (id, parent) = (name(nth), name(nth + 1));
                scope.spawn(move || {
                    let entity = group(&id, &[&parent]);
                    crate::store::entities::put(&mut conn, &entity, Precondition::default(), |_| Ok(()))
                })
            });
            writers.map(|writer| writer.join().unwrap())
        });
        let refused: Vec<String> =
            outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(ToString::to_string).collect();
        assert!(refused.len() == 1 && refused[0].contains("would be its own ancestor"), "{outcomes:?}");
    }
}
