//! The members of a question that the schema declares: only these can affect the decision.

use super::Constitution;
use super::vocabulary::{Kind, Shape};
use crate::domain::{Evaluation, Json, MemberPath, Object};
use crate::settings::RequestProperties;

/// The field of the context in which policies read the action's properties.
const ACTION: &str = "action";

impl Constitution {
    /// The members of a question that the schema does not declare and that take at least `bytes` bytes. A decision
    /// under this constitution is the same without them.
    #[must_use]
    pub fn undeclared(&self, mode: RequestProperties, evaluation: &Evaluation, bytes: usize) -> Vec<MemberPath> {
        let mut found = Vec::new();
        for (owner, properties) in objects(evaluation) {
            let shape = self.shape(mode, evaluation, &owner);
            undeclared(&owner, properties, shape, bytes, &mut found);
        }
        found
    }

    /// Whether a decision under this constitution may depend on a member of the question.
    #[must_use]
    pub fn declares(&self, mode: RequestProperties, evaluation: &Evaluation, path: &MemberPath) -> bool {
        objects(evaluation).iter().any(|(owner, _)| {
            let mut names = path.names();
            let is_within = owner.names().all(|name| names.next() == Some(name));
            is_within && self.shape(mode, evaluation, owner).is_some_and(|shape| reads(shape, names))
        })
    }

    /// The declared shape of one of the question's objects; `None` for an unknown action or type, or if properties of
    /// requests are ignored.
    fn shape(&self, mode: RequestProperties, evaluation: &Evaluation, owner: &MemberPath) -> Option<&Shape> {
        let action = self.vocabulary.action(&evaluation.action.name);
        let of_type = |kind: &str| {
            let declared = self.vocabulary.entity_type(kind).filter(|_| mode == RequestProperties::Merge);
            declared.map(|declared| &declared.attrs)
        };
        match owner.names().next() {
            Some("context") => action.map(|action| &action.context),
            Some("action") => match action?.context.kind(ACTION)? {
                Kind::Record(shape) => Some(shape),
                _ => None,
            },
            Some("subject") => of_type(&evaluation.subject.uid.kind),
            Some("resource") => of_type(&evaluation.resource.uid.kind),
            _ => None,
        }
    }
}

/// The question's objects with free members, and their paths.
fn objects(evaluation: &Evaluation) -> [(MemberPath, &Object); 4] {
    let properties = |owner| MemberPath::new([owner, "properties"]);
    [
        (MemberPath::new(["context"]), &*evaluation.context),
        (properties("action"), &evaluation.action.properties),
        (properties("subject"), &evaluation.subject.properties),
        (properties("resource"), &evaluation.resource.properties),
    ]
}

fn undeclared(owner: &MemberPath, object: &Object, shape: Option<&Shape>, bytes: usize, found: &mut Vec<MemberPath>) {
    for (name, value) in object.iter() {
        match (shape.and_then(|shape| shape.kind(name)), value) {
            (None, value) if value.bytes() >= bytes => found.push(owner.member(name)),
            (Some(Kind::Record(shape)), Json::Object(object)) => {
                undeclared(&owner.member(name), object, Some(shape), bytes, found);
            }
            _ => {}
        }
    }
}

/// Whether the member, or an attribute that contains it, is declared.
fn reads<'n>(shape: &Shape, mut names: impl Iterator<Item = &'n str>) -> bool {
    let Some(name) = names.next() else { return true };
    match shape.kind(name) {
        None => false,
        Some(Kind::Record(shape)) => reads(shape, names),
        Some(_) => true,
    }
}
