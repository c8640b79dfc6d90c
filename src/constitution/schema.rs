//! Reads the schema. Limits are checked before Cedar parses it: Cedar expands every type that a declaration names, so a
//! few lines of types that each name another one twice would take all memory.

use std::collections::HashMap;

use cedar_policy::Schema;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::RawName;
use cedar_policy_core::validator::json_schema::{EntityTypeKind, Fragment, Type, TypeVariant};

use super::bounds;
use super::bundle::Source;
use super::fault::Fault;
use super::policies::diagnostic;
use super::vocabulary::Vocabulary;

/// The most types, entity types and actions in a schema.
const MAX_DECLARATIONS: usize = 20_000;
/// The most parts in all declarations together, after expanding the types that they name.
const MAX_PARTS: u64 = 200_000;
/// The deepest nesting of an expanded type.
const MAX_DEPTH: u64 = 100;
/// The most pairs of an entity type and a possible ancestor, or of an action and its group.
const MAX_MEMBERSHIPS: usize = 200_000;
/// The most combinations of a principal type, an action and a resource type, since policies are validated for each.
const MAX_ENVIRONMENTS: usize = 10_000;

/// A parsed schema with warnings.
#[derive(Debug)]
pub struct ParsedSchema {
    /// The schema for Cedar.
    pub schema: Schema,
    /// The schema for checking requests.
    pub vocabulary: Vocabulary,
    /// Warnings, which do not prevent loading.
    pub warnings: Vec<Fault>,
}

/// Parses a schema. Faults are added to `faults`.
pub fn parse(source: &Source, faults: &mut Vec<Fault>) -> Option<ParsedSchema> {
    if let Some(fault) = bounds::schema_fault(source).or_else(|| extent_fault(source)) {
        faults.push(fault);
        return None;
    }
    let (schema, warnings) = match Schema::from_cedarschema_str(&source.text) {
        Ok((schema, warnings)) => (schema, warnings.map(|warning| diagnostic(source, 0, 0, &warning)).collect()),
        Err(error) => {
            faults.push(diagnostic(source, 0, 0, &error));
            return None;
        }
    };
    match Vocabulary::new(schema.as_ref()) {
        Ok(vocabulary) => Some(ParsedSchema { schema, vocabulary, warnings }),
        Err(detail) => {
            faults.push(Fault::of_file(&source.file, detail));
            None
        }
    }
}

/// The limit that the declarations exceed, if any. A text that cannot be parsed is refused by Cedar.
fn extent_fault(source: &Source) -> Option<Fault> {
    let (fragment, _) = Fragment::<RawName>::from_cedarschema_str(&source.text, Extensions::all_available()).ok()?;
    let detail = extent(&fragment)?;
    Some(Fault::of_file(&source.file, detail))
}

fn extent(fragment: &Fragment<RawName>) -> Option<String> {
    let declared = |namespace: &cedar_policy_core::validator::json_schema::NamespaceDefinition<RawName>| {
        namespace.common_types.len() + namespace.entity_types.len() + namespace.actions.len()
    };
    if fragment.0.values().map(declared).sum::<usize>() > MAX_DECLARATIONS {
        return Some(format!("declares more than {MAX_DECLARATIONS} types and actions"));
    }
    let mut types = Types::default();
    for (namespace, definition) in &fragment.0 {
        let space = namespace.as_ref().map(ToString::to_string).unwrap_or_default();
        for (id, declared) in &definition.common_types {
            let id: &cedar_policy_core::ast::UnreservedId = id.as_ref();
            types.declared.insert(qualified(&space, id.as_ref()), (space.clone(), &declared.ty));
        }
    }
    let (mut parts, mut environments) = (0_u64, 0_usize);
    let (mut entities, mut actions) = (Edges::new(), Edges::new());
    for (namespace, definition) in &fragment.0 {
        let space = namespace.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut sizes: Vec<Size> =
            definition.common_types.values().map(|declared| types.size(&space, &declared.ty)).collect();
        for (id, declared) in &definition.entity_types {
            let name = qualified(&space, id.as_ref());
            match &declared.kind {
                EntityTypeKind::Standard(standard) => {
                    sizes.push(types.size(&space, &standard.shape.0));
                    sizes.extend(standard.tags.as_ref().map(|tags| types.size(&space, tags)));
                    let groups = standard.member_of_types.iter().map(ToString::to_string);
                    entities.insert(name, (space.clone(), groups.collect()));
                }
                EntityTypeKind::Enum { choices } => parts += choices.len() as u64,
            }
        }
        for (id, declared) in &definition.actions {
            if let Some(applies) = &declared.applies_to {
                sizes.push(types.size(&space, &applies.context.0));
                environments += applies.principal_types.len().saturating_mul(applies.resource_types.len());
            }
            let groups = declared.member_of.iter().flatten().map(|group| group.id.to_string());
            actions.insert(qualified(&space, id), (space.clone(), groups.collect()));
        }
        for Size { parts: more, depth } in sizes {
            if depth > MAX_DEPTH {
                return Some(format!("has a type that nests deeper than {MAX_DEPTH} levels when expanded"));
            }
            parts = parts.saturating_add(more);
        }
    }
    if parts > MAX_PARTS {
        return Some(format!("has types that expand to {parts} parts together, more than {MAX_PARTS}"));
    }
    if environments > MAX_ENVIRONMENTS {
        let what = "combinations of a principal's type, an action and a resource's type";
        return Some(format!("has {environments} {what}, more than {MAX_ENVIRONMENTS}"));
    }
    let memberships = memberships(&entities).saturating_add(memberships(&actions));
    (memberships > MAX_MEMBERSHIPS)
        .then(|| format!("has more than {MAX_MEMBERSHIPS} pairs of a type or action and a direct or indirect parent"))
}

