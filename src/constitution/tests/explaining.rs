//! What a deny says: which permits came nearest, and what of the request may be misspelt.

use std::fmt::Write as _;

use super::*;
use crate::settings::RequestProperties::{Ignore, Merge};

const READ: &str = r#""name":"read""#;
const DOCUMENT: &str = r#""type":"Document","id":"d""#;

fn deny(policies: &str, evaluation: &Evaluation, stored: &[Entity]) -> Verdict {
    let verdict =
        constitution(policies).decide(Merge, evaluation, |uid| stored.iter().find(|entity| entity.uid == *uid));
    assert!(!verdict.permits(), "{verdict:?}");
    verdict
}

/// The permits that came nearest, each with what of it does not hold.
fn nearest(verdict: &Verdict) -> Vec<String> {
    let shown = |near: &crate::domain::NearMiss| format!("{}: {}", near.policy, near.failed.join(" & "));
    verdict.nearest.iter().map(shown).collect()
}

#[test]
fn the_permits_that_lack_least_are_named_with_what_does_not_hold_as_it_is_written() {
    let policies = r#"
@id("admins") @advice("ask for the group of admins")
permit (principal in Group::"admins", action == Action::"read", resource);
@id("large")
permit (principal, action == Action::"read", resource is Document)
when { resource has size && resource.size > 3 && resource.owner == principal }
unless { context has risk };
@id("users") permit (principal, action == Action::"read", resource is User);
@id("check") permit (principal, action == Org::Action::"check", resource);
@id("calm") permit (principal, action, resource) when { principal.name == "u" } unless { context  has
    risk };
@id("one") permit (principal == User::"v", action, resource is Document in Folder::"f");
"#;
    let stored = [entity("User::\"u\"", r#""attrs":{"name":"u"}"#)];
    let verdict = deny(policies, &question(r#""id":"u""#, READ, DOCUMENT, r#""risk":1"#), &stored);
    assert_eq!(verdict.reason.as_str(), "no_permit");
    assert_eq!(
        nearest(&verdict),
        ["calm: !(context has risk)", "large: resource has size", "admins: principal in Group::\"admins\""]
    );
    assert_eq!(verdict.nearest[2].advice.as_deref(), Some("ask for the group of admins"));
    // Where a condition cannot be evaluated, it does not hold either.
    let verdict = deny(policies, &question(r#""id":"w""#, r#""name":"Org::Action::\"check\"""#, DOCUMENT, ""), &[]);
    assert!(verdict.detail.is_some() || !verdict.nearest.is_empty(), "{verdict:?}");
    let all = "@id(\"one\") permit (principal == User::\"v\", action, resource is Document in Folder::\"f\");";
    let verdict = deny(all, &question(r#""id":"u""#, READ, DOCUMENT, ""), &[]);
    assert_eq!(
        nearest(&verdict),
        ["one: principal == User::\"v\" & resource is Document in Folder::\"f\""],
        "both parts of the scope"
    );
}

#[test]
fn nothing_is_near_where_nothing_permits_the_action_or_something_else_decides() {
    let forbids = "@id(\"f\") @principle(\"safety\") forbid (principal, action, resource);";
    for policies in [forbids, "@id(\"u\") permit (principal, action, resource is User);"] {
        assert_eq!(nearest(&deny(policies, &question(r#""id":"u""#, READ, DOCUMENT, ""), &[])), [""; 0]);
    }
}

#[test]
fn however_many_permits_there_are_few_are_looked_at_and_fewer_shown() {
    let mut policies = String::new();
    for n in 0..200 {
        let _ = writeln!(policies, "@id(\"p{n}\") permit (principal, action, resource) when {{ context has risk }};");
    }
    // It comes nearest of all, and is too far behind to be looked at.
    policies.push_str("@id(\"q\") permit (principal, action, resource) when { false };");
    let verdict = deny(&policies, &question(r#""id":"u""#, READ, DOCUMENT, ""), &[]);
    assert_eq!(nearest(&verdict), ["p0", "p1", "p2"].map(|id| format!("{id}: context has risk")));
}

#[test]
fn long_conditions_are_cut_off() {
    let long = "x".repeat(1_000);
    let policies = format!("@id(\"a\") permit (principal, action, resource) when {{ principal.name == \"{long}\" }};");
    let stored = [entity("User::\"u\"", r#""attrs":{"name":"é"}"#)];
    let verdict = deny(&policies, &question(r#""id":"u""#, READ, DOCUMENT, ""), &stored);
    assert!(verdict.nearest[0].failed[0].chars().count() <= 201, "{verdict:?}");
}

#[test]
fn names_that_are_nearly_declared_are_suggested() {
    let policies = "@id(\"a\") permit (principal, action, resource) when { context has risk };";
    let detail = |evaluation: &Evaluation| deny(policies, evaluation, &[]).detail.unwrap_or_default();
    let user = r#""id":"u""#;
    for (evaluation, expected) in [
        (question(user, r#""name":"raed""#, DOCUMENT, ""), "the schema has no action `raed`; did you mean `read`?"),
        (question(user, r#""name":"Read""#, DOCUMENT, ""), "the schema has no action `Read`; did you mean `read`?"),
        (
            question(user, READ, r#""type":"Documnet","id":"d""#, ""),
            "the schema has no type `Documnet`, which the resource has; did you mean `Document`?",
        ),
        (question(user, r#""name":"zzzzzzzz""#, DOCUMENT, ""), "the schema has no action `zzzzzzzz`"),
        (
            question(user, READ, DOCUMENT, r#""rsik":1,"other":2"#),
            "`context.rsik` is not declared and was left out; did you mean `risk`?",
        ),
        (
            question(r#""id":"u","properties":{"nmae":"x","home":{"city":"c","ctiy":"c"}}"#, READ, DOCUMENT, ""),
            "`subject.properties.nmae` is not declared and was left out; did you mean `name`?",
        ),
        (
            question(user, r#""name":"read","properties":{"cuont":1}"#, DOCUMENT, ""),
            "`context.action.count` is required; \
             `context.action.cuont` is not declared and was left out; did you mean `count`?",
        ),
        (question(user, READ, DOCUMENT, r#""other":2"#), ""),
    ] {
        assert_eq!(detail(&evaluation), expected);
    }
    // What is not looked at in any case is not said to be misspelt.
    let evaluation = question(r#""id":"u","properties":{"nmae":"x"}"#, READ, DOCUMENT, "");
    assert_eq!(constitution(policies).decide(Ignore, &evaluation, |_| None).detail, None);
}

#[test]
fn a_request_of_many_odd_names_costs_little_and_names_few() {
    let members: Vec<String> = (0..5_000).map(|n| format!("\"rsk{n}\":1")).collect();
    let verdict = deny(
        "@id(\"a\") permit (principal, action, resource) when { context has risk };",
        &question(r#""id":"u""#, READ, DOCUMENT, &members.join(",")),
        &[],
    );
    assert!(verdict.detail.unwrap_or_default().matches("did you mean").count() <= 4);
}

/// Each policy with its outcome and its detail.
fn explained(policies: &str, evaluation: &Evaluation, stored: &[Entity]) -> (Vec<String>, usize) {
    let constitution = constitution(policies);
    let mut gathering = constitution.gather(Merge, evaluation).unwrap();
    while !gathering.wanted().is_empty() {
        let found: Vec<_> =
            gathering.wanted().iter().map(|uid| stored.iter().find(|entity| entity.uid == *uid)).collect();
        gathering.supply(found).unwrap();
    }
    let (reports, left_out) = constitution.explain(&gathering.finish());
    let lines = reports.iter().map(|report| {
        let policy = constitution.policy_at(report.position).unwrap();
        let detail = report.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let outcome = serde_json::to_value(report.outcome).unwrap();
        format!("{} {}{detail}", policy.id, outcome.as_str().unwrap())
    });
    (lines.collect(), left_out)
}

#[test]
fn an_explanation_has_the_outcome_of_each_policy_in_the_order_of_the_bundle() {
    let policies = r#"
@id("other-action") permit (principal, action == Org::Action::"check", resource);
@id("other-type") permit (principal, action, resource is User);
@id("group") permit (principal in Group::"admins", action, resource);
@id("unnamed") permit (principal, action, resource) when { principal.name == "v" && context has risk };
@id("holds") permit (principal, action, resource is Document);
@id("fails") @principle("safety") forbid (principal, action, resource) when { principal.next.name == "x" };
"#;
    let stored = [entity("User::\"u\"", r#""attrs":{"name":"u"}"#)];
    let (lines, left_out) = explained(policies, &question(r#""id":"u""#, READ, DOCUMENT, r#""risk":1"#), &stored);
    assert_eq!(
        lines,
        [
            "other-action not_applicable",
            "other-type not_applicable",
            "group not_applicable: `principal in Group::\"admins\"` does not hold",
            "unnamed not_satisfied: `principal.name == \"v\"` does not hold",
            "holds satisfied",
            "fails error: `next` does not exist",
        ]
    );
    assert_eq!(left_out, 0);
}

#[test]
fn an_explanation_of_many_policies_has_those_whose_scope_may_match() {
    let mut policies = String::new();
    for n in 0..300 {
        let _ = writeln!(policies, "@id(\"f{n}\") permit (principal == User::\"{n}\", action, resource);");
    }
    policies.push_str("@id(\"all\") permit (principal, action, resource);");
    let (lines, left_out) = explained(&policies, &question(r#""id":"u""#, READ, DOCUMENT, ""), &[]);
    assert_eq!((lines.len(), left_out), (200, 101));
    assert_eq!(lines.last().map(String::as_str), Some("all satisfied"));
    for n in 0..300 {
        let _ = writeln!(policies, "@id(\"a{n}\") permit (principal, action, resource) when {{ context has risk }};");
    }
    let (lines, left_out) = explained(&policies, &question(r#""id":"u""#, READ, DOCUMENT, ""), &[]);
    assert_eq!((lines.len(), left_out), (200, 401));
    assert!(lines.iter().all(|line| !line.contains("not_applicable")), "{lines:?}");
}
