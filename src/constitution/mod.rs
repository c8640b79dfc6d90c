//! The constitution: a bundle of principles and Cedar policies, and the decisions that follow from it.
//!
//! [`Constitution::load`] loads a bundle as a whole or not at all; [`Candidate::load`] loads one that is to come into
//! force. [`Constitution::decide`] answers one question; for entities from a store, [`Constitution::gather`] says which
//! are wanted, and [`Constitution::judge`] decides.

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
mod explain;
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
mod vocabulary_schema;

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
pub use explain::{PolicyOutcome, PolicyReport};
pub use facts::Facts;
pub use fault::{Fault, Faults};
pub use gathering::{Gathering, MAX_ENTITIES};
pub use kept::kept;
pub use manifest::Principle;
pub use misfits::Misfits;

use crate::domain::{ConstitutionDigest, ConstitutionalHash, Entity};
use crate::settings::RequestProperties;
use access::AccessTree;
use index::ScopeIndex;
use manifest::Manifest;
use policies::Policies;
use rule::Rule;
use verdict_table::VerdictTable;
use vocabulary::Vocabulary;

/// The stack of the thread that loads a bundle, in bytes. Only what is used of it takes memory.
const LOADING_STACK: usize = 256 << 20;

/// A validated and compiled constitution.
#[derive(Debug)]
pub struct Constitution {
    name: String,
    version: String,
    hash: ConstitutionalHash,
    digest: ConstitutionDigest,
    principles: Vec<Principle>,
    rules: Vec<Rule>,
    index: ScopeIndex,
    /// The schema as Cedar has it, for seed and stored entities.
    schema: Schema,
    /// The same schema, for requests.
    vocabulary: Arc<Vocabulary>,
    /// The entities that the policies read.
    tree: Arc<AccessTree>,
    seed: Vec<Entity>,
    /// The source of the schema, to compare it with another one.
    schema_text: Arc<str>,
    impossible: Vec<Fault>,
    warnings: Vec<Fault>,
    /// The number of policies on a slice from which they are evaluated in parallel.
    parallel_from: usize,
    /// Verdicts shared by decisions with the same holding policies.
    verdicts: VerdictTable,
}

/// A policy as it is shown.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Policy, examples(json!({
    "id": "deploy-needs-approval", "effect": "forbid", "principle": "human-oversight",
    "advice": "ask an operator to approve the deployment",
    "text": "@id(\"deploy-needs-approval\") forbid (principal, action == Action::\"deploy_model\", resource) …;"
})))]
pub struct PolicyView<'a> {
    /// Its `@id`.
    pub id: &'a str,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// The id of its principle.
    #[schema(required)]
    pub principle: Option<&'a str>,
    /// Its advice.
    #[schema(required)]
    pub advice: Option<&'a str>,
    /// Its text.
    pub text: &'a str,
}

impl Constitution {
    /// Loads the bundle in `folder`; the error is every fault it has.
    pub fn load(folder: &Path) -> Result<Self, Faults> {
        Self::from_bundle(&Bundle::read(folder)?)
    }

    /// Checks and compiles a bundle; the error is every fault it has.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self, Faults> {
        // Parser and validator recurse as deep as a policy nests. Within the limits of `bounds`, that may take more
        // than the default stack, whose overflow would abort the process.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("constitution".to_owned()).stack_size(LOADING_STACK);
            let detail = match thread.spawn_scoped(scope, || Self::compile(bundle)).map(ScopedJoinHandle::join) {
                Ok(Ok(compiled)) => return compiled,
                // It panicked.
                Ok(Err(_)) => "the bundle cannot be loaded".to_owned(),
                Err(error) => format!("no thread to load it: {error}"),
            };
            Err(Faults(vec![Fault::of_file(bundle::MANIFEST, detail)]))
        })
    }

    /// Checks and compiles a bundle on this thread. A faulty file does not keep the others from being checked.
    fn compile(bundle: &Bundle) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let manifest = Manifest::parse(&bundle.manifest, &mut faults);
        let parsed_schema = schema::parse(&bundle.schema, &mut faults);
        let principles = manifest.as_ref().map(|manifest| manifest.principles.as_slice());
        let schema_and_vocabulary = parsed_schema.as_ref().map(|parsed| (&parsed.schema, &parsed.vocabulary));
        let policies = Policies::parse(&bundle.policies, schema_and_vocabulary, principles, &mut faults);
        let schema = parsed_schema.as_ref().map(|parsed| &parsed.schema);
        let seed = bundle.entities.as_ref().map(|source| seed::parse(source, schema, &mut faults));
        // A manifest is returned with some of its faults, and seed entities with all of theirs.
        let (Some(manifest), Some(parsed_schema), Some(policies), true) =
            (manifest, parsed_schema, policies, faults.is_empty())
        else {
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
            schema: parsed_schema.schema,
            schema_text: bundle.schema.text.as_str().into(),
            vocabulary: Arc::new(parsed_schema.vocabulary),
            tree: Arc::new(policies.tree),
            seed: seed.unwrap_or_default(),
            impossible: policies.impossible,
            warnings: parsed_schema.warnings.into_iter().chain(policies.warnings).collect(),
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

    /// The constitutional hash, which requests and verdicts name.
    #[must_use]
    pub fn hash(&self) -> ConstitutionalHash {
        self.hash
    }

    /// SHA-256 over manifest, schema and policies: see [`Bundle::digest`].
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

    /// Cedar's warnings, which do not prevent loading.
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

    /// Validates an entity against the schema. The error says what violates it.
    pub fn check_entity(&self, entity: &Entity) -> Result<(), String> {
        seed::check(entity, &self.schema)?;
        self.vocabulary.entity(entity).map_err(|misfit| misfit.to_string())
    }

    /// The schema of the requests that its policies can decide (JSON Schema 2020-12).
    #[must_use]
    pub fn request_schema(&self, mode: RequestProperties) -> serde_json::Map<String, serde_json::Value> {
        self.vocabulary.json_schema(mode)
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
