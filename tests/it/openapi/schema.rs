//! `GET /v1/schema`: requests that the daemon decides by its policies conform, and others do not.

use serde_json::{Value, json};

use super::Document;
use crate::harness::{Request, Setup, TestDaemon};

/// A vocabulary with all types that Cedar has.
const SCHEMA: &str = r#"
entity Group;
entity Colour enum ["red", "green"];
entity Actor in [Group] = {
    name: String,
    boss?: Actor,
    address?: ipaddr,
    likes?: Set<Colour>,
} tags Long;
entity Thing = { size: { width: Long, height?: Long }, since?: datetime, price?: decimal, kept?: duration };
action "paint" appliesTo {
    principal: [Actor],
    resource: [Thing],
    context: { colour: Colour, coats?: Long, action?: { careful: Bool } },
};
action "look" appliesTo { principal: [Actor, Group], resource: [Thing, Actor] };
action "all";
"#;

struct World {
    daemon: TestDaemon,
    validator: jsonschema::Validator,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let principle = "[[principle]]\nid = \"p\"\ntitle = \"P\"\ntext = \"P.\"\ncategory = \"c\"\nseverity = \"low\"\nenforcement = \"block\"\nweight = 1.0\n";
        let manifest = format!("name = \"n\"\nversion = \"1\"\n\n{principle}");
        std::fs::write(folder.path().join("constitution.toml"), manifest).unwrap();
        std::fs::write(folder.path().join("schema.cedarschema"), SCHEMA).unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        let policy = "@id(\"all\")\npermit(principal, action, resource);\n";
        std::fs::write(folder.path().join("policies/all.cedar"), policy).unwrap();
        let setup = Setup::new().constitution(folder.path()).set("constitution.request_properties", mode);
        let daemon = setup.start();
        let answer = daemon.get("/v1/schema");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/schema+json")), "{answer}");
        Document::of(&daemon).check(&Document::of(&daemon).operation("showSchema"), &answer);
        let schema = answer.json();
        jsonschema::meta::validate(&schema).unwrap();
        Self { daemon, validator: jsonschema::draft202012::new(&schema).unwrap(), _folder: folder }
    }

    /// Fails unless the schema and the daemon agree on the request; the reason of the daemon.
    #[track_caller]
    fn agree(&self, request: &Value) -> String {
        let answer = self.daemon.post("/access/v1/evaluation", request).json();
        let reason = answer["context"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let faults: Vec<String> = self.validator.iter_errors(request).map(|error| error.to_string()).collect();
        assert_eq!(faults.is_empty(), reason == "permitted", "{request}\n{answer}\n{faults:#?}");
        reason
    }
}

fn paint(context: &Value) -> Value {
    json!({
        "subject": {"type": "Actor", "id": "a"}, "action": {"name": "paint"}, "resource": {"type": "Thing", "id": "t"},
        "context": context,
    })
}

fn look(subject: &Value, properties: &Value) -> Value {
    let mut resource = subject.clone();
    resource["properties"] = properties.clone();
    json!({"subject": subject, "action": {"name": "look"}, "resource": resource})
}

#[test]
fn contexts_conform_if_they_are_decided() {
    let world = World::new("merge");
    let red = json!({"type": "Colour", "id": "red"});
    for context in [
        json!({"colour": red}),
        json!({"colour": {"__entity": red}, "coats": 2, "other": null}),
        json!({"colour": red, "action": {"careful": true, "other": 1}}),
    ] {
        assert_eq!(world.agree(&paint(&context)), "permitted", "{context}");
    }
    for context in [
        json!({}),
        json!({"colour": "red"}),
        json!({"colour": {"type": "Colour", "id": "blue"}}),
        json!({"colour": {"type": "Thing", "id": "red"}}),
        json!({"colour": {"__entity": {"type": "Colour"}}}),
        json!({"colour": red, "coats": "two"}),
        json!({"colour": red, "coats": 1.5}),
        json!({"colour": red, "action": {}}),
        json!({"colour": red, "action": {"careful": "yes"}}),
    ] {
        assert_eq!(world.agree(&paint(&context)), "invalid_properties", "{context}");
    }
    // The properties of the action replace the member of the context.
    let mut request = paint(&json!({"colour": red, "action": {"careful": "replaced"}}));
    request["action"]["properties"] = json!({"careful": true});
    assert_eq!(world.agree(&request), "permitted");
    request["action"]["properties"] = json!({"careful": 1});
    assert_eq!(world.agree(&request), "invalid_properties");
    request.as_object_mut().unwrap().remove("context");
    request["action"]["properties"] = json!({"careful": true});
    assert_eq!(world.agree(&request), "invalid_properties");
}

