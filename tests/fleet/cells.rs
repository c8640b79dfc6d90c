//! Cells: stored entities whose content is visible in every verdict about them, which shows the state that was read.
//!
//! A cell has a number by its bits, and a link to the next cell. Each bit has a policy that forbids with a warning
//! only, so that a verdict names the bits; and odd numbers are permitted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::harness::{Answer, Request};
use crate::history::Value;

const BITS: u32 = 16;

const MANIFEST: &str = r#"
name = "Cells"
version = "1"

[[principle]]
id = "bits"
title = "Bits"
text = "What is stored is shown."
category = "test"
severity = "low"
enforcement = "warn"
weight = 1.0
"#;

const SCHEMA: &str = r"
entity User;
entity Cell = { bits?: Set<Long>, link?: Cell };
action look, through appliesTo { principal: [User], resource: [Cell], context: {} };
";

/// What a verdict shows: of the cell, and where it was looked through that, of the cell that it is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub cell: Value,
    /// Nothing is known of it where the first is not stored.
    pub linked: Option<Value>,
}

/// Writes the constitution into a folder.
pub fn constitution(folder: &Path) {
    fs::create_dir_all(folder.join("policies")).unwrap();
    fs::write(folder.join("constitution.toml"), MANIFEST).unwrap();
    fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
    let mut policies = String::from(
        "@id(\"odd\") permit (principal, action, resource) when { resource has bits && resource.bits.contains(0) };\n",
    );
    let mut show = |id: &str, scope: &str, what: &str| {
        let head = format!("@id(\"{id}\") @principle(\"bits\") forbid (principal, {scope}, resource)");
        writeln!(policies, "{head} when {{ {what} }};").unwrap();
    };
    let (own, linked) = ("resource has bits", "resource has link && resource.link has bits");
    let through = "action == Action::\"through\"";
    show("c", "action", own);
    show("l", through, linked);
    for bit in 0..BITS {
        show(&format!("c{bit}"), "action", &format!("{own} && resource.bits.contains({bit})"));
        show(&format!("l{bit}"), through, &format!("{linked} && resource.link.bits.contains({bit})"));
    }
    fs::write(folder.join("policies/bits.cedar"), policies).unwrap();
}

/// A cell with that number, which links to another.
pub fn entity(cell: usize, link: usize, number: u16) -> Json {
    let bits: Vec<u32> = (0..BITS).filter(|bit| number >> bit & 1 == 1).collect();
    let link = json!({"__entity": uid(link)});
    json!({"uid": uid(cell), "attrs": {"bits": bits, "link": link}})
}

/// Its name.
pub fn uid(cell: usize) -> Json {
    json!({"type": "Cell", "id": cell.to_string()})
}

/// Its path.
pub fn path(cell: usize) -> String {
    format!("/v1/entities/Cell/{cell}")
}

/// The number that an entity's attributes have, as the database stores them.
pub fn number_of(attrs: &str) -> u16 {
    let attrs: Json = serde_json::from_str(attrs).unwrap();
    attrs["bits"].as_array().unwrap().iter().map(|bit| 1 << bit.as_u64().unwrap()).sum()
}

/// A question about a cell.
pub fn question(user: usize, cell: usize, is_through: bool) -> Json {
    let action = if is_through { "through" } else { "look" };
    json!({
        "subject": {"type": "User", "id": user.to_string()},
        "action": {"name": action},
        "resource": uid(cell),
    })
}

/// Questions that are answered with what they show.
pub fn ask(questions: &[Json]) -> Request {
    let request = Request::post("/access/v1/evaluations").header("Prefer", "return=representation");
    request.json(&json!({"evaluations": questions}))
}

/// What the verdicts show, in the order of the questions; nothing where the entities could not be read.
#[track_caller]
pub fn shown(answer: &Answer) -> Vec<Option<Shown>> {
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["evaluations"].as_array().unwrap().iter().map(shown_by).collect()
}

#[track_caller]
fn shown_by(item: &Json) -> Option<Shown> {
    let context = &item["context"];
    let reason = context["reason"].as_str().unwrap();
    if reason == "unavailable" {
        assert_eq!(item["decision"], false, "{item}");
        return None;
    }
    let warned = context["warnings"].as_array().unwrap().iter().flat_map(|one| one["policies"].as_array().unwrap());
    let (mut cell, mut linked) = (None, None);
    for policy in warned.map(|policy| policy.as_str().unwrap()) {
        let (of, bit) = policy.split_at(1);
        let of = if of == "c" { &mut cell } else { &mut linked };
        let number = of.get_or_insert(0_u16);
        if !bit.is_empty() {
            *number |= 1 << bit.parse::<u32>().unwrap();
        }
    }
    let expected = cell.is_some_and(|number| number & 1 == 1);
    let expected = (json!(expected), if expected { "permitted" } else { "no_permit" });
    assert_eq!((&item["decision"], reason), (&expected.0, expected.1), "{item}");
    Some(Shown { cell, linked: cell.map(|_| linked) })
}
