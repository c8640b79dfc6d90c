//! Converts JSON to Cedar values by the schema's declarations. Undeclared members are dropped.

use cedar_policy_core::ast;
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use super::value::{Record, Set, Value};
use super::vocabulary::{Attribute, Kind, Shape, Vocabulary};
use crate::domain::{Entity, EntityUid, Json, Object, excerpt};

/// A value that does not fit the schema: the attribute's path, and the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {detail}")]
pub struct Misfit {
    /// The attribute, from its owner: `context.approver`, `Agent::"a".owner`.
    pub path: String,
    /// The fault.
    pub detail: String,
}

/// Whether attributes that the schema requires must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// A missing one does not fit.
    Demanded,
    /// They may be missing: a policy that needs one errors, and the decision is a deny.
    Waived,
}

impl Vocabulary {
    /// The declared members of `object`; `owner` names it in messages.
    pub fn record(&self, owner: &str, object: &Object, shape: &Shape, required: Required) -> Result<Record, Misfit> {
        self.record_without(None, owner, object, shape, required)
    }

    /// Like [`Self::record`], without one member.
    pub fn record_without(
        &self,
        omitted: Option<&str>,
        owner: &str,
        object: &Object,
        shape: &Shape,
        required: Required,
    ) -> Result<Record, Misfit> {
        let mut fields: Vec<(SmolStr, Value)> = Vec::new();
        for attribute in shape.iter().filter(|attribute| omitted != Some(&attribute.name)) {
            match object.get(&attribute.name) {
                Some(json) => fields.push((attribute.name.clone(), self.attribute(owner, attribute, json)?)),
                None if attribute.required && required == Required::Demanded => {
                    return Err(misfit(owner, &attribute.name, "is required"));
                }
                None => {}
            }
        }
        Ok(fields.into_iter().collect())
    }

    /// Checks that decisions can read an entity's attributes and tags.
    pub fn entity(&self, entity: &Entity) -> Result<(), Misfit> {
        let Some(declared) = self.entity_type(&entity.uid.kind) else {
            return Ok(());
        };
        let owner = entity.uid.to_string();
        let owner = excerpt(&owner);
        self.record(&owner, &entity.attrs, &declared.attrs, Required::Waived)?;
        declared.tags.as_ref().map_or(Ok(()), |kind| self.tags(&owner, &entity.tags, kind).map(drop))
    }

    /// Converts a declared member whose value is an object; `None` if it is not declared.
    pub fn member(
        &self,
        owner: &str,
        name: &str,
        object: &Object,
        shape: &Shape,
    ) -> Result<Option<(SmolStr, Value)>, Misfit> {
        let Some(attribute) = shape.iter().find(|attribute| attribute.name == name) else { return Ok(None) };
        let value = self.attribute(owner, attribute, &Json::Object(object.clone()))?;
        Ok(Some((attribute.name.clone(), value)))
    }

    /// Tags: any name, one type.
    pub fn tags(&self, owner: &str, object: &Object, kind: &Kind) -> Result<Record, Misfit> {
        let tag = |(name, json): (&str, &Json)| {
            let value = self.value(json, kind).map_err(|detail| misfit(owner, &excerpt(name), &detail))?;
            Ok((SmolStr::new(name), value))
        };
        object.iter().map(tag).collect()
    }

    fn attribute(&self, owner: &str, attribute: &Attribute, json: &Json) -> Result<Value, Misfit> {
        match (&attribute.kind, json) {
            (Kind::Record(shape), Json::Object(object)) => {
                let path = format!("{owner}.{}", attribute.name);
                self.record(&path, object, shape, Required::Demanded).map(Value::Record)
            }
            (kind, json) => self.value(json, kind).map_err(|detail| misfit(owner, &attribute.name, &detail)),
        }
    }

