//! `constitution.toml`: the constitution's name, and its principles.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::bundle::Source;
use super::fault::Fault;
use crate::domain::{ConstitutionalHash, Enforcement, Severity};

/// How far from 1 the sum of the weights may be: the error of adding decimals as doubles.
const WEIGHT_TOLERANCE: f64 = 1e-6;

/// A principle of the constitution.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Principle {
    /// Its name in policies and verdicts.
    #[schema(value_type = String)]
    pub id: Arc<str>,
    /// Its name for people.
    pub title: String,
    /// The text of the principle.
    pub text: String,
    /// The field it belongs to.
    pub category: String,
    /// How bad a violation is.
    pub severity: Severity,
    /// The effect of a violation.
    pub enforcement: Enforcement,
    /// Its share in the compliance score: 0 to 1; all together make 1.
    pub weight: f64,
}

/// The manifest, without faults.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The constitution's name.
    pub name: String,
    /// Its version, free text.
    pub version: String,
    /// The hash under which it was ratified, if one is assigned.
    pub hash: Option<ConstitutionalHash>,
    /// Its principles, in the order of the file.
    pub principles: Vec<Principle>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    version: String,
    hash: Option<Spanned<String>>,
}

impl Manifest {
    /// Parses a manifest. Faults are added to `faults`; a manifest with faults is returned all the same if its
    /// principles are known, so that policies can be checked against them.
    pub fn parse(source: &Source, faults: &mut Vec<Fault>) -> Option<Self> {
        let before = faults.len();
        let (mut root, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors {
            faults.push(at(source, error.span().map_or(0, |span| span.start), error.message()));
        }
        if faults.len() > before {
            return None;
        }
        let principles = root.get_mut().remove("principle");
        let span = root.span();
        let head: Option<Head> = read(source, Spanned::new(span, DeValue::Table(root.into_inner())), faults);
        let hash = head.as_ref().and_then(|head| head.hash.as_ref()).and_then(|hash| {
            let parsed = hash.get_ref().parse();
            parsed.map_err(|error| faults.push(at(source, hash.span().start, &format!("`hash`: {error}")))).ok()
        });
        let principles = principles_of(source, principles, faults);
        let (head, principles) = (head?, principles?);
        Some(Self { name: head.name, version: head.version, hash, principles })
    }
}

fn principles_of(
    source: &Source,
    value: Option<Spanned<DeValue<'_>>>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Principle>> {
    let value = value.filter(|value| value.get_ref().as_array().is_none_or(|items| !items.is_empty()));
    let Some(value) = value else {
        faults.push(Fault::of_file(&source.file, "has no `[[principle]]`"));
        return None;
    };
    let start = value.span().start;
    let DeValue::Array(items) = value.into_inner() else {
        faults.push(at(source, start, "`principle` must be written as `[[principle]]`"));
        return None;
    };
    let mut ids = HashSet::new();
    let mut principles = Vec::new();
    let before = faults.len();
    let count = items.len();
    for item in items {
        let start = item.span().start;
        let Some(principle) = read::<Principle>(source, item, faults) else {
            continue;
        };
        if principle.id.is_empty() {
            faults.push(at(source, start, "a principle's `id` must not be empty"));
        }
        if !ids.insert(Arc::clone(&principle.id)) {
            faults.push(at(source, start, &format!("principle `{}` is there twice", principle.id)));
        }
        if !(0.0..=1.0).contains(&principle.weight) {
            let detail = format!("weight {} of principle `{}` is not between 0 and 1", principle.weight, principle.id);
            faults.push(at(source, start, &detail));
        }
        principles.push(principle);
    }
    let sum: f64 = principles.iter().map(|principle| principle.weight).sum();
    if faults.len() == before && (sum - 1.0).abs() > WEIGHT_TOLERANCE {
        faults.push(Fault::of_file(&source.file, format!("the weights of all principles make {sum}, not 1")));
    }
    Some(principles).filter(|principles| principles.len() == count)
}

/// Parses a table. A faulty member is reported and removed, so that the faults of the others are found, too.
fn read<'de, T: Deserialize<'de>>(
    source: &Source,
    mut value: Spanned<DeValue<'de>>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let mut is_whole = true;
    loop {
        let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        // A member that was removed is missing, which is no further fault.
        if is_whole || !error.message().starts_with("missing field") {
            faults.push(at(source, error.span().map_or(value.span().start, |span| span.start), error.message()));
        }
        is_whole = false;
        let start = error.span()?.start;
        let DeValue::Table(table) = value.get_mut() else {
            return None;
        };
        let wrong =
            table.iter().find(|(member, value)| member.span().contains(&start) || value.span().contains(&start));
        let wrong = wrong.map(|(member, _)| member.get_ref().to_string())?;
        table.remove(wrong.as_str())?;
    }
}

fn at(source: &Source, offset: usize, detail: &str) -> Fault {
    Fault::at(&source.file, &source.text, offset, detail)
}
