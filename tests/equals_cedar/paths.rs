//! Every attribute path that a condition can read: from principal, resource and context, and from named entities.

use crate::choices::Choices;
use crate::grammar::uid;
use crate::schema::{ENTITY_TYPES, Env, Field, Ty, attributes, context, ids};

/// The longest chain of attributes.
const STEPS: usize = 4;
/// The longest chain of attributes from a named entity.
const NAMED_STEPS: usize = 3;
/// The longest chain of entities: the request's own, and three references on from there.
const ENTITIES: usize = 4;

/// `principal.manager.age`, with what must be asked before it may be read.
#[derive(Debug, Clone)]
pub struct Path {
    pub text: String,
    pub ty: Ty,
    root: String,
    attrs: Vec<&'static str>,
    /// Which of the attributes are optional.
    optional: Vec<usize>,
    entities: usize,
}

impl Path {
    /// All paths of an environment.
    pub fn all(env: &Env) -> Vec<Self> {
        let roots = vec![
            Self::root("principal".to_owned(), Ty::Entity(env.principal)),
            Self::root("resource".to_owned(), Ty::Entity(env.resource)),
            Self::root("context".to_owned(), Ty::Record(context(env.action))),
        ];
        Self::from(roots, STEPS)
    }

    /// All paths from entities by their names.
    pub fn named() -> Vec<Self> {
        let of_type =
            |kind: &'static str| ids(kind).iter().map(move |id| Self::root(uid((kind, id)), Ty::Entity(kind)));
        Self::from(ENTITY_TYPES.into_iter().flat_map(of_type).collect(), NAMED_STEPS)
    }

    fn from(mut paths: Vec<Self>, steps: usize) -> Vec<Self> {
        let mut next = 0;
        while let Some(path) = paths.get(next).cloned() {
            next += 1;
            if path.attrs.len() < steps {
                paths.extend(path.fields().iter().filter_map(|field| path.step(field)));
            }
        }
        paths
    }

    /// What may be asked of the path's value.
    pub fn fields(&self) -> Vec<Field> {
        match &self.ty {
            Ty::Entity(kind) => attributes(kind),
            Ty::Record(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }

    /// The tests that make it safe to read the path: one for each optional attribute, or one for all.
    pub fn guards(&self, choices: &mut Choices) -> Vec<String> {
        let until =
            |end: usize| self.attrs[..end].iter().fold(self.root.clone(), |text, name| format!("{text}.{name}"));
        match self.optional.last() {
            Some(last) if choices.chance(50) => {
                vec![format!("{} has {}", self.root, self.attrs[..=*last].join("."))]
            }
            _ => self.optional.iter().map(|at| format!("{} has {}", until(*at), self.attrs[*at])).collect(),
        }
    }

    fn root(name: String, ty: Ty) -> Self {
        let entities = usize::from(matches!(ty, Ty::Entity(_)));
        Self { text: name.clone(), ty, root: name, attrs: Vec::new(), optional: Vec::new(), entities }
    }

    fn step(&self, (name, ty, required): &Field) -> Option<Self> {
        let entities = self.entities + usize::from(matches!(ty, Ty::Entity(_)));
        let mut path = Self { text: format!("{}.{name}", self.text), ty: ty.clone(), entities, ..self.clone() };
        path.attrs.push(name);
        if !required {
            path.optional.push(self.attrs.len());
        }
        (entities <= ENTITIES).then_some(path)
    }
}
