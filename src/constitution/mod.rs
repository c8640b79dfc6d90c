//! The constitution: a bundle of principles and Cedar policies, and the decisions that follow from it.
//!
//! [`Constitution::load`] reads a bundle whole or not at all. [`Constitution::decide`] answers one question; where the
//! entities come from elsewhere, [`Constitution::gather`] says which are wanted and [`Constitution::judge`] decides.

mod access;
mod bundle;
mod cases;
mod claims;
mod coerce;
mod decide;
mod evaluate;
mod expression;
mod facts;
mod fault;
mod gathering;
mod index;
mod kept;
mod manifest;
mod policies;
mod rule;
mod seed;
mod value;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use cedar_policy::{Effect, Schema};

pub use bundle::{Bundle, Source};
pub use cases::{Case, CaseOutcome, Coverage};
pub use claims::deny_claim;
pub use facts::Facts;
pub use fault::{Fault, Faults};
pub use gathering::{Gathering, MAX_ENTITIES};
pub use kept::kept;
pub use manifest::Principle;

use crate::domain::{ConstitutionDigest, ConstitutionalHash, Entity};
use crate::settings;
use access::AccessTree;
use index::ScopeIndex;
use manifest::Manifest;
use policies::Policies;
use rule::Rule;
use vocabulary::Vocabulary;

/// The stack of the thread that loads a bundle, in bytes. Only what is used of it takes memory.
const LOADING_STACK: usize = 256 << 20;

/// A constitution in force, or ready to be: everything checked, everything compiled.
#[derive(Debug)]
pub struct Constitution {
    name: String,
    version: String,
    hash: ConstitutionalHash,
    digest: ConstitutionDigest,
    principles: Vec<Principle>,
    rules: Vec<Rule>,
    index: ScopeIndex,
    schema: Schema,
    vocabulary: Arc<Vocabulary>,
    tree: Arc<AccessTree>,
    seed: Vec<Entity>,
    warnings: Vec<Fault>,
    parallel_from: usize,
}

/// A policy as it is shown.
#[derive(Debug, Clone, serde::Serialize)]
pub struct PolicyView<'a> {
    /// Its `@id`.
    pub id: &'a str,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// The id of its principle.
    pub principle: Option<&'a str>,
    /// Its advice.
    pub advice: Option<&'a str>,
    /// Its text.
    pub text: &'a str,
}

impl Constitution {
    /// Loads the bundle in `folder`; the error is every fault it has.
    pub fn load(folder: &Path) -> Result<Self, Faults> {
        Self::from_bundle(&Bundle::read(folder)?)
    }

    /// Checks and compiles the bundle that the settings name; that it is another one than they demand is a fault too.
    pub fn of_settings(settings: &settings::Constitution) -> Result<(Self, Bundle), Faults> {
        let bundle = Bundle::read(&settings.path)?;
        let constitution = Self::from_bundle(&bundle)?;
        let mut faults = Vec::new();
        if let Some(expected) = settings.expected_hash.filter(|expected| *expected != constitution.hash) {
            let detail = format!(
                "has the hash `{}`, but `constitution.expected_hash` is `{expected}`; empty, it takes any",
                constitution.hash
            );
            faults.push(Fault::of_file(bundle::MANIFEST, detail));
        }
        if let Some(pinned) = settings.pinned_digest.filter(|pinned| *pinned != constitution.digest) {
            let detail =
                format!("has the digest `{}`, but `constitution.pinned_digest` is `{pinned}`", constitution.digest);
            faults.push(Fault::of_file(bundle::MANIFEST, detail));
        }
        if faults.is_empty() { Ok((constitution, bundle)) } else { Err(Faults(faults)) }
    }

