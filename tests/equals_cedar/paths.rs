//! Everything that a condition can reach from principal, resource and context by attributes.

use crate::choices::Choices;
use crate::schema::{Env, Field, Ty, attributes, context};

/// The longest chain of attributes.
const STEPS: usize = 4;
/// The longest chain of entities: the request's own, and three references on from there.
const ENTITIES: usize = 4;

/// `principal.manager.age`, with what must be asked before it may be read.
#[derive(Debug, Clone)]
pub struct Path {
    pub text: String,
    pub ty: Ty,
    root: &'static str,
    attrs: Vec<&'static str>,
    /// Which of the attributes are optional.
    optional: Vec<usize>,
    entities: usize,
}

impl Path {
    /// All paths of an environment.
    pub fn all(env: &Env) -> Vec<Self> {
        let mut paths = vec![
            Self::root("principal", Ty::Entity(env.principal)),
            Self::root("resource", Ty::Entity(env.resource)),
            Self::root("context", Ty::Record(context(env.action))),
        ];
        let mut next = 0;
        while let Some(path) = paths.get(next).cloned() {
            next += 1;
            if path.attrs.len() < STEPS {
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
            |end: usize| self.attrs[..end].iter().fold(self.root.to_owned(), |text, name| format!("{text}.{name}"));
        match self.optional.last() {
            Some(last) if choices.chance(50) => {
                vec![format!("{} has {}", self.root, self.attrs[..=*last].join("."))]
            }
            _ => self.optional.iter().map(|at| format!("{} has {}", until(*at), self.attrs[*at])).collect(),
        }
    }

    fn root(name: &'static str, ty: Ty) -> Self {
        let entities = usize::from(matches!(ty, Ty::Entity(_)));
        Self { text: name.to_owned(), ty, root: name, attrs: Vec::new(), optional: Vec::new(), entities }
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
