//! The schema's declarations, in the form in which requests and entities are checked against them.

use std::collections::{HashMap, HashSet};

use cedar_policy_core::ast;
use cedar_policy_core::validator::types::{Attributes, EntityKind, Type};
use cedar_policy_core::validator::{ValidatorActionId, ValidatorEntityType, ValidatorEntityTypeKind, ValidatorSchema};
use smol_str::SmolStr;

use crate::domain::EntityUid;

/// The types and actions that a constitution knows.
#[derive(Debug, Default)]
pub struct Vocabulary {
    types: HashMap<SmolStr, EntityType>,
    actions: HashMap<SmolStr, Action>,
    names: HashMap<EntityUid, SmolStr>,
}

/// An entity type.
#[derive(Debug)]
pub struct EntityType {
    /// Its attributes.
    pub attrs: Shape,
    /// The type of its tags, if it may have tags.
    pub tags: Option<Kind>,
    /// Its enumerated ids; `None` if any id is allowed.
    pub ids: Option<HashSet<SmolStr>>,
}

/// An action, and the types to which it applies.
#[derive(Debug)]
pub struct Action {
    /// The Cedar action.
    pub uid: EntityUid,
    /// The action groups it is in, directly or not.
    pub ancestors: HashSet<EntityUid>,
    /// The types that may take it.
    pub principals: HashSet<SmolStr>,
    /// The types that it may be taken on.
    pub resources: HashSet<SmolStr>,
    /// The shape of its context.
    pub context: Shape,
}

/// The attributes of an entity type or the fields of a record.
#[derive(Debug, Default)]
pub struct Shape(Vec<Attribute>);

/// One attribute or field.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: SmolStr,
    /// Its type.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// A declared type.
#[derive(Debug)]
pub enum Kind {
    /// `Bool`
    Bool,
    /// `Long`
    Long,
    /// `String`
    Str,
    /// An entity of that type.
    Entity(SmolStr),
    /// `Set`
    Set(Box<Kind>),
    /// A record.
    Record(Shape),
    /// An extension type, by the name of the function that makes one from text.
    Extension(ast::Name),
}

impl Vocabulary {
    /// Reads a schema; the error is a type that has no place in a declaration.
    pub fn new(schema: &ValidatorSchema) -> Result<Self, String> {
        let mut vocabulary = Self::default();
        for declared in schema.entity_types() {
            vocabulary.types.insert(declared.name().to_string().into(), EntityType::new(declared)?);
        }
        let mut groups: HashMap<&ast::EntityUID, HashSet<EntityUid>> = HashMap::new();
        for group in schema.action_ids() {
            for member in group.descendants() {
                groups.entry(member).or_default().insert(group.name().into());
            }
        }
        for declared in schema.action_ids() {
            let action = Action::new(declared, groups.remove(declared.name()).unwrap_or_default())?;
            let name = action_name(&action.uid);
            vocabulary.names.insert(action.uid.clone(), name.clone());
            vocabulary.actions.insert(name, action);
        }
        Ok(vocabulary)
    }

    /// The entity type of that name.
    #[must_use]
    pub fn entity_type(&self, name: &str) -> Option<&EntityType> {
        self.types.get(name)
    }

    /// The action that a request names.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.get(name)
    }

    /// The action with that uid.
    #[must_use]
    pub fn action_of(&self, uid: &EntityUid) -> Option<&Action> {
        self.actions.get(self.names.get(uid)?)
    }

    /// The names by which requests may refer to actions.
    pub fn action_names(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(|name| &**name)
    }

    /// The names of all entity types.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(|name| &**name)
    }

    /// Every action.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }
}

/// The name of an action in requests: its id, or its full name if it is in a namespace.
fn action_name(uid: &EntityUid) -> SmolStr {
    if uid.kind == "Action" { uid.id.clone() } else { uid.to_string().into() }
}

impl EntityType {
    fn new(declared: &ValidatorEntityType) -> Result<Self, String> {
        let ids = match &declared.kind {
            ValidatorEntityTypeKind::Enum(ids) => {
                Some(ids.iter().map(|id| SmolStr::new(AsRef::<str>::as_ref(id))).collect())
            }
            ValidatorEntityTypeKind::Standard(_) | ValidatorEntityTypeKind::External => None,
        };
        let tags = declared.tag_type().map(Kind::new).transpose()?;
        Ok(Self { attrs: Shape::new(declared.attributes())?, tags, ids })
    }
}

impl Action {
    fn new(declared: &ValidatorActionId, ancestors: HashSet<EntityUid>) -> Result<Self, String> {
        let context = match declared.context() {
            Some(Type::Record { attrs, .. }) => Shape::new(attrs)?,
            _ => Shape::default(),
        };
        Ok(Self {
            uid: declared.name().into(),
            ancestors,
            principals: declared.principals().map(|name| name.to_string().into()).collect(),
            resources: declared.resources().map(|name| name.to_string().into()).collect(),
            context,
        })
    }
}

impl Shape {
    fn new(attributes: &Attributes) -> Result<Self, String> {
        let attribute = |(name, declared): (&SmolStr, &cedar_policy_core::validator::types::AttributeType)| {
            Ok(Attribute {
                name: name.clone(),
                kind: Kind::new(&declared.attr_type)?,
                required: declared.is_required(),
            })
        };
        attributes.iter().map(attribute).collect::<Result<_, String>>().map(Self)
    }

    /// The type of the attribute of that name.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.kind)
    }

    /// All attributes, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }
}

impl Kind {
    fn new(declared: &Type) -> Result<Self, String> {
        Ok(match declared {
            Type::Bool(_) => Self::Bool,
            Type::Long => Self::Long,
            Type::String => Self::Str,
            Type::Entity(EntityKind::Entity(entity)) => match entity.get_single_entity() {
                Some(name) => Self::Entity(name.to_string().into()),
                None => return Err(format!("type `{declared}` cannot be declared")),
            },
            Type::Set { element_type: Some(element) } => Self::Set(Box::new(Self::new(element)?)),
            Type::Record { attrs, .. } => Self::Record(Shape::new(attrs)?),
            Type::ExtensionType { name } => Self::Extension(constructor(name)?),
            Type::Never | Type::Entity(EntityKind::AnyEntity) | Type::Set { element_type: None } => {
                return Err(format!("type `{declared}` cannot be declared"));
            }
        })
    }

    /// The type as messages name it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Bool => "a boolean".to_owned(),
            Self::Long => "a 64-bit integer".to_owned(),
            Self::Str => "a string".to_owned(),
            Self::Entity(name) => format!("an entity reference {{\"type\": \"{name}\", \"id\": …}}"),
            Self::Set(element) => format!("an array, each item {}", element.describe()),
            Self::Record(_) => "an object".to_owned(),
            Self::Extension(name) => format!("text that `{name}` accepts"),
        }
    }
}

/// The function that makes a value of an extension type from text.
fn constructor(type_name: &ast::Name) -> Result<ast::Name, String> {
    let function = match type_name.to_string().as_str() {
        "ipaddr" => "ip".to_owned(),
        other => other.to_owned(),
    };
    function.parse().map_err(|_| format!("extension type `{type_name}` is unknown"))
}