    /// Checks and compiles a bundle; the error is every fault it has.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self, Faults> {
        // Parser and validator recurse as deep as a policy nests, before anything can say that it nests too deep.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("constitution".to_owned()).stack_size(LOADING_STACK);
            let loaded = thread.spawn_scoped(scope, || Self::load_bundle(bundle)).map(ScopedJoinHandle::join);
            match loaded {
                Ok(Ok(loaded)) => loaded,
                Ok(Err(_)) => Err(Faults(vec![Fault::of_file(bundle::MANIFEST, "the bundle cannot be loaded")])),
                Err(error) => {
                    Err(Faults(vec![Fault::of_file(bundle::MANIFEST, format!("no thread to load it: {error}"))]))
                }
            }
        })
    }

    fn load_bundle(bundle: &Bundle) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let manifest = Manifest::parse(&bundle.manifest, &mut faults);
        let schema = parse_schema(&bundle.schema, &mut faults);
        let principles = manifest.as_ref().map(|manifest| manifest.principles.as_slice());
        let mut parts = None;
        if let Some((schema, vocabulary, warnings)) = schema {
            let policies = Policies::parse(&bundle.policies, &schema, &vocabulary, principles, &mut faults);
            let seed = bundle.entities.as_ref().map(|source| seed::parse(source, &schema, &mut faults));
            parts = policies.map(|policies| (schema, vocabulary, policies, seed.unwrap_or_default(), warnings));
        }
        let (Some(manifest), Some((schema, vocabulary, policies, seed, mut warnings)), true) =
            (manifest, parts, faults.is_empty())
        else {
            faults.sort();
            faults.dedup();
            return Err(Faults(faults));
        };
        warnings.extend(policies.warnings);
        let digest = bundle.digest();
        Ok(Self {
            name: manifest.name,
            version: manifest.version,
            hash: manifest.hash.unwrap_or_else(|| digest.short()),
            digest,
            principles: manifest.principles,
            index: ScopeIndex::new(&policies.rules),
            rules: policies.rules,
            schema,
            vocabulary: Arc::new(vocabulary),
            tree: Arc::new(policies.tree),
            seed,
            warnings,
            parallel_from: decide::PARALLEL_FROM,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The identifier that goes over the wire.
    #[must_use]
    pub fn hash(&self) -> ConstitutionalHash {
        self.hash
    }

    /// SHA-256 over everything that decides.
    #[must_use]
    pub fn digest(&self) -> ConstitutionDigest {
        self.digest
    }

    /// Its principles, in the order of the manifest.
    #[must_use]
    pub fn principles(&self) -> &[Principle] {
        &self.principles
    }

    /// How many references away from the request, or from an entity that a policy names, its policies read entities.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.tree.level(&self.vocabulary)
    }

    /// The entities to load into an empty store.
    #[must_use]
    pub fn seed(&self) -> &[Entity] {
        &self.seed
    }

    /// What does not forbid loading, but is worth a look.
    #[must_use]
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Its policies, in the order of files and lines.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = PolicyView<'_>> {
        self.rules.iter().map(|rule| self.view(rule))
    }

    /// The policy with that id.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<PolicyView<'_>> {
        self.rules.iter().find(|rule| &*rule.id == id).map(|rule| self.view(rule))
    }

    /// Whether the schema takes an entity; the error says what does not fit.
    pub fn check_entity(&self, entity: &Entity) -> Result<(), String> {
        seed::check(entity, &self.schema)
    }

    fn view<'a>(&'a self, rule: &'a Rule) -> PolicyView<'a> {
        PolicyView {
            id: &rule.id,
            effect: match rule.effect {
                Effect::Permit => "permit",
                Effect::Forbid => "forbid",
            },
            principle: self.principle_of(rule).map(|principle| &*principle.id),
            advice: rule.advice.as_deref(),
            text: &rule.text,
        }
    }

    fn principle_of(&self, rule: &Rule) -> Option<&Principle> {
        rule.principle.and_then(|place| self.principles.get(place))
    }
}

fn parse_schema(source: &Source, faults: &mut Vec<Fault>) -> Option<(Schema, Vocabulary, Vec<Fault>)> {
    let (schema, warnings) = match Schema::from_cedarschema_str(&source.text) {
        Ok((schema, warnings)) => (schema, warnings.map(|warning| policies::diagnostic(source, 0, &warning)).collect()),
        Err(error) => {
            faults.push(policies::diagnostic(source, 0, &error));
            return None;
        }
    };
    match Vocabulary::new(schema.as_ref()) {
        Ok(vocabulary) => Some((schema, vocabulary, warnings)),
        Err(detail) => {
            faults.push(Fault::of_file(&source.file, detail));
            None
        }
    }
}
