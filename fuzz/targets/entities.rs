//! Arbitrary entities are parsed or refused; parsed ones survive a round trip and are checked against the schema.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use acgs::constitution::Constitution;
use acgs::domain::{Entity, Evaluation, Object, UnknownMembers};
use acgs::settings::RequestProperties;
use libfuzzer_sys::fuzz_target;

static CONSTITUTION: LazyLock<Constitution> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../settings/constitution");
    Constitution::load(&folder).expect("the shipped constitution has no fault")
});

const QUESTION: &str = r#"{"subject":{"type":"Agent","id":"helper"},"action":{"name":"call_tool"},
    "resource":{"type":"Tool","id":"calculator"}}"#;

fuzz_target!(|text: &str| {
    let Ok(entities) = serde_json::from_str::<Vec<Entity>>(text) else { return };
    let written = serde_json::to_string(&entities).expect("an entity can be written");
    let again: Vec<Entity> = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(entities, again);
    for entity in &entities {
        let _ = CONSTITUTION.check_entity(entity);
        assert!(entity.bytes() > 0 && !entity.uid.to_string().is_empty());
    }
    let question: Object = serde_json::from_str(QUESTION).expect("it is an object");
    let question = Evaluation::from_object(&question, UnknownMembers::Ignored).expect("it is a question");
    // Entities that were stored under another schema must not break a decision either.
    let _ = CONSTITUTION.decide(RequestProperties::Merge, &question, |uid| {
        entities.iter().find(|entity| entity.uid == *uid)
    });
});
