//! One question: may this subject take this action on this resource?

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::claims::Claims;
use super::fault::step;
use super::member::Member;
use super::{Action, EntityUid, InputFault, Json, Object, Party};

/// The longest type, id or action name, in bytes: the audit log's record of a decision always has room for them.
pub const MAX_NAME: usize = 1024;

/// The most faults reported for one request; a hostile one could have more than it has bytes.
pub const MAX_FAULTS: usize = 100;

/// The member of `context` in which a caller claims a constitution.
const CLAIM: &str = "constitutional_hash";

/// A well-formed evaluation request (AuthZEN 1.0, section 5), or *question*. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The entity that wants to act.
    pub subject: Member<Party>,
    /// The action.
    pub action: Member<Action>,
    /// To what.
    pub resource: Member<Party>,
    /// Under which circumstances, without the claim.
    pub context: Member<Object>,
    /// The constitution that the caller claims to be in force.
    pub claims: Claims,
}

/// The treatment of unknown members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownMembers {
    /// Ignored: AuthZEN demands it.
    Ignored,
    /// A fault each.
    Refused,
}

/// The default members of a batch, for items that lack them. Each is parsed once and shared by all items.
#[derive(Debug)]
pub struct Defaults {
    subject: Parsed<Member<Party>>,
    action: Parsed<Member<Action>>,
    resource: Parsed<Member<Party>>,
    context: Parsed<Context>,
}

/// An item of a batch that could not be parsed: its well-formed names, and its faults. Displays all faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyItem {
    /// The entity that wants to act.
    pub subject: Option<EntityUid>,
    /// The action's name.
    pub action: Option<SmolStr>,
    /// The entity that is acted on.
    pub resource: Option<EntityUid>,
    /// The faults, at least one.
    pub faults: Vec<InputFault>,
}

impl fmt::Display for FaultyItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if nth == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// A parsed member of a request, or its faults.
type Parsed<T> = Result<T, Vec<InputFault>>;

/// A context, and the constitutional hash that was claimed in it.
type Context = (Member<Object>, Option<Arc<str>>);

impl Defaults {
    /// Parses a batch's default members. A fault concerns only the items that use the member.
    #[must_use]
    pub fn read(batch: &Object) -> Self {
        Self {
            subject: parse_with(|reader| reader.party("/subject", batch.get("subject"))),
            action: parse_with(|reader| reader.action(batch.get("action"))),
            resource: parse_with(|reader| reader.party("/resource", batch.get("resource"))),
            context: parse_with(|reader| reader.context(batch.get("context"))),
        }
    }
}

fn parse_with<T>(parse: impl FnOnce(&mut Reader) -> Option<T>) -> Parsed<T> {
    let mut reader = Reader { unknown: UnknownMembers::Ignored, faults: Vec::new() };
    match parse(&mut reader) {
        Some(member) if reader.faults.is_empty() => Ok(member),
        _ => Err(reader.faults),
    }
}

/// An item's own member, or the default of its batch.
fn parse_or<T: Clone>(
    own: Option<&Json>,
    default: &Parsed<T>,
    parse: impl FnOnce(&mut Reader, Option<&Json>) -> Option<T>,
) -> Parsed<T> {
    match own {
        Some(own) => parse_with(|reader| parse(reader, Some(own))),
        None => default.clone(),
    }
}

impl Evaluation {
    /// Parses a question from the four members of `request`. The error lists every fault.
    pub fn from_object(request: &Object, unknown: UnknownMembers) -> Result<Self, Vec<InputFault>> {
        let mut reader = Reader { unknown, faults: Vec::new() };
        if unknown == UnknownMembers::Refused {
            reader.refuse_unknown("", request, &["subject", "action", "resource", "context"]);
        }
        let subject = reader.party("/subject", request.get("subject"));
        let action = reader.action(request.get("action"));
        let resource = reader.party("/resource", request.get("resource"));
        let context = reader.context(request.get("context"));
        match (subject, action, resource, context, reader.faults.is_empty()) {
            (Some(subject), Some(action), Some(resource), Some(context), true) => {
                Ok(Self::of(subject, action, resource, context))
            }
            _ => Err(reader.faults),
        }
    }

    /// Parses an item of a batch; members that it lacks come from the defaults.
    pub fn from_item(item: &Json, defaults: &Defaults) -> Result<Self, Box<FaultyItem>> {
        let Json::Object(item) = item else {
            let detail = format!("the item must be an object, not {}", item.type_name());
            let faults = vec![InputFault::new("", detail)];
            return Err(Box::new(FaultyItem { subject: None, action: None, resource: None, faults }));
        };
        let subject = parse_or(item.get("subject"), &defaults.subject, |reader, own| reader.party("/subject", own));
        let action = parse_or(item.get("action"), &defaults.action, Reader::action);
        let resource = parse_or(item.get("resource"), &defaults.resource, |reader, own| reader.party("/resource", own));
        let context = parse_or(item.get("context"), &defaults.context, Reader::context);
        match (subject, action, resource, context) {
            (Ok(subject), Ok(action), Ok(resource), Ok(context)) => Ok(Self::of(subject, action, resource, context)),
            (subject, action, resource, context) => {
                let name = |party: &Parsed<Member<Party>>| party.as_ref().ok().map(|party| party.uid.clone());
                let named = (name(&subject), name(&resource));
                let action_name = action.as_ref().ok().map(|action| action.name.clone());
                let faults = [subject.err(), action.err(), resource.err(), context.err()];
                let faults = faults.into_iter().flatten().flatten().take(MAX_FAULTS).collect();
                Err(Box::new(FaultyItem { subject: named.0, action: action_name, resource: named.1, faults }))
            }
        }
    }

