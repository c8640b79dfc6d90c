//! Which entities a decision reads: as deep as its policies look, in as many rounds, and no more.

use std::collections::HashMap;
use std::fmt::Write as _;

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
        r#""attrs":{"owner":{"type":"User","id":"bob"}},"parents":[{"type":"Folder","id":"f"}],
           "tags":{"x":{"type":"User","id":"cy"}}"#,
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
    let by = r#""by":{"type":"User","id":"cy"}"#;
    let rows: [(&str, u32, &str, &[&str]); 12] = [
        ("context has risk && context.risk > 1", 0, "", &[]),
        ("principal == User::\"ann\" && resource.owner == principal", 1, "", &["d"]),
        ("principal.name == \"ann\"", 1, "", &["ann"]),
        ("principal.next.name == \"bob\"", 2, "", &["ann", "bob"]),
        ("principal.next.next.name == \"cy\"", 3, "", &["ann", "bob", "cy"]),
        ("principal in Group::\"all\"", 1, "", &["ann", "anns", "all"]),
        ("resource.owner.next in Group::\"all\"", 3, "", &["d", "bob", "cy", "cys", "all"]),
        ("context has by && context.by.name == \"cy\"", 1, by, &["cy"]),
        ("context has by && context.by.next.name == \"dan\"", 2, by, &["cy", "dan"]),
        ("{ who: principal }.who.next has colour", 2, "", &["ann", "bob"]),
        ("[principal.next, resource.owner].contains(principal)", 1, "", &["ann d"]),
        ("resource.hasTag(\"x\") && resource.getTag(\"x\").name == \"cy\"", 2, "", &["d", "cy"]),
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
                when { principal in Group::\"all\" ||\n\
                (principal.next.next has team && principal.next.next.team has lead && principal.next.next.team.lead == principal) };";
    let constitution =
        Constitution::from_bundle(&Bundle { schema: source("schema.cedarschema", &schema), ..bundle(text) }).unwrap();
    let stored = [
        entity("User::ann", r#""attrs":{"next":{"type":"User","id":"bob"}},"parents":[{"type":"Group","id":"g"}]"#),
        entity("User::bob", r#""attrs":{"next":{"type":"User","id":"cy"}}"#),
        entity("User::cy", r#""attrs":{"team":{"type":"Group","id":"g"}}"#),
        entity("Group::g", r#""attrs":{"lead":{"type":"User","id":"ann"}}"#),
    ];
    assert_eq!(rounds(&constitution, &ann_reads(""), &stored), ["ann", "bob g", "cy", "g"]);
    let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert_eq!(summary(&verdict), "permitted a");
}

#[test]
fn absent_entities_are_asked_for_once() {
    let constitution = at_level("principal.next.name == \"bob\"", 2);
    assert_eq!(rounds(&constitution, &ann_reads(""), &[]), ["ann"]);
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
    assert_eq!(rounds(&constitution, &ann_reads(""), &stored), ["ann", "a", "b", "c"]);
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
    assert_eq!(verdict(4_095), "no_permit");
    assert_eq!(verdict(4_096), "unavailable: the decision reads more than 4096 entities");
}

#[test]
fn a_branch_that_validation_takes_for_dead_is_read_all_the_same() {
    // The schema lets no user be in a folder, so that validation takes what follows `&&` for dead.
    let policies = "@id(\"all\") permit (principal, action, resource);\n\
                    @id(\"a\") @principle(\"safety\") forbid (principal, action == Action::\"read\", resource)\n\
                    when { principal.name == \"x\" || (principal in Folder::\"f\" && principal.next.next has colour) };";
    let constitution = constitution(policies);
    let ann = r#""attrs":{"name":"ann","next":{"type":"User","id":"bob"}},"parents":[{"type":"Folder","id":"f"}]"#;
    let red = r#""attrs":{"colour":{"type":"Colour","id":"red"}}"#;
    let mut stored =
        vec![entity("User::ann", ann), entity("User::bob", r#""attrs":{"next":{"type":"User","id":"cy"}}"#)];
    for (cy, expected) in [(None, "permitted all"), (Some(entity("User::cy", red)), "forbidden a")] {
        stored.extend(cy);
        let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
        assert_eq!(summary(&verdict), expected);
    }
}

/// What is wanted in each round, and what is decided.
fn named(condition: &str, scope: &str, expected: &[&str], decided: &str) {
    let constitution = constitution(&format!("@id(\"a\") permit ({scope}) when {{ {condition} }};"));
    let stored = organisation();
    assert_eq!(rounds(&constitution, &ann_reads(""), &stored), expected, "{scope} {condition}");
    let verdict = constitution.decide(Merge, &ann_reads(""), |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert_eq!(summary(&verdict), decided, "{scope} {condition}");
}

#[test]
fn the_entities_that_a_policy_names_are_read_as_deep_as_it_looks_into_them() {
    let all = "principal, action == Action::\"read\", resource";
    let rows: [(&str, &[&str], &str); 14] = [
        ("User::\"cy\".name == \"cy\"", &["cy"], "permitted a"),
        ("User::\"cy\".next.next.name == \"ann\"", &["cy", "dan", "ann"], "permitted a"),
        ("User::\"cy\" has next.name", &["cy", "dan"], "permitted a"),
        ("User::\"nobody\" has name", &["nobody"], "no_permit"),
        ("User::\"cy\" in Group::\"all\"", &["cy", "cys", "all"], "permitted a"),
        ("User::\"cy\" is User in [Group::\"none\", Group::\"cys\"]", &["cy", "cys", "all"], "permitted a"),
        ("User::\"cy\".next in Group::\"dans\"", &["cy", "dan", "dans", "all"], "permitted a"),
        ("Document::\"d\".hasTag(\"x\") && Document::\"d\".getTag(\"x\").name == \"cy\"", &["d", "cy"], "permitted a"),
        ("{ a: User::\"cy\", b: User::\"dan\" }.a.name == \"cy\"", &["cy"], "permitted a"),
        ("{ a: { b: User::\"cy\" }, c: principal.next }.c.name == \"bob\"", &["ann", "bob"], "permitted a"),
        (
            "(if context has risk then User::\"cy\" else User::\"dan\").next.name == \"ann\"",
            &["cy dan", "ann"],
            "permitted a",
        ),
        ("[User::\"cy\", User::\"dan\"].contains(User::\"bob\".next)", &["bob"], "permitted a"),
        ("principal == User::\"ann\" && action in Action::\"readers\"", &[], "permitted a"),
        ("Action::\"read\" in Action::\"readers\"", &[], "permitted a"),
    ];
    for (condition, expected, decided) in rows {
        named(condition, all, expected, decided);
    }
}

#[test]
fn entities_named_by_policies_that_do_not_apply_are_not_read() {
    let condition = "User::\"cy\".name == \"cy\"";
    let rows: [(&str, &[&str], &str); 9] = [
        ("principal == User::\"ann\", action, resource", &["cy"], "permitted a"),
        ("principal == User::\"bob\", action, resource", &[], "no_permit"),
        ("principal, action == Org::Action::\"check\", resource", &[], "no_permit"),
        ("principal, action, resource is User", &[], "no_permit"),
        ("principal in Group::\"all\", action, resource", &["ann", "anns", "all", "cy"], "permitted a"),
        ("principal in Group::\"bobs\", action, resource", &["ann", "anns", "all"], "no_permit"),
        ("principal in User::\"ann\", action, resource", &["ann", "anns", "all", "cy"], "permitted a"),
        (
            "principal is User in Group::\"anns\", action, resource in Folder::\"f\"",
            &["ann d", "anns f", "all", "cy"],
            "permitted a",
        ),
        (
            "principal in Group::\"all\", action in Action::\"readers\", resource in Folder::\"g\"",
            &["ann d", "anns f", "all"],
            "no_permit",
        ),
    ];
    for (scope, expected, decided) in rows {
        named(condition, scope, expected, decided);
    }
}

#[test]
fn ten_thousand_policies_that_each_name_an_entity_cost_those_that_apply() {
    let mut policies = String::new();
    for number in 0..10_000 {
        let scope = match number % 2 {
            0 => format!("principal in Group::\"g{number}\", action, resource"),
            _ => format!("principal, action, resource == Document::\"d{number}\""),
        };
        writeln!(policies, "@id(\"p{number}\") permit ({scope}) when {{ User::\"u{number}\" has colour }};").unwrap();
    }
    let ann = [entity("User::ann", r#""parents":[{"type":"Group","id":"g4242"}]"#)];
    assert_eq!(rounds(&constitution(&policies), &ann_reads(""), &ann), ["ann", "g4242", "u4242"]);
}

#[test]
fn a_chain_of_references_may_be_as_long_as_a_condition() {
    let condition = format!("principal{}.name == \"ann\"", ".next".repeat(100));
    assert_eq!(rounds(&at_level(&condition, 101), &ann_reads(""), &organisation()), ["ann", "bob", "cy", "dan"]);
}
