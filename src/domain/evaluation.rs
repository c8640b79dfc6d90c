//! One question: may this subject take this action on this resource?

use std::sync::Arc;

use smol_str::SmolStr;

use super::fault::step;
use super::json::write_json;
use super::{EntityUid, InputFault, Json, Object};

/// The longest type, id or action name, in bytes: the audit log's record of a decision always has room for them.
pub const MAX_NAME: usize = 1024;

/// How many faults of one request are told; a hostile one could have more than it has bytes.
pub const MAX_FAULTS: usize = 100;

/// The member of `context` in which a caller states the constitution it believes in.
const CLAIM: &str = "constitutional_hash";

/// A subject or a resource: an entity and what the request says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Party {
    /// Which entity.
    pub uid: EntityUid,
    /// What the request says of it.
    pub properties: Object,
}

/// An action and what the request says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its name: the id of a Cedar `Action`.
    pub name: SmolStr,
    /// What the request says of it.
    pub properties: Object,
}

/// The constitutional hashes that a caller states; every one of them must be the one in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// From the header `X-Constitutional-Hash`.
    pub header: Option<Box<str>>,
    /// From `context.constitutional_hash`.
    pub context: Option<Box<str>>,
}

/// A well-formed question, as AuthZEN 1.0, section 5, has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Who wants to act.
    pub subject: Party,
    /// What it wants to do.
    pub action: Action,
    /// To what.
    pub resource: Party,
    /// Under which circumstances, without the claim.
    pub context: Object,
    /// Which constitution the caller believes in.
    pub claims: Claims,
    canonical: Arc<str>,
}

/// What to do with members that the API does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownMembers {
    /// Ignored: AuthZEN demands it.
    Ignored,
    /// A fault each.
    Refused,
}

impl Evaluation {
    /// Reads a question from the four members of `request`, and says everything that is wrong with it.
    pub fn from_object(request: &Object, unknown: UnknownMembers) -> Result<Self, Vec<InputFault>> {
        let mut reader = Reader { unknown, faults: Vec::new() };
        if unknown == UnknownMembers::Refused {
            reader.refuse_unknown("", request, &["subject", "action", "resource", "context"]);
        }
        Self::from_members(
            request.get("subject"),
            request.get("action"),
            request.get("resource"),
            request.get("context"),
            reader,
        )
    }

    /// Reads an item of a batch: what it lacks, the batch's own members give.
    pub fn from_item(item: &Object, defaults: &Object) -> Result<Self, Vec<InputFault>> {
        let member = |name| item.get(name).or_else(|| defaults.get(name));
        let reader = Reader { unknown: UnknownMembers::Ignored, faults: Vec::new() };
        Self::from_members(member("subject"), member("action"), member("resource"), member("context"), reader)
    }

    fn from_members(
        subject: Option<&Json>,
        action: Option<&Json>,
        resource: Option<&Json>,
        context: Option<&Json>,
        mut reader: Reader,
    ) -> Result<Self, Vec<InputFault>> {
        let subject = reader.party("/subject", subject);
        let action = reader.action(action);
        let resource = reader.party("/resource", resource);
        let context = match context {
            None => Some(&NOTHING),
            Some(context) => reader.object("/context", context),
        };
        let (Some(subject), Some((name, properties)), Some(resource), Some(context), []) =
            (subject, action, resource, context, &*reader.faults)
        else {
            return Err(reader.faults);
        };
        // Copied only now: a batch repeats its defaults in every item, faulty ones too.
        let (subject, resource) = (subject.own(), resource.own());
        let action = Action { name: name.into(), properties: properties.clone() };
        let mut context = context.clone();
        let claim = context.remove(CLAIM).map(|claim| match claim {
            Json::Str(hash) => hash,
            other => serde_json::to_string(&other).unwrap_or_default().into(),
        });
        let canonical = canonical(&subject, &action, &resource, &context);
        let claims = Claims { header: None, context: claim };
        Ok(Self { subject, action, resource, context, claims, canonical })
    }

    /// The JSON members `subject`, `action`, `resource` and `context`, without braces and without the claim: the
    /// same text for every question with the same meaning.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_canonical(&self) -> Arc<str> {
        Arc::clone(&self.canonical)
    }
}

fn canonical(subject: &Party, action: &Action, resource: &Party, context: &Object) -> Arc<str> {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(b"\"subject\":");
    write_party(&mut text, subject);
    text.extend_from_slice(b",\"action\":{\"name\":");
    write_json(&mut text, &action.name);
    write_properties(&mut text, &action.properties);
    text.extend_from_slice(b"},\"resource\":");
    write_party(&mut text, resource);
    text.extend_from_slice(b",\"context\":");
    write_json(&mut text, context);
    // JSON text is UTF-8.
    String::from_utf8_lossy(&text).into()
}

fn write_party(text: &mut Vec<u8>, party: &Party) {
    text.extend_from_slice(b"{\"type\":");
    write_json(text, &party.uid.kind);
    text.extend_from_slice(b",\"id\":");
    write_json(text, &party.uid.id);
    write_properties(text, &party.properties);
    text.push(b'}');
}

fn write_properties(text: &mut Vec<u8>, properties: &Object) {
    if !properties.is_empty() {
        text.extend_from_slice(b",\"properties\":");
        write_json(text, properties);
    }
}

/// The properties of somebody of whom nothing is said.
static NOTHING: Object = Object::NOTHING;

/// A party as it stands in the request.
struct Mentioned<'a> {
    kind: &'a str,
    id: &'a str,
    properties: &'a Object,
}

impl Mentioned<'_> {
    fn own(&self) -> Party {
        Party { uid: EntityUid::new(self.kind, self.id), properties: self.properties.clone() }
    }
}

