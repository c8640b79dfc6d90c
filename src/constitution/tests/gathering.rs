//! Which entities a decision reads: as deep as its policies look, in as many rounds, and no more.

use std::collections::HashMap;

use super::*;
use crate::settings::RequestProperties::Merge;

/// Ann's manager is Bob, his is Cy, and so on; each is in a group of a group.
fn organisation() -> Vec<Entity> {
    let mut all = Vec::new();
    for (name, next) in [("ann", "bob"), ("bob", "cy"), ("cy", "dan"), ("dan", "ann")] {
        let members = format!(
            r#""attrs":{{"name":"{name}","next":{{"type":"User","id":"{next}"}}}},"parents":[{{"type":"Group","id":"{name}s"}}]"#
        );
        all.push(entity(&format!("User::{name}"), &members));
        all.push(entity(&format!("Group::{name}s"), r#""parents":[{"type":"Group","id":"all"}]"#));
    }
    all.push(entity("Group::all", r#""attrs":{"lead":{"type":"User","id":"dan"}}"#));
    all.push(entity(
        "Document::d",
        r#""attrs":{"owner":{"type":"User","id":"bob"}},"parents":[{"type":"Folder","id":"f"}]"#,
    ));
    all
}

fn ann_reads(context: &str) -> Evaluation {
    question(r#""id":"ann""#, r#""name":"read""#, r#""type":"Document","id":"d""#, context)
}

/// What is wanted in each round, sorted.
fn rounds(constitution: &Constitution, evaluation: &Evaluation, stored: &[Entity]) -> Vec<String> {
    let stored: HashMap<&EntityUid, &Entity> = stored.iter().map(|entity| (&entity.uid, entity)).collect();
    let mut gathering = constitution.gather(Merge, evaluation).unwrap();
    let mut rounds = Vec::new();
    while !gathering.wanted().is_empty() {
        let mut ids: Vec<&str> = gathering.wanted().iter().map(|uid| uid.id.as_str()).collect();
        ids.sort_unstable();
        rounds.push(ids.join(" "));
        let found: Vec<_> = gathering.wanted().iter().map(|uid| stored.get(uid).copied()).collect();
        gathering.supply(found).unwrap();
        assert!(rounds.len() < 20, "{rounds:?}");
    }
    rounds
}

fn at_level(condition: &str, level: u32) -> Constitution {
    let constitution = constitution(&format!(
        "@id(\"a\") permit (principal, action == Action::\"read\", resource is Document) when {{ {condition} }};"
    ));
    assert_eq!(constitution.level(), level, "{condition}");
    constitution
}

#[test]
fn a_decision_reads_as_deep_as_its_policies_look() {
    let rows: [(&str, u32, &str, &[&str]); 6] = [
        ("context has risk && context.risk > 1", 0, "", &[]),
        ("principal.name == \"ann\"", 1, "", &["ann d", "anns f", "all"]),
        ("principal.next.name == \"bob\"", 2, "", &["ann d", "anns bob f", "all bobs"]),
        ("principal.next.next.name == \"cy\"", 3, "", &["ann d", "anns bob f", "all bobs cy", "cys"]),
        (
            "context has by && context.by.name == \"cy\"",
            1,
            r#""by":{"type":"User","id":"cy"}"#,
            &["ann cy d", "anns cys f", "all"],
        ),
        (
            "context has by && context.by.next.name == \"dan\"",
            2,
            r#""by":{"type":"User","id":"cy"}"#,
            &["ann cy d", "anns bob cys dan f", "all bobs dans"],
        ),
    ];
    for (condition, level, context, expected) in rows {
        let constitution = at_level(condition, level);
        assert_eq!(rounds(&constitution, &ann_reads(context), &organisation()), expected, "{condition}");
    }
}

#[test]
fn an_ancestor_that_a_policy_looks_into_is_read_again_for_its_attributes() {
    let schema = SCHEMA.replace("next: User,", "next: User, team?: Group,");
    let text = "@id(\"a\") permit (principal, action == Action::\"read\", resource)\n\
                when { principal.next has team && principal.next.team has lead && principal.next.team.lead == principal };";
    let constitution =
        Constitution::from_bundle(&Bundle { schema: source("schema.cedarschema", &schema), ..bundle(text) }).unwrap();
    let stored = [
        entity("User::ann", r#""attrs":{"next":{"type":"User","id":"bob"}},"parents":[{"type":"Group","id":"g"}]"#),
        entity("User::bob", r#""attrs":{"team":{"type":"Group","id":"g"}}"#),
        entity("Group::g", r#""attrs":{"lead":{"type":"User","id":"ann"}}"#),
    ];
    assert_eq!(rounds(&constitution, &ann_reads(""), &stored), ["ann d", "bob g", "g"]);
    let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert_eq!(summary(&verdict), "permitted a");
}

#[test]
fn absent_entities_are_asked_for_once() {
    let constitution = at_level("principal.next.name == \"bob\"", 2);
    assert_eq!(rounds(&constitution, &ann_reads(""), &[]), ["ann d"]);
    let verdict = constitution.decide(Merge, &ann_reads(""), |_| None);
    assert_eq!(summary(&verdict), "evaluation_error a: policy `a`: `next` does not exist");
}

#[test]
fn cycles_of_stored_parents_end() {
    let constitution = constitution("@id(\"a\") permit (principal in Group::\"c\", action, resource);");
    let stored = [
        entity("User::ann", r#""parents":[{"type":"Group","id":"a"}]"#),
        entity("Group::a", r#""parents":[{"type":"Group","id":"b"}]"#),
        entity("Group::b", r#""parents":[{"type":"Group","id":"c"},{"type":"Group","id":"b"}]"#),
        entity("Group::c", r#""parents":[{"type":"Group","id":"a"}]"#),
    ];
    assert_eq!(rounds(&constitution, &ann_reads(""), &stored), ["ann d", "a", "b", "c"]);
    let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert_eq!(summary(&verdict), "permitted a");
}

#[test]
fn a_runaway_hierarchy_is_unavailable() {
    let constitution = constitution("@id(\"a\") permit (principal in Group::\"c\", action, resource);");
    let verdict = |groups: usize| {
        let parents: Vec<String> = (0..groups).map(|nth| format!(r#"{{"type":"Group","id":"g{nth}"}}"#)).collect();
        let ann = entity("User::ann", &format!(r#""parents":[{}]"#, parents.join(",")));
        summary(&constitution.decide(Merge, &ann_reads(""), |uid| (*uid == ann.uid).then_some(&ann)))
    };
    assert_eq!(verdict(4094), "no_permit");
    assert_eq!(verdict(4095), "unavailable: the decision reads more than 4096 entities");
}

#[test]
fn a_policy_that_looks_further_than_validation_saw_errs_rather_than_guesses() {
    // The schema lets no user be in a folder, so that validation takes what follows `&&` for dead.
    let policies = "@id(\"all\") permit (principal, action, resource);\n\
                    @id(\"a\") @principle(\"safety\") forbid (principal, action == Action::\"read\", resource)\n\
                    when { principal.name == \"x\" || (principal in Folder::\"f\" && principal.next.next has colour) };";
    let constitution = constitution(policies);
    assert_eq!(constitution.level(), 1);
    let ann = r#""attrs":{"name":"ann","next":{"type":"User","id":"bob"}},"parents":[{"type":"Folder","id":"f"}]"#;
    let stored = [entity("User::ann", ann), entity("User::bob", r#""attrs":{"next":{"type":"User","id":"cy"}}"#)];
    let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert_eq!(summary(&verdict), "evaluation_error a: policy `a`: entity `User::\"bob\"` was not read");
}
