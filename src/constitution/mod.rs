//! The constitution: a bundle of principles and Cedar policies, and the decisions that follow from it.
//!
//! [`Constitution::load`] loads a bundle as a whole or not at all. [`Constitution::decide`] answers one question; for
//! entities from a store, [`Constitution::gather`] says which are wanted, and [`Constitution::judge`] decides.

mod access;
mod batch_values;
mod bounds;
mod bundle;
mod candidate;
mod cases;
mod claims;
mod coerce;
mod decide;
mod declared;
mod evaluate;
mod expression;
mod facts;
mod fault;
mod gathering;
mod index;
mod kept;
mod manifest;
mod misfits;
mod nearest;
mod pattern;
mod policies;
mod rule;
mod schema;
mod seed;
mod undeclared;
mod value;
mod verdict_table;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use cedar_policy::{Effect, Schema};

pub use batch_values::BatchValues;
pub use bundle::{Bundle, Source};
pub use candidate::Candidate;
pub use cases::{Case, CaseOutcome, Coverage};
pub use claims::deny_claim;
pub use facts::Facts;
pub use fault::{Fault, Faults};
pub use gathering::{Gathering, MAX_ENTITIES};
pub use kept::kept;
pub use manifest::Principle;
pub use misfits::Misfits;

use crate::domain::{ConstitutionDigest, ConstitutionalHash, Entity};
use crate::settings;
use access::AccessTree;
use index::ScopeIndex;
use manifest::Manifest;
use policies::Policies;
use rule::Rule;
use verdict_table::VerdictTable;
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
    schema_text: Arc<str>,
    impossible: Vec<Fault>,
    warnings: Vec<Fault>,
    parallel_from: usize,
    verdicts: VerdictTable,
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

    /// Reads and compiles the bundle in the settings, which is to come into force. A digest other than the pinned one
    /// is a fault, too.
    pub fn of_settings(settings: &settings::Constitution) -> Result<Candidate, Faults> {
        let mut candidate = Candidate::read(&settings.path)?;
        let constitution = &candidate.constitution;
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
        if faults.is_empty() {
            Ok(candidate)
        } else {
            faults.append(&mut candidate.objections);
            Err(Faults::of(faults))
        }
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
        let read = schema::parse(&bundle.schema, &mut faults);
        let principles = manifest.as_ref().map(|manifest| manifest.principles.as_slice());
        let known = read.as_ref().map(|read| (&read.schema, &read.vocabulary));
        let policies = Policies::parse(&bundle.policies, known, principles, &mut faults);
        let schema = read.as_ref().map(|read| &read.schema);
        let seed = bundle.entities.as_ref().map(|source| seed::parse(source, schema, &mut faults));
        let (Some(manifest), Some(read), Some(policies), true) = (manifest, read, policies, faults.is_empty()) else {
            return Err(Faults::of(faults));
        };
        let digest = bundle.digest();
        Ok(Self {
            name: manifest.name,
            version: manifest.version,
            hash: manifest.hash.unwrap_or_else(|| digest.short()),
            digest,
            principles: manifest.principles,
            index: ScopeIndex::new(&policies.rules),
            rules: policies.rules,
            schema: read.schema,
            schema_text: bundle.schema.text.as_str().into(),
            vocabulary: Arc::new(read.vocabulary),
            tree: Arc::new(policies.tree),
            seed: seed.unwrap_or_default(),
            impossible: policies.impossible,
            warnings: read.warnings.into_iter().chain(policies.warnings).collect(),
            parallel_from: decide::PARALLEL_FROM,
            verdicts: VerdictTable::default(),
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

    /// The greatest number of references from the request, or from an entity named by a policy, to an entity that is
    /// read.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.tree.level(&self.vocabulary)
    }

    /// The entities to load into an empty store.
    #[must_use]
    pub fn seed(&self) -> &[Entity] {
        &self.seed
    }

    /// Policies that can match no request: a constitution with such policies can be inspected, but not come into force.
    #[must_use]
    pub fn impossible(&self) -> &[Fault] {
        &self.impossible
    }

    /// Whether both constitutions have the same schema.
    #[must_use]
    pub fn has_schema_of(&self, other: &Self) -> bool {
        self.schema_text == other.schema_text
    }

    /// Warnings: they do not forbid loading.
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
        seed::check(entity, &self.schema)?;
        self.vocabulary.entity(entity).map_err(|misfit| misfit.to_string())
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