#[test]
fn properties_conform_if_they_are_decided() {
    let world = World::new("merge");
    let actor = json!({"type": "Actor", "id": "a"});
    for properties in [
        json!({}),
        json!({"boss": actor, "address": "10.0.0.1/8", "likes": [{"type": "Colour", "id": "green"}]}),
        json!({"address": {"__extn": {"fn": "ip", "arg": "::1"}}}),
    ] {
        assert_eq!(world.agree(&look(&actor, &properties)), "permitted", "{properties}");
    }
    for properties in [
        json!({"name": 1}),
        json!({"boss": {"type": "Group", "id": "g"}}),
        json!({"likes": "green"}),
        json!({"likes": [{"type": "Colour", "id": "blue"}]}),
        json!({"address": 1}),
        json!({"address": {"__extn": {"fn": "decimal", "arg": "1.0"}}}),
    ] {
        assert_eq!(world.agree(&look(&actor, &properties)), "invalid_properties", "{properties}");
    }
    let thing = |properties: &Value| {
        json!({
            "subject": actor, "action": {"name": "look"},
            "resource": {"type": "Thing", "id": "t", "properties": properties},
        })
    };
    for properties in [
        json!({"size": {"width": 1}}),
        json!({"since": "2026-11-24", "price": "1.50", "kept": "1d2h"}),
        json!({"since": "2026-11-24T09:30:00.000+0100", "kept": "-90ms"}),
    ] {
        assert_eq!(world.agree(&thing(&properties)), "permitted", "{properties}");
    }
    for properties in [
        json!({"size": {}}),
        json!({"size": {"width": "1"}}),
        json!({"since": "yesterday"}),
        json!({"price": "1.55555"}),
        json!({"kept": "a day"}),
    ] {
        assert_eq!(world.agree(&thing(&properties)), "invalid_properties", "{properties}");
    }
}

#[test]
fn names_conform_if_they_are_declared() {
    let world = World::new("merge");
    let request = |subject: &str, action: &str, resource: &str| {
        json!({
            "subject": {"type": subject, "id": "x"}, "action": {"name": action},
            "resource": {"type": resource, "id": "x"},
        })
    };
    assert_eq!(world.agree(&request("Group", "look", "Thing")), "permitted");
    for (subject, action, resource, reason) in [
        ("Actor", "fly", "Thing", "unknown_action"),
        ("Kite", "look", "Thing", "unknown_type"),
        ("Actor", "look", "Kite", "unknown_type"),
        ("Group", "paint", "Thing", "unknown_type"),
        ("Thing", "look", "Actor", "unknown_type"),
        ("Actor", "all", "Thing", "unknown_type"),
    ] {
        assert_eq!(world.agree(&request(subject, action, resource)), reason, "{subject} {action} {resource}");
    }
}

#[test]
fn properties_that_are_ignored_are_not_restricted() {
    let world = World::new("ignore");
    let actor = json!({"type": "Actor", "id": "a"});
    assert_eq!(world.agree(&look(&actor, &json!({"name": 1}))), "permitted");
}

#[test]
fn the_shipped_vocabulary_has_a_schema() {
    let daemon = TestDaemon::start();
    let answer = daemon.get("/v1/schema");
    let schema = answer.json();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let question = json!({
        "subject": {"type": "Agent", "id": "helper"}, "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "unit-converter", "properties": {"risk": 1}},
    });
    assert!(validator.is_valid(&question));
    assert!(schema["$defs"]["Attributes.Tool"]["properties"]["risk"].is_object());
    let again = daemon.ask(&Request::get("/v1/schema").header("If-None-Match", answer.header("etag").unwrap()));
    assert_eq!(again.status, 304, "{again}");
}
