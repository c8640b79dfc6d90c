//! Arbitrary bundles are loaded, or refused with their faults; a loaded one decides.
//!
//! The input consists of manifest, schema, policies, entities and test cases, separated by zero bytes.
#![no_main]

use acgs::constitution::{Bundle, Constitution, Source};
use acgs::domain::{Evaluation, Object, UnknownMembers};
use acgs::settings::RequestProperties;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Larger inputs only slow the fuzzer down.
const MAX: usize = 16 << 10;

const QUESTION: &str = r#"{"subject":{"type":"User","id":"u"},"action":{"name":"read"},
    "resource":{"type":"Document","id":"d"},"context":{"risk":1}}"#;

fuzz_target!(|text: &str| -> Corpus {
    if text.len() > MAX {
        return Corpus::Reject;
    }
    let mut parts = text.split('\0').map(str::to_owned);
    let mut source = |file: &str| Source { file: file.to_owned(), text: parts.next().unwrap_or_default() };
    let bundle = Bundle {
        manifest: source("constitution.toml"),
        schema: source("schema.cedarschema"),
        policies: vec![source("policies/a.cedar")],
        entities: Some(source("entities.json")).filter(|source| !source.text.is_empty()),
        cases: Some(source("tests/a.toml")).filter(|source| !source.text.is_empty()).into_iter().collect(),
    };
    match Constitution::from_bundle(&bundle) {
        Ok(constitution) => {
            assert_eq!(constitution.digest(), bundle.digest());
            let question: Object = serde_json::from_str(QUESTION).expect("it is an object");
            let question = Evaluation::from_object(&question, UnknownMembers::Ignored).expect("it is a question");
            let verdict = constitution.decide(RequestProperties::Merge, &question, |_| None);
            assert!(serde_json::from_str::<Object>(&format!("{{{}}}", verdict.members())).is_ok());
        }
        Err(faults) => assert!(!faults.0.is_empty()),
    }
    Corpus::Keep
});
