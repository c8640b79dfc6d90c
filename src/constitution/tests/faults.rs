//! Every fault that a bundle may have, with its message and its place.

use super::*;

/// What is done to the small bundle, and every fault that it must then have.
type Row = (&'static str, fn(&mut Bundle), &'static [&'static str]);

fn manifest(bundle: &mut Bundle, from: &str, to: &str) {
    assert!(bundle.manifest.text.contains(from), "{from}");
    bundle.manifest.text = bundle.manifest.text.replacen(from, to, 1);
}

fn policies(bundle: &mut Bundle, text: &str) {
    bundle.policies = vec![source("policies/a.cedar", text)];
}

fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (what, change, expected) in rows {
        let mut bundle = bundle(POLICIES);
        change(&mut bundle);
        let found = Constitution::from_bundle(&bundle).map_or_else(|faults| lines(&faults), |_| Vec::new());
        if found != *expected {
            wrong.push(format!("{what}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_small_bundle_has_no_fault() {
    check(&[("nothing changed", |_| {}, &[])]);
}

#[test]
fn every_fault_of_a_manifest_has_its_place() {
    check(&[
        (
            "weights",
            |b| manifest(b, "0.25", "0.5"),
            &["constitution.toml: the weights of all principles make 1.25, not 1"],
        ),
        (
            "weight above 1",
            |b| manifest(b, "0.25", "1.5"),
            &["constitution.toml:13:1: weight 1.5 of principle `privacy` is not between 0 and 1"],
        ),
        (
            "weight below 0",
            |b| manifest(b, "0.25", "-0.5"),
            &["constitution.toml:13:1: weight -0.5 of principle `privacy` is not between 0 and 1"],
        ),
        (
            "weight is no number",
            |b| manifest(b, "0.25", "nan"),
            &["constitution.toml:13:1: weight NaN of principle `privacy` is not between 0 and 1"],
        ),
        (
            "duplicate principle",
            |b| manifest(b, "\"privacy\"", "\"safety\""),
            &["constitution.toml:13:1: principle `safety` is there twice"],
        ),
        (
            "empty principle",
            |b| manifest(b, "\"privacy\"", "\"\""),
            &["constitution.toml:13:1: a principle's `id` must not be empty"],
        ),
        (
            "unknown key",
            |b| manifest(b, "version", "wersion"),
            &["constitution.toml:2:1: unknown field `wersion`, expected one of `name`, `version`, `hash`"],
        ),
        (
            "unknown key of a principle",
            |b| manifest(b, "category", "kategory"),
            &[
                "constitution.toml:8:1: unknown field `kategory`, expected one of `id`, `title`, `text`, `category`, `severity`, `enforcement`, `weight`",
            ],
        ),
        (
            "unknown severity",
            |b| manifest(b, "\"low\"", "\"tiny\""),
            &["constitution.toml:18:12: unknown variant `tiny`, expected one of `critical`, `high`, `medium`, `low`"],
        ),
        (
            "unknown enforcement",
            |b| manifest(b, "\"warn\"", "\"beg\""),
            &["constitution.toml:19:15: unknown variant `beg`, expected `block` or `warn`"],
        ),
        (
            "bad hash",
            |b| manifest(b, "\n\n", "\nhash = \"CDD01EF066BC6CF2\"\n\n"),
            &["constitution.toml:3:8: `hash`: a constitutional hash is 16 lower-case hex digits"],
        ),
        (
            "hash of another type",
            |b| manifest(b, "\n\n", "\nhash = 7\n\n"),
            &["constitution.toml:3:8: invalid type: integer `7`, expected a string"],
        ),
        (
            "no principle",
            |b| b.manifest.text = "name = \"n\"\nversion = \"1\"\n".to_owned(),
            &["constitution.toml: has no `[[principle]]`"],
        ),
        (
            "one principle as a table",
            |b| b.manifest.text = "name = \"n\"\nversion = \"1\"\n[principle]\nid = \"a\"\n".to_owned(),
            &["constitution.toml:3:1: `principle` must be written as `[[principle]]`"],
        ),
        (
            "not TOML",
            |b| manifest(b, "version = ", "version "),
            &["constitution.toml:2:9: key with no value, expected `=`"],
        ),
        (
            "several faults",
            |b| {
                manifest(b, "0.75", "2");
                manifest(b, "\"low\"", "\"tiny\"");
            },
            &[
                "constitution.toml:4:1: weight 2 of principle `safety` is not between 0 and 1",
                "constitution.toml:18:12: unknown variant `tiny`, expected one of `critical`, `high`, `medium`, `low`",
            ],
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_fault_of_a_policy_has_its_place() {
    check(&[
        (
            "unknown annotation",
            |b| policies(b, "\n@id(\"a\") @advise(\"x\")\npermit (principal, action, resource);"),
            &["policies/a.cedar:2:1: annotation `@advise` is unknown; known are `@id`, `@principle` and `@advice`"],
        ),
        (
            "missing id",
            |b| policies(b, "permit (principal, action, resource);"),
            &["policies/a.cedar:1:1: the policy has no `@id`"],
        ),
        (
            "empty id",
            |b| policies(b, "  @id(\"\") permit (principal, action, resource);"),
            &["policies/a.cedar:1:3: the policy has no `@id`"],
        ),
        (
            "duplicate id",
            |b| b.policies.push(source("policies/b/c.cedar", POLICIES)),
            &["policies/b/c.cedar:1:1: policy `owners-read` is there twice, first at policies/a.cedar:1:1"],
        ),
        (
            "forbid without principle",
            |b| policies(b, "@id(\"a\") forbid (principal, action, resource);"),
            &["policies/a.cedar:1:1: policy `a` forbids, but names no `@principle`"],
        ),
        (
            "unknown principle",
            |b| policies(b, "@id(\"a\") @principle(\"honour\") forbid (principal, action, resource);"),
            &["policies/a.cedar:1:1: policy `a` names principle `honour`, which does not exist"],
        ),
        (
            "template",
            |b| policies(b, "// é\n@id(\"a\") permit (principal == ?principal, action, resource);"),
            &["policies/a.cedar:2:1: is a template: only policies without slots are taken"],
        ),
        (
            "syntax error",
            |b| policies(b, "@id(\"a\")\npermit (principal, action, resource) when { 1 +* };"),
            &["policies/a.cedar:2:48: unexpected token `*`"],
        ),
        (
            "two syntax errors in two files",
            |b| {
                policies(b, "@id(\"a\") permit (principal, action);");
                b.policies.push(source("policies/b.cedar", "@id(\"b\")\n\nallow (principal, action, resource);"));
            },
            &[
                "policies/a.cedar:1:35: this policy is missing the `resource` variable in the scope (policy scopes must contain a `principal`, `action`, and `resource` element in that order)",
                "policies/b.cedar:3:1: invalid policy effect: allow (effect must be either `permit` or `forbid`)",
            ],
        ),
        (
            "operands of the wrong type",
            |b| policies(b, "@id(\"a\") permit (principal, action, resource)\nwhen { principal.name > 3 };"),
            &["policies/a.cedar:2:8: for policy `a`, unexpected type: expected Long but saw String"],
        ),
        (
            "undeclared attribute",
            |b| policies(b, "@id(\"a\") permit (principal, action, resource)\nwhen { principal.nme == \"x\" };"),
            &[
                "policies/a.cedar:2:8: for policy `a`, attribute `nme` on entity type `User` not found (did you mean `name`?)",
            ],
        ),
        (
            "optional attribute without has",
            |b| {
                policies(
                    b,
                    "@id(\"a\") permit (principal, action, resource)\nwhen { principal.colour == Colour::\"red\" };",
                );
            },
            &[
                "policies/a.cedar:2:8: for policy `a`, unable to guarantee safety of access to optional attribute `colour` on entity type `User` (try testing for the attribute's presence with `e has colour && ..`)",
            ],
        ),
        (
            "undeclared type",
            |b| policies(b, "@id(\"a\") permit (principal is Usr, action, resource);"),
            &["policies/a.cedar:1:31: for policy `a`, unrecognized entity type `Usr` (did you mean `User`?)"],
        ),
        (
            "undeclared action",
            |b| policies(b, "@id(\"a\") permit (principal, action == Action::\"raed\", resource);"),
            &[
                "policies/a.cedar:1:39: for policy `a`, unrecognized action `Action::\"raed\"` (did you mean `Action::\"read\"`?)",
            ],
        ),
        ("no policy file", |b| b.policies.clear(), &["policies: has no `*.cedar` file"]),
        (
            "faults of several kinds",
            |b| {
                manifest(b, "0.25", "0.5");
                policies(b, "permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);");
                b.entities = Some(source("entities.json", "[]]"));
            },
            &[
                "constitution.toml: the weights of all principles make 1.25, not 1",
                "entities.json:1:3: trailing characters",
                "policies/a.cedar:1:1: the policy has no `@id`",
                "policies/a.cedar:2:1: policy `a` forbids, but names no `@principle`",
            ],
        ),
    ]);
}

#[test]
fn every_fault_of_schema_and_entities_has_its_place() {
    check(&[
        (
            "schema syntax",
            |b| b.schema.text = "entity User;\nentity {".to_owned(),
            &[
                "schema.cedarschema:2:8: error parsing schema: unexpected token `{` (action declarations require `appliesTo` before the `{ ... }` block)",
            ],
        ),
        (
            "undeclared type in the schema",
            |b| b.schema.text = SCHEMA.replace("lead?: User", "lead?: Usr"),
            &[
                "schema.cedarschema:2:34: failed to resolve type: Usr (`Usr` has not been declared as a common or entity type)",
            ],
        ),
        (
            "not JSON",
            |b| b.entities = Some(source("entities.json", "[\n{]")),
            &["entities.json:2:2: key must be a string"],
        ),
        (
            "not an entity",
            |b| b.entities = Some(source("entities.json", r#"[{"uid":{"type":"Group","id":"g"},"atrs":{}}]"#)),
            &["entities.json:1:40: unknown field `atrs`, expected one of `uid`, `attrs`, `parents`, `tags`"],
        ),
        (
            "attribute of the wrong type",
            |b| {
                let text = r#"[{"uid":{"type":"User","id":"u"},"attrs":{"name":7,"next":{"type":"User","id":"u"}}}]"#;
                b.entities = Some(source("entities.json", text));
            },
            &[
                "entities.json: entity `User::\"u\"`: entity does not conform to the schema: in attribute `name` on `User::\"u\"`, type mismatch: value was expected to have type string, but it actually has type long: `7`",
            ],
        ),
        (
            "missing attribute",
            |b| {
                b.entities =
                    Some(source("entities.json", r#"[{"uid":{"type":"User","id":"u"},"attrs":{"name":"u"}}]"#));
            },
            &[
                "entities.json: entity `User::\"u\"`: entity does not conform to the schema: expected entity `User::\"u\"` to have attribute `next`, but it does not",
            ],
        ),
        (
            "undeclared type of an entity",
            |b| b.entities = Some(source("entities.json", r#"[{"uid":{"type":"Robot","id":"r"}}]"#)),
            &[
                "entities.json: entity `Robot::\"r\"`: error during entity deserialization: entity `Robot::\"r\"` has type `Robot` which is not declared in the schema",
            ],
        ),
        (
            "parent of a type that the schema does not allow",
            |b| {
                let text = r#"[{"uid":{"type":"Group","id":"g"},"parents":[{"type":"Folder","id":"f"}]}]"#;
                b.entities = Some(source("entities.json", text));
            },
            &[
                "entities.json: entity `Group::\"g\"`: entity does not conform to the schema: `Group::\"g\"` is not allowed to have an ancestor of type `Folder` according to the schema",
            ],
        ),
        (
            "the same entity twice",
            |b| {
                let text = r#"[{"uid":{"type":"Folder","id":"f"}},{"uid":{"type":"Folder","id":"f"}}]"#;
                b.entities = Some(source("entities.json", text));
            },
            &["entities.json: entity `Folder::\"f\"` is there twice"],
        ),
    ]);
}