    fn value(&self, json: &Json, kind: &Kind) -> Result<Value, String> {
        Ok(match (kind, json) {
            (Kind::Bool, Json::Bool(value)) => Value::Bool(*value),
            (Kind::Long, Json::Int(value)) => Value::Long(*value),
            (Kind::Str, Json::Str(value)) => Value::Str(SmolStr::new(value)),
            (Kind::Entity(name), Json::Object(object)) => Value::Entity(self.reference(object, name)?),
            (Kind::Set(element), Json::Array(items)) => {
                Value::Set(items.iter().map(|item| self.value(item, element)).collect::<Result<Set, _>>()?)
            }
            (Kind::Record(shape), Json::Object(object)) => Value::Record(
                self.record("item", object, shape, Required::Demanded).map_err(|fault| fault.to_string())?,
            ),
            (Kind::Extension(function), Json::Str(text)) => extension(function, text)?,
            (Kind::Extension(function), Json::Object(object)) => extension_call(function, object)?,
            (kind, json) => return Err(format!("must be {}, not {}", kind.describe(), json.type_name())),
        })
    }

    /// An entity reference, plain or in Cedar's `__entity` escape.
    fn reference(&self, object: &Object, kind: &str) -> Result<EntityUid, String> {
        let reference = unescaped(object, "__entity", ["type", "id"])?;
        let (Some(Json::Str(given)), Some(Json::Str(id))) = (reference.get("type"), reference.get("id")) else {
            return Err(format!("must be an entity reference {{\"type\": \"{kind}\", \"id\": …}}"));
        };
        if **given != *kind {
            return Err(format!("must refer to an entity of type `{kind}`, not `{}`", excerpt(given)));
        }
        let uid = EntityUid::new(kind, &**id);
        self.enumerated(&uid)?;
        Ok(uid)
    }

    /// Fails if an id is not among those that its type enumerates.
    pub fn enumerated(&self, uid: &EntityUid) -> Result<(), String> {
        match self.entity_type(&uid.kind).and_then(|declared| declared.ids.as_ref()) {
            Some(ids) if !ids.contains(&uid.id) => {
                Err(format!("`{}` is not one of the entities of its type", excerpt(&uid.to_string())))
            }
            _ => Ok(()),
        }
    }
}

/// The contents of one of Cedar's escapes, or the object itself. If both have a member, the values must be equal: two
/// parsers of a document must not read different values.
fn unescaped<'a>(object: &'a Object, escape: &str, members: [&str; 2]) -> Result<&'a Object, String> {
    let other = if escape == "__entity" { "__extn" } else { "__entity" };
    if object.get(other).is_some() {
        return Err(format!("must not have `{other}`"));
    }
    let Some(escaped) = object.get(escape) else {
        return Ok(object);
    };
    let Json::Object(escaped) = escaped else {
        return Err(format!("`{escape}` must be an object, not {}", escaped.type_name()));
    };
    if let Some(nested) = [escape, other].into_iter().find(|name| escaped.get(name).is_some()) {
        return Err(format!("must not have `{nested}` within `{escape}`"));
    }
    match members.iter().find(|member| object.get(member).is_some_and(|outer| escaped.get(member) != Some(outer))) {
        Some(member) => Err(format!("has different values of `{member}` inside and outside of `{escape}`")),
        None => Ok(escaped),
    }
}

fn misfit(owner: &str, name: &str, detail: &str) -> Misfit {
    Misfit { path: format!("{owner}.{name}"), detail: detail.to_owned() }
}

/// A value of an extension type from the text that its constructor takes.
fn extension(function: &ast::Name, text: &str) -> Result<Value, String> {
    let refused = |_| format!("must be text that `{function}` accepts, not `{}`", excerpt(text));
    let made = Extensions::all_available()
        .func(function)
        .map_err(|_| format!("has the unknown extension function `{function}`"))?
        .call(&[ast::Value::from(text)])
        .map_err(refused)?;
    match made {
        ast::PartialValue::Value(value) => Ok(Value::from(&value)),
        ast::PartialValue::Residual(_) => Err(format!("must be text that `{function}` accepts")),
    }
}

/// Cedar's escape for extension values: `{"__extn": {"fn": "ip", "arg": "10.0.0.1"}}`.
fn extension_call(function: &ast::Name, object: &Object) -> Result<Value, String> {
    let call = unescaped(object, "__extn", ["fn", "arg"])?;
    match (call.get("fn"), call.get("arg")) {
        (Some(Json::Str(name)), Some(Json::Str(text))) if **name == *function.to_string() => extension(function, text),
        _ => Err(format!("must be text that `{function}` accepts")),
    }
}
