//! Tests of whole bundles, and the small bundle that they vary.

mod batches;
mod bounds;
mod declared;
mod depth;
mod digest;
mod explaining;
mod faults;
mod files;
mod gathering;
mod requests;
mod scopes;

use super::bundle::{Bundle, Source};
use super::{Constitution, Faults};
use crate::domain::{Entity, EntityUid, Evaluation, UnknownMembers, Verdict};

const MANIFEST: &str = r#"name = "small"
version = "1.0.0"

[[principle]]
id = "safety"
title = "Safety"
text = "Nothing breaks."
category = "safety"
severity = "critical"
enforcement = "block"
weight = 0.75

[[principle]]
id = "privacy"
title = "Privacy"
text = "Nothing leaks."
category = "rights"
severity = "low"
enforcement = "warn"
weight = 0.25
"#;

const SCHEMA: &str = r#"entity Colour enum ["red", "green"];
entity Group in [Group] { lead?: User };
entity User in [Group] { name: String, next: User, colour?: Colour, home?: { city: String } };
entity Folder in [Folder];
entity Document in [Folder] { owner: User, size?: Long } tags User;
action readers;
action read in [readers] appliesTo {
  principal: [User], resource: [Document, User], context: { risk?: Long, by?: User, action?: { count: Long } }
};
namespace Org { action check appliesTo { principal: [User], resource: [Document] }; }
"#;

const POLICIES: &str =
    "@id(\"owners-read\")\npermit (principal, action, resource is Document)\nwhen { resource.owner == principal };\n";

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

/// The small bundle, with these policies in one file.
fn bundle(policies: &str) -> Bundle {
    Bundle {
        manifest: source("constitution.toml", MANIFEST),
        schema: source("schema.cedarschema", SCHEMA),
        policies: vec![source("policies/a.cedar", policies)],
        entities: None,
        cases: Vec::new(),
    }
}

fn constitution(policies: &str) -> Constitution {
    Constitution::from_bundle(&bundle(policies)).unwrap()
}

fn lines(faults: &Faults) -> Vec<String> {
    faults.to_string().lines().map(str::to_owned).collect()
}

/// `User::"a"` as a uid.
fn uid(text: &str) -> EntityUid {
    let (kind, id) = text.rsplit_once("::").unwrap();
    EntityUid::new(kind, id.trim_matches('"'))
}

/// An entity from the members of its JSON form.
fn entity(name: &str, members: &str) -> Entity {
    let uid = serde_json::to_string(&uid(name)).unwrap();
    serde_json::from_str(&format!("{{\"uid\":{uid},{members}}}")).unwrap()
}

/// A question from the members of subject, action, resource and context, each after what every one has.
fn question(subject: &str, action: &str, resource: &str, context: &str) -> Evaluation {
    let request = format!(
        r#"{{"subject":{{"type":"User",{subject}}},"action":{{{action}}},"resource":{{{resource}}},"context":{{{context}}}}}"#
    );
    Evaluation::from_object(&serde_json::from_str(&request).unwrap(), UnknownMembers::Refused).unwrap()
}

fn summary(verdict: &Verdict) -> String {
    let mut text = verdict.reason.as_str().to_owned();
    for policy in &verdict.policies {
        text = format!("{text} {policy}");
    }
    match &verdict.detail {
        Some(detail) => format!("{text}: {detail}"),
        None => text,
    }
}
