//! A bundle that is to come into force. It has to meet more requirements than one that is only inspected or replayed.

use std::path::Path;
use std::sync::Arc;

use super::Constitution;
use super::bundle::{Bundle, MANIFEST};
use super::cases::CaseOutcome;
use super::fault::{Fault, Faults};
use crate::settings;

/// A valid constitution, with objections to it.
#[derive(Debug)]
pub struct Candidate {
    /// The constitution.
    pub constitution: Arc<Constitution>,
    /// The bundle from which it was made.
    pub bundle: Bundle,
    /// Failing test cases of the bundle. An administrator may override them.
    pub objections: Vec<Fault>,
}

impl Candidate {
    /// Reads and compiles the bundle that the settings name. A hash or digest other than those in the settings is a
    /// fault, too.
    pub fn load(settings: &settings::Constitution) -> Result<Self, Faults> {
        let mut candidate = Self::read(&settings.path)?;
        let constitution = &candidate.constitution;
        let mut faults = Vec::new();
        if let Some(expected) = settings.expected_hash.filter(|expected| *expected != constitution.hash) {
            let detail = format!(
                "has the hash `{}`, but `constitution.expected_hash` is `{expected}`; empty, it takes any",
                constitution.hash
            );
            faults.push(Fault::of_file(MANIFEST, detail));
        }
        if let Some(pinned) = settings.pinned_digest.filter(|pinned| *pinned != constitution.digest) {
            let detail =
                format!("has the digest `{}`, but `constitution.pinned_digest` is `{pinned}`", constitution.digest);
            faults.push(Fault::of_file(MANIFEST, detail));
        }
        if faults.is_empty() {
            Ok(candidate)
        } else {
            faults.append(&mut candidate.objections);
            Err(Faults::of(faults))
        }
    }

    /// Reads the bundle in `folder`. The error lists every fault of its files, files that would be ignored, and
    /// policies that can match no request.
    pub fn read(folder: &Path) -> Result<Self, Faults> {
        let (bundle, mut faults) = Bundle::read_all(folder);
        let Some(bundle) = bundle else {
            return Err(Faults::of(faults));
        };
        let loaded = Constitution::from_bundle(&bundle).map_err(|more| faults.extend(more.0)).ok();
        faults.extend(loaded.iter().flat_map(Constitution::impossible).cloned());
        let cases = bundle.cases().map_err(|more| faults.extend(more.0)).ok();
        let (Some(constitution), Some(cases), true) = (loaded, cases, faults.is_empty()) else {
            return Err(Faults::of(faults));
        };
        let (outcomes, _) = constitution.run_cases(&cases);
        let objections = outcomes.into_iter().filter_map(CaseOutcome::objection).collect();
        Ok(Self { constitution: Arc::new(constitution), bundle, objections })
    }
}

impl CaseOutcome {
    /// The objection to the constitution, if the case fails.
    fn objection(self) -> Option<Fault> {
        let Self { name, place, failures } = self;
        (!failures.is_empty()).then(|| Fault::of_file(&place, format!("case `{name}` fails: {}", failures.join("; "))))
    }
}
