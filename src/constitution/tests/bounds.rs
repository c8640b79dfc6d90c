//! Texts that would end the process, or take all its memory or time, are refused before a parser sees them.

use super::*;

fn faults(change: impl FnOnce(&mut Bundle)) -> Vec<String> {
    let mut bundle = bundle(POLICIES);
    change(&mut bundle);
    Constitution::from_bundle(&bundle).map_or_else(|faults| lines(&faults), |_| Vec::new())
}

fn policy(text: &str) -> Vec<String> {
    faults(|bundle| bundle.policies = vec![source("policies/a.cedar", text)])
}

fn condition(condition: &str) -> Vec<String> {
    policy(&format!(
        "// a comment with ; and ((((\n@id(\"a\") permit (principal, action, resource) when {{ {condition} }};"
    ))
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

const TOO_DEEP: &str = "policies/a.cedar:2:1: the policy nests deeper than 500 brackets and `if`s";
const TOO_LONG: &str =
    "policies/a.cedar:2:1: the policy has more than 5000 operators and brackets; split it into several";

#[test]
fn a_policy_that_nests_too_deep_is_refused_whatever_nests() {
    for deep in [
        nested("(", "true", ")", 100_000),
        "(".repeat(100_000),
        nested("[", "1", "]", 100_000) + " == [1]",
        nested("{a: ", "1", "}", 100_000) + " == {}",
        nested("!(", "true", ")", 100_000),
        nested("-(", "1", ")", 100_000) + " == 1",
        nested("if true then ", "true", " else false", 100_000),
        nested("if true then true else ", "true", "", 100_000),
        nested("(if true then ", "true", " else false)", 100_000),
        nested("context has risk && (", "true", ")", 100_000),
        nested("ip(", "\"::1\"", ")", 100_000) + ".isIpv6()",
        nested("principal[", "\"a\"", "]", 100_000),
    ] {
        assert_eq!(condition(&deep), [TOO_DEEP], "{}", &deep[..40]);
    }
}

#[test]
fn a_policy_that_is_too_long_is_refused_whatever_it_is_made_of() {
    for long in [
        vec!["true"; 100_000].join(" && "),
        vec!["true"; 100_000].join(" || "),
        vec!["1"; 100_000].join(" + ") + " == 1",
        vec!["1"; 100_000].join(" * ") + " == 1",
        format!("{}true", "!".repeat(100_000)),
        format!("{}1 == 1", "-".repeat(100_000)),
        format!("{}1 == 1", "- ".repeat(100_000)),
        format!("principal{}.name == \"\"", ".next".repeat(100_000)),
        format!("principal has next{}", ".next".repeat(100_000)),
        format!("[{}].isEmpty()", "{a: 1},".repeat(100_000)),
        vec!["true"; 100_000].join(" == "),
    ] {
        assert_eq!(condition(&long), [TOO_LONG], "{}", &long[..40]);
    }
    let conditions = "when { true } ".repeat(100_000);
    assert_eq!(
        policy(&format!("\n@id(\"a\") permit (principal, action, resource) {conditions};")),
        ["policies/a.cedar:2:1: the policy has more than 5000 operators and brackets; split it into several"]
    );
    let set = format!("[{}].contains(2)", vec!["1"; 200_000].join(","));
    assert_eq!(
        condition(&set),
        ["policies/a.cedar:2:1: the policy has more than 100000 tokens; split it into several"]
    );
}

#[test]
fn what_is_within_the_bounds_is_taken_or_refused_in_good_order() {
    let fine = [
        nested("(", "true", ")", 450),
        vec!["resource == resource"; 1_200].join(" && "),
        vec!["context has risk"; 1_200].join(" || "),
        vec!["true"; 4_900].join(" && "),
        vec!["!true"; 2_400].join(" || ") + " || true",
        format!("[{}].contains({{a: 1}})", vec!["{a: 1}"; 4_800].join(",")),
        format!("[{}].contains(2)", (0..40_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")),
        format!("principal.name == \"{}\"", "(".repeat(500_000)),
        format!("principal.name like \"{}\"", "*a".repeat(10_000)),
        format!("true // {}\n", "((((".repeat(100_000)),
    ];
    for text in fine {
        assert_eq!(condition(&text), [""; 0], "{}", &text[..20]);
    }
    for text in [
        vec!["1"; 4_000].join(" + ") + " == 1",
        format!("principal{}.name == \"\"", ".next".repeat(4_000)),
        nested("if true then ", "true", " else false", 450),
        nested("{a: ", "1", "}", 450) + " == {}",
    ] {
        assert_eq!(condition(&text), ["policies/a.cedar:2:1: policy `a` nests deeper than 128 levels"]);
    }
    assert_eq!(condition("!!!!!true").len(), 1);
}

#[test]
fn what_is_refused_hides_no_other_fault() {
    let deep = nested("(", "true", ")", 100_000);
    let text = format!(
        "@id(\"a\") permit (principal, action, resource) when {{ {deep} }};\n\
         @id(\"b\") permit (principal, action, resource) when {{ 1 +* }};\n\
         @id(\"c\") permit (principal, action, resource) when {{ principal.nme == \"\" }};\n\
         permit (principal, action, resource) when {{ \"unclosed }};\n"
    );
    assert_eq!(
        policy(&text),
        [
            "policies/a.cedar:1:1: the policy nests deeper than 500 brackets and `if`s",
            "policies/a.cedar:2:57: unexpected token `*`",
            "policies/a.cedar:3:54: for policy `c`, attribute `nme` on entity type `User` not found (did you mean `name`?)",
            "policies/a.cedar:4:45: invalid token (try checking that all strings are closed properly)",
        ]
    );
}

fn schema(text: &str) -> Vec<String> {
    faults(|bundle| bundle.schema.text = format!("{SCHEMA}{text}"))
}

#[test]
fn a_schema_that_expands_without_end_is_refused() {
    let doubling = |depth: usize| {
        let types =
            (1..=depth).map(|n| format!("type T{n} = {{ a: T{0}, b: T{0} }};\n", n - 1)).collect::<Vec<_>>().concat();
        format!("type T0 = {{ a: Long }};\n{types}entity Big {{ all: T{depth} }};\n")
    };
    assert_eq!(schema(&doubling(10)), [""; 0]);
    for depth in [20, 60, 90] {
        let found = schema(&doubling(depth));
        assert!(found.len() == 1 && found[0].contains("more than 200000"), "{found:?}");
    }
    let chain = |depth: usize, name: &str| {
        let types = (1..=depth).map(|n| format!("type T{n} = {{ a: T{} }};\n", n - 1)).collect::<Vec<_>>().concat();
        format!("namespace N {{ type T0 = Long;\n{types}entity Big {{ all: {name}T{depth} }}; }}\n")
    };
    assert_eq!(schema(&chain(50, "")), [""; 0]);
    for name in ["", "N::"] {
        assert_eq!(
            schema(&chain(500, name)),
            ["schema.cedarschema: has a type that nests deeper than 100 levels when expanded"]
        );
    }
    let wide = (0..600).map(|n| format!("entity E{n} {{ all: Wide }};\n")).collect::<Vec<_>>().concat();
    let attributes = (0..500).map(|n| format!("a{n}: Long,")).collect::<Vec<_>>().concat();
    let found = schema(&format!("type Wide = {{ {attributes} }};\n{wide}"));
    assert!(found.len() == 1 && found[0].contains("types that expand to"), "{found:?}");
}

#[test]
fn a_schema_that_nests_or_relates_too_much_is_refused() {
    for text in [
        format!("entity Big {{ a: {} }};", nested("Set<", "Long", ">", 100_000)),
        format!("entity Big {{ a: {} }};", nested("{ a: ", "Long", "}", 100_000)),
        format!("entity Big {}", "{".repeat(100_000)),
        format!("entity Big in {}", nested("[", "User", "]", 100_000)),
    ] {
        let found = schema(&text);
        assert!(found.len() == 1 && found[0].ends_with("nests deeper than 500 brackets"), "{found:?}");
    }
    let chain = (1..1_000).map(|n| format!("entity E{n} in [E{}];\n", n - 1)).collect::<Vec<_>>().concat();
    let found = schema(&format!("entity E0;\n{chain}"));
    assert!(found.len() == 1 && found[0].contains("pairs of a type or action"), "{found:?}");
    let groups = (1..1_000).map(|n| format!("action \"a{n}\" in [\"a{}\"];\n", n - 1)).collect::<Vec<_>>().concat();
    let found = schema(&format!("action \"a0\";\n{groups}"));
    assert!(found.len() == 1 && found[0].contains("pairs of a type or action"), "{found:?}");
    let names = (0..400).map(|n| format!("E{n}")).collect::<Vec<_>>().join(", ");
    let found =
        schema(&format!("entity {names};\naction all appliesTo {{ principal: [{names}], resource: [{names}] }};\n"));
    assert!(found.len() == 1 && found[0].contains("combinations of a principal's type"), "{found:?}");
    // Cedar says itself what is wrong with a cycle.
    let found = schema("type A = { b: B };\ntype B = { a: A };\n");
    assert!(found.len() == 1 && found[0].contains("cycle"), "{found:?}");
}

#[test]
fn entities_manifests_and_cases_that_nest_too_deep_are_refused() {
    let value = nested("[", "1", "]", 100_000);
    let entities = format!("[{{\"uid\":{{\"type\":\"Group\",\"id\":\"g\"}},\"attrs\":{{\"a\":{value}}}}}]");
    assert_eq!(
        faults(|bundle| bundle.entities = Some(source("entities.json", &entities))),
        ["entities.json: nests deeper than 64 arrays and objects"]
    );
    for text in [format!("x = {value}"), format!("{}x = 1", "a.".repeat(100_000)), "[".repeat(100_000)] {
        let found = faults(|bundle| bundle.manifest.text = text.clone());
        assert!(!found.is_empty(), "{}", &text[..20]);
        let mut bundle = bundle(POLICIES);
        bundle.cases = vec![source("tests/a.toml", &text)];
        assert!(bundle.cases().is_err());
    }
}