fn qualified(space: &str, name: &str) -> String {
    if space.is_empty() { name.to_owned() } else { format!("{space}::{name}") }
}

/// The size of a type after expanding every type that it names.
#[derive(Debug, Clone, Copy)]
struct Size {
    parts: u64,
    depth: u64,
}

/// Common types by their fully qualified names, with their namespaces.
#[derive(Default)]
struct Types<'a> {
    declared: HashMap<String, (String, &'a Type<RawName>)>,
    /// Known sizes; `None` while a size is being computed, so that a cycle ends. Cedar refuses cycles.
    sizes: HashMap<String, Option<Size>>,
}

impl Types<'_> {
    fn size(&mut self, space: &str, of: &Type<RawName>) -> Size {
        let name = match of {
            Type::Type { ty, .. } => match ty {
                TypeVariant::Set { element } => {
                    let element = self.size(space, element);
                    return Size { parts: element.parts.saturating_add(1), depth: element.depth.saturating_add(1) };
                }
                TypeVariant::Record(record) => {
                    let mut size = Size { parts: 1, depth: 1 };
                    for attribute in record.attributes.values() {
                        let part = self.size(space, &attribute.ty);
                        size.parts = size.parts.saturating_add(part.parts);
                        size.depth = size.depth.max(part.depth.saturating_add(1));
                    }
                    return size;
                }
                TypeVariant::EntityOrCommon { type_name } => type_name.to_string(),
                _ => return Size { parts: 1, depth: 1 },
            },
            Type::CommonTypeRef { type_name, .. } => type_name.to_string(),
        };
        self.named(space, &name)
    }

    fn named(&mut self, space: &str, name: &str) -> Size {
        const ONE: Size = Size { parts: 1, depth: 1 };
        let full = [qualified(space, name), name.to_owned()].into_iter().find(|full| self.declared.contains_key(full));
        let Some(full) = full else { return ONE };
        if let Some(known) = self.sizes.get(&full) {
            return known.unwrap_or(ONE);
        }
        let Some((within, declared)) = self.declared.get(&full).map(|(within, declared)| (within.clone(), *declared))
        else {
            return ONE;
        };
        self.sizes.insert(full.clone(), None);
        let size = self.size(&within, declared);
        self.sizes.insert(full, Some(size));
        size
    }
}

/// The direct parents of each type or action, by fully qualified name, with the namespace in which they are written.
type Edges = HashMap<String, (String, Vec<String>)>;

/// The number of pairs of a type or action and an ancestor; counting stops soon after the limit.
fn memberships(edges: &Edges) -> usize {
    let mut count = 0;
    for start in edges.keys() {
        let mut seen = std::collections::HashSet::new();
        let mut next = vec![start.clone()];
        while let Some(name) = next.pop() {
            let Some((space, groups)) = edges.get(&name) else { continue };
            for group in groups {
                let full = qualified(space, group);
                let full = if edges.contains_key(&full) { full } else { group.clone() };
                if seen.insert(full.clone()) {
                    next.push(full);
                }
            }
            if count + seen.len() > MAX_MEMBERSHIPS {
                return count + seen.len();
            }
        }
        count += seen.len();
    }
    count
}