    fn of(subject: Member<Party>, action: Member<Action>, resource: Member<Party>, context: Context) -> Self {
        let (context, claim) = context;
        Self { subject, action, resource, context, claims: Claims { header: None, context: claim } }
    }

    /// The JSON members `subject`, `action`, `resource` and `context`, without braces and without the claim: the
    /// same text for every question with the same meaning.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.canonical_parts().concat()
    }

    /// The pieces of which [`canonical`](Self::canonical) consists, to be written without concatenating them.
    #[must_use]
    pub fn canonical_parts(&self) -> [&str; 8] {
        let (subject, action) = (self.subject.text(), self.action.text());
        let (resource, context) = (self.resource.text(), self.context.text());
        ["\"subject\":", subject, ",\"action\":", action, ",\"resource\":", resource, ",\"context\":", context]
    }

    /// The length of the canonical text and the claims, in bytes.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.canonical_parts().iter().map(|part| part.len()).sum::<usize>() + self.claims.bytes()
    }
}

/// The properties of a party or action without any.
static NOTHING: Object = Object::NOTHING;

/// Parses members, and collects their faults.
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

    fn party(&mut self, pointer: &str, value: Option<&Json>) -> Option<Member<Party>> {
        let object = self.required(pointer, value)?;
        if self.unknown == UnknownMembers::Refused {
            self.refuse_unknown(pointer, object, &["type", "id", "properties"]);
        }
        let kind = self.text(pointer, "type", object);
        let id = self.text(pointer, "id", object);
        self.refuse_other_name(pointer, object);
        let properties = self.properties(pointer, object)?.clone();
        Some(Member::new(Party { uid: EntityUid::new(kind?, id?), properties }))
    }

    /// Cedar's escape `__entity` beside `type` and `id` must name the same entity.
    fn refuse_other_name(&mut self, pointer: &str, object: &Object) {
        let Some(escaped) = object.get("__entity") else {
            return;
        };
        let is_same = |escaped: &Object| ["type", "id"].iter().all(|member| escaped.get(member) == object.get(member));
        if !escaped.as_object().is_some_and(is_same) {
            self.fault(step(pointer, "__entity"), "names another entity than `type` and `id`");
        }
    }

    fn action(&mut self, value: Option<&Json>) -> Option<Member<Action>> {
        let object = self.required("/action", value)?;
        if self.unknown == UnknownMembers::Refused {
            self.refuse_unknown("/action", object, &["name", "properties"]);
        }
        let name = self.text("/action", "name", object);
        let properties = self.properties("/action", object)?.clone();
        Some(Member::new(Action { name: name?.into(), properties }))
    }

    fn context(&mut self, value: Option<&Json>) -> Option<Context> {
        let Some(value) = value else { return Some((Member::new(Object::NOTHING), None)) };
        let mut context = self.object("/context", value)?.clone();
        let claim = context.remove(CLAIM).map(|claim| match claim {
            Json::Str(hash) => Claims::stated(&hash),
            other => Claims::stated(&serde_json::to_string(&other).unwrap_or_default()),
        });
        Some((Member::new(context), claim))
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
        let item = serde_json::from_str(r#"{"resource":{"type":"Document","id":"e"}}"#).unwrap();
        let batch = serde_json::from_str(GOOD).unwrap();
        let evaluation = Evaluation::from_item(&item, &Defaults::read(&batch)).unwrap();
        assert_eq!(evaluation.resource.uid, EntityUid::new("Document", "e"));
        assert!(evaluation.resource.properties.is_empty());
        assert_eq!(evaluation.subject.uid.id, "ann");
    }
    #[test]
    fn the_items_of_a_batch_share_its_members_and_only_those_that_take_a_faulty_one_are_faulty() {
        let defaults = Defaults::read(&serde_json::from_str(&GOOD.replace(r#""type":"User","#, "")).unwrap());
        let item = |text| Evaluation::from_item(&serde_json::from_str(text).unwrap(), &defaults);
        let own = r#"{"subject":{"type":"User","id":"bob"}}"#;
        let (first, second) = (item(own).unwrap(), item(own).unwrap());
        assert!(first.context.is_shared_with(&second.context) && first.action.is_shared_with(&second.action));
        assert!(!first.subject.is_shared_with(&second.subject));
        assert_eq!((&first, first.claims.context.as_deref()), (&second, Some("cdd01ef066bc6cf2")));
        assert_eq!(first.written_bytes(), first.canonical().len() + "cdd01ef066bc6cf2".len());
        let faulty = item(r#"{"context":7}"#).unwrap_err();
        assert_eq!(faulty.to_string(), "`subject.type` is required; `context` must be an object, not an integer");
        assert_eq!((&faulty.subject, faulty.resource.as_ref().unwrap().id.as_str()), (&None, "d"));
        assert_eq!(item("[]").unwrap_err().to_string(), "the item must be an object, not an array");
    }
}
