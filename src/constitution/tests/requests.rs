//! Requests held against the schema and the store: what does not fit, what wins, what is left out.

use super::*;
use crate::settings::RequestProperties::{self, Ignore, Merge};

const DOCUMENT: &str = r#""type":"Document","id":"d""#;
const READ: &str = r#""name":"read""#;

fn decide(policies: &str, mode: RequestProperties, evaluation: &Evaluation, stored: &[Entity]) -> String {
    summary(&constitution(policies).decide(mode, evaluation, |uid| stored.iter().find(|entity| entity.uid == *uid)))
}

#[test]
fn what_the_schema_does_not_know_is_denied_with_its_name() {
    let user = r#""id":"u""#;
    let rows = [
        (question(user, r#""name":"write""#, DOCUMENT, ""), "unknown_action: the schema has no action `write`"),
        (
            question(user, READ, r#""type":"Robot","id":"r""#, ""),
            "unknown_type: the schema has no type `Robot`, which the resource has",
        ),
        (
            question(user, READ, r#""type":"Folder","id":"f""#, ""),
            "unknown_type: action `read` does not apply to a resource of type `Folder`",
        ),
        (
            question(user, r#""name":"readers""#, DOCUMENT, ""),
            "unknown_type: action `readers` does not apply to a subject of type `User`",
        ),
        (
            question(user, r#""name":"Action::\"read\"""#, DOCUMENT, ""),
            "unknown_action: the schema has no action `Action::\"read\"`",
        ),
        (question(user, r#""name":"check""#, DOCUMENT, ""), "unknown_action: the schema has no action `check`"),
        (question(user, r#""name":"Org::Action::\"check\"""#, DOCUMENT, ""), "permitted a"),
        (question(user, READ, DOCUMENT, ""), "permitted a"),
    ];
    for (evaluation, expected) in rows {
        assert_eq!(decide("@id(\"a\") permit (principal, action, resource);", Merge, &evaluation, &[]), expected);
    }
}

#[test]
fn an_entity_outside_its_enumeration_is_of_no_known_type() {
    let schema = SCHEMA.replace("resource: [Document, User]", "resource: [Document, User, Colour]");
    let text = "@id(\"a\") permit (principal, action, resource);";
    let constitution =
        Constitution::from_bundle(&Bundle { schema: source("schema.cedarschema", &schema), ..bundle(text) }).unwrap();
    let paint = |colour: &str| {
        let resource = format!(r#""type":"Colour","id":"{colour}""#);
        summary(&constitution.decide(Merge, &question(r#""id":"u""#, READ, &resource, ""), |_| None))
    };
    assert_eq!(paint("red"), "permitted a");
    assert_eq!(paint("mauve"), "unknown_type: `Colour::\"mauve\"` is not one of the entities of its type");
}

#[test]
fn an_attribute_of_another_type_is_named() {
    let subject =
        |properties: &str| question(&format!(r#""id":"u","properties":{{{properties}}}"#), READ, DOCUMENT, "");
    let context = |context: &str| question(r#""id":"u""#, READ, DOCUMENT, context);
    let resource = format!(r#"{DOCUMENT},"properties":{{"size":9223372036854775808}}"#);
    let rows = [
        (subject(r#""name":7"#), "`subject.name` must be a string, not an integer"),
        (subject(r#""name":null"#), "`subject.name` must be a string, not null"),
        (subject(r#""home":{"city":1}"#), "`subject.home.city` must be a string, not an integer"),
        (subject(r#""home":{}"#), "`subject.home.city` is required"),
        (
            subject(r#""next":{"type":"Group","id":"g"}"#),
            "`subject.next` must refer to an entity of type `User`, not `Group`",
        ),
        (
            subject(r#""colour":{"type":"Colour","id":"mauve"}"#),
            "`subject.colour` `Colour::\"mauve\"` is not one of the entities of its type",
        ),
        (
            question(r#""id":"u""#, READ, &resource, ""),
            "`resource.size` must be a 64-bit integer, not a number that is no 64-bit integer",
        ),
        (context(r#""risk":"high""#), "`context.risk` must be a 64-bit integer, not a string"),
        (
            context(r#""by":"ann""#),
            "`context.by` must be an entity reference {\"type\": \"User\", \"id\": …}, not a string",
        ),
        (
            question(r#""id":"u""#, r#""name":"read","properties":{"count":"7"}"#, DOCUMENT, ""),
            "`context.action.count` must be a 64-bit integer, not a string",
        ),
        (
            question(r#""id":"u""#, r#""name":"read","properties":{"size":7}"#, DOCUMENT, ""),
            "`context.action.count` is required",
        ),
    ];
    for (evaluation, expected) in rows {
        let verdict = decide("@id(\"a\") permit (principal, action, resource);", Merge, &evaluation, &[]);
        assert_eq!(verdict, format!("invalid_properties: {expected}"));
    }
}

#[test]
fn a_detail_quotes_long_texts_of_callers_by_their_beginning() {
    let long = "x".repeat(1_000);
    let user = r#""id":"u""#;
    let subject = |properties: &str| question(&format!(r#"{user},"properties":{{{properties}}}"#), READ, DOCUMENT, "");
    let rows = [
        question(user, &format!(r#""name":"{long}""#), DOCUMENT, ""),
        question(user, READ, &format!(r#""type":"{long}","id":"d""#), ""),
        subject(&format!(r#""next":{{"type":"{long}{long}","id":"g"}}"#)),
        subject(&format!(r#""colour":{{"type":"Colour","id":"{long}{long}"}}"#)),
    ];
    let stored_under = |tag: &str| [entity("Document::d", &format!(r#""tags":{{"{tag}":1}}"#))];
    let policies = "@id(\"a\") permit (principal, action, resource);";
    let mut verdicts: Vec<String> = rows.iter().map(|row| decide(policies, Merge, row, &[])).collect();
    let read_tags = "@id(\"a\") permit (principal, action, resource is Document) when { resource.hasTag(\"a\") };";
    verdicts.push(decide(read_tags, Merge, &question(user, READ, DOCUMENT, ""), &stored_under(&long)));
    for verdict in verdicts {
        assert!(verdict.contains("xxx… (") && verdict.contains(" bytes)") && verdict.len() < 300, "{verdict}");
    }
}

#[test]
fn a_stored_attribute_of_another_type_is_named_with_its_entity() {
    let stored = [entity("Document::d", r#""attrs":{"owner":"ann"}"#)];
    let evaluation = question(r#""id":"u""#, READ, DOCUMENT, "");
    let expected = "invalid_properties: `Document::\"d\".owner` must be an entity reference {\"type\": \"User\", \"id\": …}, not a string";
    assert_eq!(decide(POLICIES, Merge, &evaluation, &stored), expected);
    let stored = [entity("Document::d", r#""tags":{"x":1}"#)];
    let expected = "invalid_properties: `Document::\"d\".x` must be an entity reference {\"type\": \"User\", \"id\": …}, not an integer";
    assert_eq!(decide(POLICIES, Merge, &evaluation, &stored), expected);
}

#[test]
fn what_is_stored_wins_over_the_properties_of_a_request() {
    let policies = "@id(\"name\") permit (principal, action, resource) when { principal.name == \"stored\" };\n\
                    @id(\"colour\") permit (principal, action, resource)\n\
                    when { principal has colour && principal.colour == Colour::\"red\" };";
    let properties =
        r#""id":"u","properties":{"name":"sent","colour":{"type":"Colour","id":"red"},"undeclared":[null]}"#;
    let evaluation = question(properties, READ, DOCUMENT, "");
    let stored = [entity("User::u", r#""attrs":{"name":"stored"}"#)];
    assert_eq!(decide(policies, Merge, &evaluation, &stored), "permitted name colour");
    assert_eq!(decide(policies, Ignore, &evaluation, &stored), "permitted name");
    assert_eq!(decide(policies, Merge, &evaluation, &[]), "permitted colour");
    assert_eq!(
        decide(policies, Ignore, &evaluation, &[]),
        "evaluation_error name: policy `name`: `name` does not exist"
    );
}

#[test]
fn properties_that_are_ignored_need_not_fit() {
    let evaluation = question(r#""id":"u","properties":{"name":7}"#, READ, DOCUMENT, "");
    assert_eq!(decide("@id(\"a\") permit (principal, action, resource);", Ignore, &evaluation, &[]), "permitted a");
}

#[test]
fn one_entity_in_both_roles_has_the_properties_of_both() {
    let policy = "@id(\"a\") permit (principal, action == Action::\"read\", resource is User)\n\
                  when { principal.name == \"first\" && resource has colour && principal has colour };";
    let evaluation = question(
        r#""id":"u","properties":{"name":"first"}"#,
        READ,
        r#""type":"User","id":"u","properties":{"name":"second","colour":{"type":"Colour","id":"red"}}"#,
        "",
    );
    assert_eq!(decide(policy, Merge, &evaluation, &[]), "permitted a");
}

#[test]
fn the_properties_of_an_action_replace_those_in_the_context() {
    let policy = "@id(\"a\") permit (principal, action == Action::\"read\", resource)\n\
                  when { context has action && context.action.count == 1 };";
    let sent = r#""action":{"count":2}"#;
    let with = question(r#""id":"u""#, r#""name":"read","properties":{"count":1}"#, DOCUMENT, sent);
    assert_eq!(decide(policy, Merge, &with, &[]), "permitted a");
    assert_eq!(decide(policy, Merge, &question(r#""id":"u""#, READ, DOCUMENT, sent), &[]), "no_permit");
}

#[test]
fn a_warning_is_reported_and_costs_its_weight_but_does_not_deny() {
    let policies = "@id(\"all\") permit (principal, action, resource);\n\
                    @id(\"leak\") @principle(\"privacy\") @advice(\"ask\") forbid (principal, action, resource);";
    let evaluation = question(r#""id":"u""#, READ, DOCUMENT, "");
    let verdict = constitution(policies).decide(Merge, &evaluation, |_| None);
    assert_eq!(summary(&verdict), "permitted all");
    assert!(verdict.violations.is_empty());
    assert_eq!((&*verdict.warnings[0].principle, &*verdict.warnings[0].policies[0]), ("privacy", "leak"));
    assert!((verdict.score - 0.75).abs() < f64::EPSILON);
    let blocked = constitution(&policies.replace("privacy", "safety")).decide(Merge, &evaluation, |_| None);
    assert_eq!(summary(&blocked), "forbidden leak");
    assert!((blocked.score - 0.25).abs() < f64::EPSILON);
}

#[test]
fn a_reference_that_names_two_entities_is_refused_wherever_it_stands() {
    let allowed = "@id(\"a\") permit (principal, action, resource is Document) when { resource.owner == principal };";
    let same = r#"{"type":"User","id":"u","__entity":{"type":"User","id":"u"}}"#;
    let plain = r#"{"__entity":{"type":"User","id":"u"}}"#;
    let wrong = [
        (r#"{"type":"User","id":"v","__entity":{"type":"User","id":"u"}}"#, "different values of `id`"),
        (r#"{"type":"Group","id":"u","__entity":{"type":"User","id":"u"}}"#, "different values of `type`"),
        (r#"{"id":"v","__entity":{"type":"User","id":"u"}}"#, "different values of `id`"),
        (r#"{"type":7,"__entity":{"type":"User","id":"u"}}"#, "different values of `type`"),
        (r#"{"type":"User","id":"u","__entity":7}"#, "`__entity` must be an object"),
        (r#"{"type":"User","id":"u","__entity":null}"#, "`__entity` must be an object"),
        (r#"{"type":"User","id":"u","__extn":{"fn":"ip","arg":"::1"}}"#, "must not have `__extn`"),
        (r#"{"__entity":{"__entity":{"type":"User","id":"v"},"type":"User","id":"u"}}"#, "within `__entity`"),
    ];
    let owner = |reference: &str| {
        let resource = format!(r#"{DOCUMENT},"properties":{{"owner":{reference}}}"#);
        decide(allowed, Merge, &question(r#""id":"u""#, READ, &resource, ""), &[])
    };
    let context = |reference: &str| {
        let policies = "@id(\"a\") permit (principal, action == Action::\"read\", resource)\n\
                        when { context has by && context.by == principal };";
        decide(policies, Merge, &question(r#""id":"u""#, READ, DOCUMENT, &format!("\"by\":{reference}")), &[])
    };
    let stored = |reference: &str| {
        let stored = [entity("Document::d", &format!(r#""attrs":{{"owner":{reference}}}"#))];
        decide(allowed, Merge, &question(r#""id":"u""#, READ, DOCUMENT, ""), &stored)
    };
    let written = |reference: &str| {
        let attrs = format!(r#""attrs":{{"owner":{reference}}},"tags":{{"t":{reference}}}"#);
        constitution(allowed).check_entity(&entity("Document::d", &attrs))
    };
    for reference in [same, plain] {
        assert_eq!([owner(reference), context(reference), stored(reference)], ["permitted a"; 3], "{reference}");
        written(reference).unwrap();
    }
    for (reference, part) in wrong {
        for verdict in [owner(reference), context(reference), stored(reference)] {
            assert!(verdict.starts_with("invalid_properties: ") && verdict.contains(part), "{reference}: {verdict}");
        }
        assert!(written(reference).is_err(), "{reference}");
    }
}

#[test]
fn a_party_that_names_two_entities_is_no_request() {
    let read = |subject: &str| {
        let request =
            format!(r#"{{"subject":{subject},"action":{{"name":"read"}},"resource":{{"type":"Document","id":"d"}}}}"#);
        let faults = Evaluation::from_object(&serde_json::from_str(&request).unwrap(), UnknownMembers::Ignored);
        faults.map_or_else(|faults| faults[0].to_string(), |_| "read".to_owned())
    };
    assert_eq!(read(r#"{"type":"User","id":"u","__entity":{"type":"User","id":"u"}}"#), "read");
    let refused = "`subject.__entity` names another entity than `type` and `id`";
    for other in [r#"{"type":"User","id":"v"}"#, r#"{"type":"Group","id":"u"}"#, r#"{"id":"u"}"#, "7", "null"] {
        assert_eq!(read(&format!(r#"{{"type":"User","id":"u","__entity":{other}}}"#)), refused, "{other}");
    }
}
