//! The scope index leaves out what cannot apply, and nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::*;
use crate::constitution::facts::Facts;
use crate::settings::RequestProperties;

fn gathered(constitution: &Constitution, evaluation: &Evaluation, stored: &[Entity]) -> Facts {
    let stored: HashMap<&EntityUid, &Entity> = stored.iter().map(|entity| (&entity.uid, entity)).collect();
    let mut gathering = constitution.gather(RequestProperties::Merge, evaluation).unwrap();
    while !gathering.wanted().is_empty() {
        let found: Vec<_> = gathering.wanted().iter().map(|uid| stored.get(uid).copied()).collect();
        gathering.supply(found).unwrap();
    }
    gathering.finish()
}

fn candidates(constitution: &Constitution, facts: &Facts) -> Vec<String> {
    let place = |place: &u32| constitution.rules[*place as usize].id.to_string();
    constitution.index.candidates(facts).iter().map(place).collect()
}

#[test]
fn of_ten_thousand_policies_only_those_that_could_apply_are_asked() {
    let mut policies = String::new();
    for number in 0..10_000 {
        let scope = match (number % 500, number % 4) {
            (0, _) => "principal is User, action == Action::\"read\", resource".to_owned(),
            (_, 0) => format!("principal == User::\"u{number}\", action, resource"),
            (_, 1) => format!("principal, action, resource == Document::\"d{number}\""),
            (_, 2) => format!("principal in Group::\"g{number}\", action, resource is Document"),
            _ => "principal, action == Org::Action::\"check\", resource".to_owned(),
        };
        writeln!(policies, "@id(\"p{number}\") permit ({scope});").unwrap();
    }
    let constitution = constitution(&policies);
    let evaluation = question(r#""id":"u""#, r#""name":"read""#, r#""type":"Document","id":"d""#, "");
    let stored = [entity("User::u", r#""parents":[{"type":"Group","id":"g"}]"#)];
    let found = candidates(&constitution, &gathered(&constitution, &evaluation, &stored));
    let expected: Vec<String> = (0..20).map(|nth| format!("p{}", nth * 500)).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_form_of_scope_is_found_by_what_it_matches() {
    let scopes = [
        ("any", "principal, action, resource"),
        ("principal-eq", "principal == User::\"u\", action, resource"),
        ("principal-other", "principal == User::\"v\", action, resource"),
        ("principal-in", "principal in Group::\"top\", action, resource"),
        ("principal-in-other", "principal in Group::\"side\", action, resource"),
        ("principal-in-itself", "principal in User::\"u\", action, resource"),
        ("principal-is", "principal is User, action, resource"),
        ("principal-is-in", "principal is User in Group::\"g\", action, resource"),
        ("resource-eq", "principal, action, resource == Document::\"d\""),
        ("resource-is", "principal, action, resource is Document"),
        ("resource-is-other", "principal, action, resource is User"),
        ("resource-in", "principal, action, resource in Folder::\"f\""),
        ("both-is", "principal is User, action, resource is Document"),
        ("both-eq", "principal == User::\"u\", action, resource == Document::\"d\""),
        ("in-and-eq", "principal in Group::\"g\", action, resource == Document::\"d\""),
        ("action-eq", "principal, action == Action::\"read\", resource"),
        ("action-other", "principal, action == Org::Action::\"check\", resource"),
        ("action-group", "principal, action in Action::\"readers\", resource"),
        ("action-list", "principal, action in [Action::\"readers\", Action::\"read\"], resource"),
    ];
    let policies: Vec<String> = scopes.iter().map(|(id, scope)| format!("@id(\"{id}\") permit ({scope});")).collect();
    let constitution = constitution(&policies.join("\n"));
    let evaluation = question(r#""id":"u""#, r#""name":"read""#, r#""type":"Document","id":"d""#, "");
    let stored = [
        entity("User::u", r#""parents":[{"type":"Group","id":"g"}]"#),
        entity("Group::g", r#""parents":[{"type":"Group","id":"top"}]"#),
        entity("Document::d", r#""parents":[{"type":"Folder","id":"f"}]"#),
    ];
    let facts = gathered(&constitution, &evaluation, &stored);
    let matching: Vec<&str> = scopes.iter().map(|(id, _)| *id).filter(|id| !id.contains("other")).collect();
    let found = candidates(&constitution, &facts);
    // What the index gives beyond that, the scope itself leaves out.
    let holding: Vec<&String> = found
        .iter()
        .filter(|id| constitution.rules.iter().any(|rule| *rule.id == ***id && rule.holds(&facts) == Ok(true)))
        .collect();
    assert_eq!(holding, matching);
    assert_eq!(found, matching, "the index is exact for these");
}

#[test]
fn a_large_ancestry_is_not_walked_for_a_small_index() {
    let constitution = constitution("@id(\"a\") permit (principal in Group::\"g7\", action, resource);");
    let groups: Vec<String> = (0..500).map(|nth| format!(r#"{{"type":"Group","id":"g{nth}"}}"#)).collect();
    let stored = [entity("User::u", &format!(r#""parents":[{}]"#, groups.join(",")))];
    let evaluation = question(r#""id":"u""#, r#""name":"read""#, r#""type":"Document","id":"d""#, "");
    assert_eq!(candidates(&constitution, &gathered(&constitution, &evaluation, &stored)), ["a"]);
    assert_eq!(candidates(&constitution, &gathered(&constitution, &evaluation, &[])), [""; 0]);
}
