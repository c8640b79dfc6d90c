//! Random entities and requests, and their two spellings: plain JSON as callers write it, and Cedar's explicit form.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::choices::Choices;
use crate::schema::{ENTITY_TYPES, Env, Field, Ty, attributes, context, ids, parents, tags};

/// A value of the schema.
#[derive(Debug, Clone)]
pub enum Val {
    Bool(bool),
    Long(i64),
    Str(String),
    Entity(Uid),
    Ext(&'static str, String),
    Set(Vec<Val>),
    Record(Attrs),
}

/// Attributes or fields by name.
pub type Attrs = BTreeMap<String, Val>;

/// A type and an id.
pub type Uid = (&'static str, &'static str);

/// A stored entity.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub attrs: Attrs,
    pub tags: Attrs,
    pub parents: Vec<Uid>,
}

/// All stored entities.
pub type Store = BTreeMap<Uid, Stored>;

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    pub env: Env,
    pub subject: Uid,
    pub resource: Uid,
    pub subject_properties: Attrs,
    pub resource_properties: Attrs,
    pub action_properties: Option<Attrs>,
    pub context: Attrs,
    pub merge: bool,
}

pub const NUMBERS: [i64; 9] = [0, 1, 2, 3, 7, -1, 1 << 40, i64::MAX, i64::MIN];
pub const TEXTS: [&str; 7] = ["a", "b", "team-a", "", "x*y", "é \"q\"", "secret/doc.txt"];
pub const TAGS: [&str; 3] = ["a", "b", "team-a"];

/// Texts that the constructor of an extension type takes; some mean the same.
pub fn literals(function: &str) -> &'static [&'static str] {
    match function {
        "ip" => &["10.0.0.1", "10.0.0.1/32", "10.0.0.0/8", "127.0.0.1", "::1", "224.0.0.1", "fe80::/10"],
        "decimal" => &["1.0", "1.00", "0.5", "-3.1415", "922337203685477.5807"],
        "datetime" => &["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T12:30:00.250+0530", "1969-12-31T23:59:59Z"],
        _ => &["0ms", "1h", "60m", "-1d2h", "1d2h3m4s5ms", "9223372036854775807ms"],
    }
}

pub fn store(choices: &mut Choices) -> Store {
    let mut store = Store::new();
    for kind in ENTITY_TYPES {
        for (place, id) in ids(kind).iter().copied().enumerate() {
            if choices.chance(20) {
                continue;
            }
            let attrs = record(choices, &attributes(kind), 3);
            let tags = tags(kind).map_or_else(Attrs::new, |ty| {
                let names = choices.some(&TAGS, 60);
                names.into_iter().map(|name| (name.to_owned(), value(choices, &ty))).collect()
            });
            let mut above = Vec::new();
            for parent in parents(kind) {
                // Within a type parents come later than their members, so that there is no cycle.
                let from = if *parent == kind { place + 1 } else { 0 };
                let candidates: Vec<Uid> = ids(parent)[from..].iter().map(|id| (*parent, *id)).collect();
                above.extend(choices.some(&candidates, 40));
            }
            store.insert((kind, id), Stored { attrs, tags, parents: above });
        }
    }
    store
}

pub fn question(choices: &mut Choices, env: &Env) -> Question {
    let subject = (env.principal, choices.pick(ids(env.principal)));
    let mut resource = (env.resource, choices.pick(ids(env.resource)));
    if env.principal == env.resource && choices.chance(40) {
        resource = subject;
    }
    let mut properties = |kind: &str| {
        if choices.chance(50) {
            let fields: Vec<Field> = choices.some(&attributes(kind), 50);
            record(choices, &fields, 0)
        } else {
            Attrs::new()
        }
    };
    let (subject_properties, resource_properties) = (properties(env.principal), properties(env.resource));
    let context = record(choices, &context(env.action), 0);
    let action_properties = choices.chance(25).then(|| {
        let fields = [("count", Ty::Long, false), ("bulk", Ty::Bool, false)];
        record(choices, &fields, 0)
    });
    let merge = !choices.chance(20);
    let env = env.clone();
    Question { env, subject, resource, subject_properties, resource_properties, action_properties, context, merge }
}

/// Fields at random; required ones are missing `absent` times in a hundred.
fn record(choices: &mut Choices, fields: &[Field], absent: usize) -> Attrs {
    let mut found = Attrs::new();
    for (name, ty, required) in fields {
        let there = if *required { !choices.chance(absent) } else { choices.chance(65) };
        if there {
            found.insert((*name).to_owned(), value(choices, ty));
        }
    }
    found
}

fn value(choices: &mut Choices, ty: &Ty) -> Val {
    match ty {
        Ty::Bool => Val::Bool(choices.chance(50)),
        Ty::Long => Val::Long(choices.pick(&NUMBERS)),
        Ty::Str => Val::Str(choices.pick(&TEXTS).to_owned()),
        Ty::Entity(kind) => Val::Entity((kind, choices.pick(ids(kind)))),
        Ty::Ext(function) => Val::Ext(function, choices.pick(literals(function)).to_owned()),
        Ty::Set(element) => Val::Set((0..choices.below(4)).map(|_| value(choices, element)).collect()),
        Ty::Record(fields) => Val::Record(record(choices, fields, 0)),
    }
}

impl Val {
    /// As a caller writes it: plain, the schema says the rest.
    pub fn plain(&self) -> Json {
        match self {
            Self::Bool(value) => json!(value),
            Self::Long(value) => json!(value),
            Self::Str(text) | Self::Ext(_, text) => json!(text),
            Self::Entity((kind, id)) => json!({"type": kind, "id": id}),
            Self::Set(items) => items.iter().map(Self::plain).collect(),
            Self::Record(fields) => plain(fields),
        }
    }

    /// As Cedar reads it without a schema: every type spelt out.
    pub fn explicit(&self) -> Json {
        match self {
            Self::Bool(value) => json!(value),
            Self::Long(value) => json!(value),
            Self::Str(text) => json!(text),
            Self::Entity((kind, id)) => json!({"__entity": {"type": kind, "id": id}}),
            Self::Ext(function, text) => json!({"__extn": {"fn": function, "arg": text}}),
            Self::Set(items) => items.iter().map(Self::explicit).collect(),
            Self::Record(fields) => explicit(fields),
        }
    }
}

/// A record as callers write it, with a member that the schema does not declare and the constitution must drop.
pub fn plain(fields: &Attrs) -> Json {
    let mut members: serde_json::Map<_, _> = fields.iter().map(|(name, value)| (name.clone(), value.plain())).collect();
    members.insert("undeclared".to_owned(), json!([null, 1.5]));
    members.into()
}

/// A record for Cedar.
pub fn explicit(fields: &Attrs) -> Json {
    fields.iter().map(|(name, value)| (name.clone(), value.explicit())).collect::<serde_json::Map<_, _>>().into()
}
