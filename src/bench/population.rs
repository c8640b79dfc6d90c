//! The questions of a run: permits and denies in a stated mix, each drawn by Zipf's law.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::api::Api;
use super::error::BenchError;
use super::fresh::Fresh;
use super::questions::Questions;
use super::zipf::{Zipf, share};
use crate::domain::percent_encode;

/// How many questions are tried for each one that is wanted.
const TRIES: usize = 6;

/// The reasons of verdicts that policies gave: others say that a question does not fit the vocabulary.
const BY_POLICY: [&str; 3] = ["permitted", "forbidden", "no_permit"];

/// The most stored entities of a type that questions are about, and the most policies whose texts are used.
const MAX_STORED: usize = 10_000;

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its JSON.
    pub body: Vec<u8>,
    /// Its verdict before the run.
    pub fresh: Fresh,
}

/// The wanted population.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Different questions, at least 1.
    pub keys: usize,
    /// The share of permits, in percent.
    pub permits: u8,
}

/// The population as it was found.
#[derive(Debug, Clone, Serialize)]
pub struct Mix {
    /// Different questions that are permitted.
    pub permitted_keys: usize,
    /// Different questions that are denied.
    pub denied_keys: usize,
    /// The share of permits among requests, in percent.
    pub permits_percent: u8,
    /// The share that was wanted.
    pub wanted_percent: u8,
    /// Why the share is another one.
    pub note: Option<String>,
    /// How many stored entities the questions can be about; none if the credential may not read them.
    pub stored_entities: Option<usize>,
    /// The numbers of tried questions, by the reason of their verdict.
    pub tried: BTreeMap<String, usize>,
    /// The name, version, hash and digest of the constitution.
    pub constitution: Value,
}

/// The questions of a run.
#[derive(Debug)]
pub struct Population {
    /// The permitted ones come first.
    questions: Vec<Question>,
    permits: Zipf,
    denies: Zipf,
    /// How it came about.
    pub mix: Mix,
}

impl Population {
    /// Makes questions for the constitution in force, and has each evaluated.
    ///
    /// `headers` are lines for each evaluation, with their ends; `tried` is told how many were evaluated.
    pub fn find(
        api: &mut Api,
        headers: &str,
        wanted: Wanted,
        mut tried: impl FnMut(usize),
    ) -> Result<Self, BenchError> {
        let schema = api.get_json("/v1/schema")?;
        let constitution = api.get_json("/v1/constitution")?;
        let policies = api.list("/v1/constitution/policies", MAX_STORED)?;
        let texts = policies.iter().filter_map(|policy| policy.get("text")?.as_str());
        let mut questions = Questions::new(schema, texts);
        let stored = add_stored(api, &mut questions)?;
        let mut search = Search {
            questions,
            stored,
            permits: Vec::new(),
            denies: Vec::new(),
            known: BTreeSet::new(),
            tried: BTreeMap::new(),
        };
        let actions = search.questions.actions();
        if actions.is_empty() {
            return Err(BenchError::Refused(
                "the constitution in force declares no action that can be asked for".to_owned(),
            ));
        }
        let keys = wanted.keys.max(1);
        let most = [keys * usize::from(wanted.permits) / 100, keys - keys * usize::from(wanted.permits) / 100];
        for number in 0..keys * TRIES {
            let [permits, denies] = [search.permits.len(), search.denies.len()];
            let lacking = [permits < most[0], denies < most[1]];
            if lacking == [false, false] {
                break;
            }
            // Variations of what is lacking are more often of the same kind than new questions.
            let question = match (number % 2 == 1).then(|| search.variation(lacking, number)).flatten() {
                Some(question) => Some(question),
                None => actions.get(number / 2 % actions.len()).and_then(|action| search.questions.for_action(action)),
            };
            if let Some(question) = question {
                search.evaluate(api, headers, &question, lacking)?;
            }
            tried(permits + denies);
        }
        search.population(wanted, constitution)
    }

