//! A bundle that is to come into force: it is held to more than one that is merely looked at or decided under again.

use std::path::Path;
use std::sync::Arc;

use super::Constitution;
use super::bundle::Bundle;
use super::cases::CaseOutcome;
use super::fault::{Fault, Faults};

/// A constitution without faults, and what speaks against it all the same.
#[derive(Debug)]
pub struct Candidate {
    /// The constitution.
    pub constitution: Arc<Constitution>,
    /// What it was made of.
    pub bundle: Bundle,
    /// Cases of the bundle that it fails. An administrator may insist.
    pub objections: Vec<Fault>,
}

impl Candidate {
    /// Reads the bundle in `folder`; the error is every fault of all of its files, files that would be ignored, and
    /// policies that can apply to no request.
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
    /// What speaks against the constitution, where the case fails.
    fn objection(self) -> Option<Fault> {
        let Self { name, place, failures } = self;
        (!failures.is_empty()).then(|| Fault::of_file(&place, format!("case `{name}` fails: {}", failures.join("; "))))
    }
}
