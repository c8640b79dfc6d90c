//! Questions that fit a vocabulary: made from its JSON Schema, the literals of its policies, and stored entities.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::dice::Dice;
use crate::domain::percent_decode;

/// The probability with which an optional member is there.
const OPTIONAL: f64 = 0.5;

/// How many subjects, and how many resources, of each type are made up.
const MADE_UP: usize = 10_000;

/// The share of subjects and resources that are stored entities, where there are some of the type.
const STORED: f64 = 0.5;

/// The depth to which values are made; below it, optional members are left out.
const MAX_DEPTH: usize = 6;

/// Makes questions.
#[derive(Debug)]
pub struct Questions {
    schema: Value,
    /// Texts and numbers of the policies, which separate their cases.
    texts: Vec<String>,
    numbers: Vec<i64>,
    /// The ids of stored entities, by type.
    stored: BTreeMap<String, Vec<String>>,
    dice: Dice,
}

impl Questions {
    /// From the vocabulary and the texts of the policies.
    #[must_use]
    pub fn new<'a>(schema: Value, policies: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut texts, mut numbers) = (vec!["bench".to_owned()], vec![0, 1, 2, 5, 10]);
        for policy in policies {
            let (more, others) = literals(policy);
            texts.extend(more);
            numbers.extend(
                others.into_iter().flat_map(|number| [number.saturating_sub(1), number, number.saturating_add(1)]),
            );
        }
        texts.sort();
        texts.dedup();
        numbers.sort_unstable();
        numbers.dedup();
        Self { schema, texts, numbers, stored: BTreeMap::new(), dice: Dice::new(18) }
    }

    /// The actions that can be asked for.
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        self.enumerated("/properties/action/properties/name/enum")
    }

    /// The types of subjects and resources that can be asked about.
    #[must_use]
    pub fn types(&self) -> BTreeSet<String> {
        let of = |member: &str| self.enumerated(&format!("/properties/{member}/properties/type/enum"));
        of("subject").into_iter().chain(of("resource")).collect()
    }

    /// Has some questions be about stored entities.
    pub fn add_stored(&mut self, entities: &[Value]) {
        for entity in entities {
            let text = |member| entity.pointer(member).and_then(Value::as_str);
            if let (Some(kind), Some(id)) = (text("/uid/type"), text("/uid/id")) {
                self.stored.entry(kind.to_owned()).or_default().push(id.to_owned());
            }
        }
    }

    /// A question for an action; `None` if the schema says nothing about it.
    pub fn for_action(&mut self, action: &str) -> Option<Value> {
        let definition = self.definition(&format!("Action.{action}"))?;
        let subject = self.party(&definition, "subject")?;
        let resource = self.party(&definition, "resource")?;
        let mut question = json!({"subject": subject, "action": {"name": action}, "resource": resource});
        // With properties of the action, its context would need none of the same name, so none are given.
        let context = definition
            .pointer("/else/properties/context")
            .or_else(|| definition.pointer("/allOf/0/properties/context"))
            .cloned();
        if let Some(context) = context.map(|schema| self.value(&schema, 0))
            && let Some(members) = question.as_object_mut()
        {
            members.insert("context".to_owned(), context);
        }
        Some(question)
    }

    /// The same question about another resource of the type, by another subject, or under another context.
    pub fn varied(&mut self, question: &Value) -> Option<Value> {
        let mut varied = question.clone();
        let mut member = |name: &str| {
            let kind = question.pointer(&format!("/{name}/type")).and_then(Value::as_str)?;
            if let Some(id) = varied.pointer_mut(&format!("/{name}/id")) {
                *id = Value::String(self.made_up(kind)?);
            }
            Some(())
        };
        member("subject")?;
        member("resource")?;
        Some(varied)
    }

    fn definition(&self, name: &str) -> Option<Value> {
        self.schema.get("$defs")?.get(name).cloned()
    }

    fn enumerated(&self, pointer: &str) -> Vec<String> {
        let all = self.schema.pointer(pointer).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    fn party(&mut self, action: &Value, member: &str) -> Option<Value> {
        let kinds = action.pointer(&format!("/properties/{member}/properties/type/enum"))?.as_array()?.clone();
        let kind = self.dice.one(&kinds)?.as_str()?.to_owned();
        let properties = self.definition(&format!("Party.{kind}"))?.pointer("/properties/properties").cloned();
        let mut party = json!({"type": kind, "id": self.id(&kind)?});
        let properties = properties
            .map(|schema| self.value(&schema, 0))
            .filter(|made| made.as_object().is_some_and(|made| !made.is_empty()));
        if let (Some(properties), Some(members)) = (properties, party.as_object_mut()) {
            members.insert("properties".to_owned(), properties);
        }
        Some(party)
    }

    /// The id of an entity of a type: a stored one, or one made up.
    fn id(&mut self, kind: &str) -> Option<String> {
        if self.dice.is_less_than(STORED)
            && let Some(id) = self.stored.get(kind).and_then(|ids| self.dice.one(ids))
        {
            return Some(id.clone());
        }
        self.made_up(kind)
    }

    /// An id that is not stored, unless a type enumerates its ids.
    fn made_up(&mut self, kind: &str) -> Option<String> {
        let ids =
            self.definition(&format!("Party.{kind}")).and_then(|party| party.pointer("/properties/id/enum").cloned());
        match ids {
            Some(ids) => Some(self.dice.one(ids.as_array()?)?.as_str()?.to_owned()),
            None => Some(format!("bench-{}", self.dice.below(MADE_UP))),
        }
    }

    /// A value that fits a schema of the vocabulary.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(referred) {
            return self.reference(&target, depth);
        }
        if let Some(plain) = schema.pointer("/anyOf/0") {
            return self.value(&plain.clone(), depth);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => json!(self.dice.is_less_than(0.5)),
            Some("integer") => json!(self.dice.one(&self.numbers).copied().unwrap_or_default()),
            Some("array") if depth < MAX_DEPTH => {
                let items = schema.get("items").cloned().unwrap_or_default();
                let length = self.dice.below(3);
                (0..length).map(|_| self.value(&items, depth + 1)).collect()
            }
            Some("array") => json!([]),
            Some("string") => json!(self.text(schema)),
            _ => Value::Object(self.object(schema, depth)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Map<String, Value> {
        let mut made = Map::new();
        let needed: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_there = needed.contains(&name.as_str()) || depth < MAX_DEPTH && self.dice.is_less_than(OPTIONAL);
            if is_there {
                made.insert(name.clone(), self.value(schema, depth + 1));
            }
        }
        made
    }

    /// A text: for an extension type one that its function takes.
    fn text(&mut self, schema: &Value) -> String {
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let function = description.split('`').nth(1).unwrap_or_default();
        match function {
            "decimal" => format!("{}.{}", self.dice.below(10), self.dice.below(10)),
            "ip" => format!("192.0.2.{}", self.dice.below(256)),
            "datetime" => format!("2026-12-{:02}", 1 + self.dice.below(31)),
            "duration" => format!("{}m", self.dice.below(120)),
            _ => self.dice.one(&self.texts).cloned().unwrap_or_default(),
        }
    }

    /// A definition by name: an entity, or a value.
    fn reference(&mut self, name: &str, depth: usize) -> Value {
        match name.strip_prefix("Reference.") {
            Some(kind) => json!({"type": kind, "id": self.id(kind)}),
            None => self.definition(name).map_or(Value::Null, |schema| self.value(&schema, depth + 1)),
        }
    }
}

/// The name of a definition that a reference points to.
fn referred(target: &str) -> Option<String> {
    let name = percent_decode(target.strip_prefix("#/$defs/")?)?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}

/// The texts and numbers in a policy, annotations and names of entities included.
fn literals(policy: &str) -> (Vec<String>, Vec<i64>) {
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    for (place, part) in policy.split('"').enumerate() {
        if place % 2 == 1 {
            texts.push(part.to_owned());
        } else {
            let words = part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            numbers.extend(words.filter_map(|word| word.parse::<i64>().ok()));
        }
    }
    texts.retain(|text| !text.is_empty() && !text.contains('\\') && text.len() <= 40);
    (texts, numbers)
}