    /// The question of a request, always the same for the same number.
    #[must_use]
    pub fn question(&self, number: u64) -> usize {
        let permits = self.mix.permitted_keys;
        if share(number.wrapping_mul(2)) * 100.0 < f64::from(self.mix.permits_percent) {
            rank(&self.permits, number)
        } else {
            permits + rank(&self.denies, number)
        }
    }

    /// All questions.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }
}

fn rank(zipf: &Zipf, number: u64) -> usize {
    usize::try_from(zipf.rank(number.wrapping_mul(2).wrapping_add(1))).unwrap_or(0)
}

/// Has questions be about stored entities; gives their number, or `None` if the credential has not the scope for them:
/// then all ids are made up.
fn add_stored(api: &mut Api, questions: &mut Questions) -> Result<Option<usize>, BenchError> {
    let mut stored = 0;
    for kind in questions.types() {
        let entities = match api.list(&format!("/v1/entities?type={}", percent_encode(&kind)), MAX_STORED) {
            Err(BenchError::Refused(_)) => return Ok(None),
            listed => listed?,
        };
        stored += entities.len();
        questions.add_stored(&entities);
    }
    Ok(Some(stored))
}

/// The search for questions.
struct Search {
    questions: Questions,
    stored: Option<usize>,
    permits: Vec<Question>,
    denies: Vec<Question>,
    known: BTreeSet<Vec<u8>>,
    tried: BTreeMap<String, usize>,
}

impl Search {
    /// A variation of a question of a kind that is lacking: permits first.
    fn variation(&mut self, lacking: [bool; 2], number: usize) -> Option<Value> {
        let from = if lacking.first() == Some(&true) { &self.permits } else { &self.denies };
        let question = from.get(number.checked_rem(from.len())?)?;
        self.questions.varied(&serde_json::from_slice(&question.body).ok()?)
    }

    fn evaluate(
        &mut self,
        api: &mut Api,
        headers: &str,
        question: &Value,
        lacking: [bool; 2],
    ) -> Result<(), BenchError> {
        let body = question.to_string().into_bytes();
        if self.known.contains(&body) {
            return Ok(());
        }
        let fresh = Fresh::evaluate(api, headers, &body)?;
        let reason = fresh.verdict.reason().to_owned();
        let is_wanted = BY_POLICY.contains(&reason.as_str());
        *self.tried.entry(reason).or_default() += 1;
        let [lacks_permits, lacks_denies] = lacking;
        let (into, lacks) =
            if fresh.verdict.decision { (&mut self.permits, lacks_permits) } else { (&mut self.denies, lacks_denies) };
        if is_wanted && lacks {
            self.known.insert(body.clone());
            into.push(Question { body, fresh });
        }
        Ok(())
    }

    fn population(self, wanted: Wanted, mut constitution: Value) -> Result<Population, BenchError> {
        let (permits, denies) = (self.permits.len(), self.denies.len());
        let missing = |kind: &str| {
            format!(
                "no question of {} that were tried is {kind}: all requests are of the other kind",
                self.tried.values().sum::<usize>()
            )
        };
        let (permits_percent, note) = match (permits, denies) {
            (0, 0) => {
                let reasons: Vec<String> =
                    self.tried.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
                return Err(BenchError::Refused(format!(
                    "no question that fits the constitution in force was found; those that were tried got {}",
                    reasons.join(", ")
                )));
            }
            (0, _) if wanted.permits > 0 => (0, Some(missing("permitted"))),
            (_, 0) if wanted.permits < 100 => (100, Some(missing("denied"))),
            _ => (wanted.permits, None),
        };
        let shown = ["name", "version", "hash", "digest"];
        if let Some(members) = constitution.as_object_mut() {
            members.retain(|name, _| shown.contains(&name.as_str()));
        }
        let mix = Mix {
            permitted_keys: permits,
            denied_keys: denies,
            permits_percent,
            wanted_percent: wanted.permits,
            note,
            stored_entities: self.stored,
            tried: self.tried,
            constitution,
        };
        let (permit_zipf, deny_zipf) = (Zipf::new(permits as u64), Zipf::new(denies as u64));
        let questions = self.permits.into_iter().chain(self.denies).collect();
        Ok(Population { questions, permits: permit_zipf, denies: deny_zipf, mix })
    }
}