/// Reads members and gathers what is wrong with them.
struct Reader {
    unknown: UnknownMembers,
    faults: Vec<InputFault>,
}

impl Reader {
    fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(InputFault::new(pointer, detail));
        }
    }

    fn refuse_unknown(&mut self, pointer: &str, object: &Object, known: &[&str]) {
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(key)) {
            self.fault(step(pointer, key), "is not a member of this request");
        }
    }

    fn party<'a>(&mut self, pointer: &str, value: Option<&'a Json>) -> Option<Mentioned<'a>> {
        let object = self.required(pointer, value)?;
        if self.unknown == UnknownMembers::Refused {
            self.refuse_unknown(pointer, object, &["type", "id", "properties"]);
        }
        let kind = self.text(pointer, "type", object);
        let id = self.text(pointer, "id", object);
        self.refuse_other_name(pointer, object);
        let properties = self.properties(pointer, object);
        Some(Mentioned { kind: kind?, id: id?, properties: properties? })
    }

    /// Cedar's `__entity` beside `type` and `id` would be a second name: it must be the same one.
    fn refuse_other_name(&mut self, pointer: &str, object: &Object) {
        let Some(escaped) = object.get("__entity") else {
            return;
        };
        let is_same = |escaped: &Object| ["type", "id"].iter().all(|member| escaped.get(member) == object.get(member));
        if !escaped.as_object().is_some_and(is_same) {
            self.fault(step(pointer, "__entity"), "names another entity than `type` and `id`");
        }
    }

    fn action<'a>(&mut self, value: Option<&'a Json>) -> Option<(&'a str, &'a Object)> {
        let object = self.required("/action", value)?;
        if self.unknown == UnknownMembers::Refused {
            self.refuse_unknown("/action", object, &["name", "properties"]);
        }
        let name = self.text("/action", "name", object);
        let properties = self.properties("/action", object);
        Some((name?, properties?))
    }

    fn required<'a>(&mut self, pointer: &str, value: Option<&'a Json>) -> Option<&'a Object> {
        let Some(value) = value else {
            self.fault(pointer, "is required");
            return None;
        };
        self.object(pointer, value)
    }

    fn object<'a>(&mut self, pointer: &str, value: &'a Json) -> Option<&'a Object> {
        let object = value.as_object();
        if object.is_none() {
            self.fault(pointer, format!("must be an object, not {}", value.type_name()));
        }
        object
    }

    /// The text of a member that must be there.
    fn text<'a>(&mut self, pointer: &str, member: &str, object: &'a Object) -> Option<&'a str> {
        let detail = match object.get(member) {
            None => "is required".to_owned(),
            Some(Json::Str(text)) if text.is_empty() => "must not be empty".to_owned(),
            Some(Json::Str(text)) if text.len() > MAX_NAME => format!("must have at most {MAX_NAME} bytes"),
            Some(Json::Str(text)) => return Some(text),
            Some(other) => format!("must be a string, not {}", other.type_name()),
        };
        self.fault(step(pointer, member), detail);
        None
    }

    fn properties<'a>(&mut self, pointer: &str, object: &'a Object) -> Option<&'a Object> {
        match object.get("properties") {
            None => Some(&NOTHING),
            Some(Json::Object(properties)) => Some(properties),
            Some(other) => self.object(&step(pointer, "properties"), other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unknown: UnknownMembers) -> Result<Evaluation, Vec<String>> {
        let request = serde_json::from_str::<Object>(text).unwrap();
        Evaluation::from_object(&request, unknown).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    const GOOD: &str = r#"{"subject":{"type":"User","id":"ann"},"action":{"name":"read"},
        "resource":{"type":"Document","id":"d","properties":{"b":1,"a":2}},
        "context":{"constitutional_hash":"cdd01ef066bc6cf2","n":1}}"#;

    #[test]
    fn every_fault_is_named_not_only_the_first() {
        let faults = read(r#"{"subject":{"type":"","id":7},"action":[],"context":null}"#, UnknownMembers::Ignored);
        assert_eq!(
            faults.unwrap_err(),
            [
                "`subject.type` must not be empty",
                "`subject.id` must be a string, not an integer",
                "`action` must be an object, not an array",
                "`resource` is required",
                "`context` must be an object, not null",
            ]
        );
    }

    #[test]
    fn the_claim_is_taken_out_of_the_context() {
        let evaluation = read(GOOD, UnknownMembers::Refused).unwrap();
        assert_eq!(evaluation.claims.context.as_deref(), Some("cdd01ef066bc6cf2"));
        assert_eq!(
            evaluation.canonical(),
            r#""subject":{"type":"User","id":"ann"},"action":{"name":"read"},"resource":{"type":"Document","id":"d","properties":{"a":2,"b":1}},"context":{"n":1}"#
        );
    }

    #[test]
    fn unknown_members_are_refused_only_where_asked() {
        let text = GOOD.replacen("\"action\":{", "\"extra\":1,\"action\":{\"x/y\":2,", 1);
        assert!(read(&text, UnknownMembers::Ignored).is_ok());
        assert_eq!(
            read(&text, UnknownMembers::Refused).unwrap_err(),
            ["`extra` is not a member of this request", "`action.x/y` is not a member of this request"]
        );
    }

    #[test]
    fn an_item_replaces_whole_members_of_its_batch() {
        let object = |text| serde_json::from_str::<Object>(text).unwrap();
        let item = object(r#"{"resource":{"type":"Document","id":"e"}}"#);
        let evaluation = Evaluation::from_item(&item, &object(GOOD)).unwrap();
        assert_eq!(evaluation.resource.uid, EntityUid::new("Document", "e"));
        assert!(evaluation.resource.properties.is_empty());
        assert_eq!(evaluation.subject.uid.id, "ann");
    }
}
