//! Arbitrary requests are parsed or refused; parsed ones are decided, with the same result each time.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use acgs::constitution::Constitution;
use acgs::domain::{Evaluation, Object, UnknownMembers};
use acgs::settings::RequestProperties;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static CONSTITUTION: LazyLock<Constitution> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../settings/constitution");
    Constitution::load(&folder).expect("the shipped constitution has no fault")
});

fn read(text: &str, unknown: UnknownMembers) -> Option<Evaluation> {
    Evaluation::from_object(&serde_json::from_str::<Object>(text).ok()?, unknown).ok()
}

fuzz_target!(|text: &str| {
    let Some(evaluation) = read(text, UnknownMembers::Ignored) else { return };
    if let Some(strict) = read(text, UnknownMembers::Refused) {
        assert_eq!(strict.canonical(), evaluation.canonical());
    }
    // The canonical form parses to the same question.
    let canonical = evaluation.canonical().to_owned();
    let again = read(&format!("{{{canonical}}}"), UnknownMembers::Ignored).expect("the canonical form is a request");
    assert_eq!(again.canonical(), canonical);
    for mode in [RequestProperties::Merge, RequestProperties::Ignore] {
        let verdict = CONSTITUTION.decide(mode, &evaluation, |_| None);
        assert_eq!(verdict, CONSTITUTION.decide(mode, &again, |_| None));
        let answer = format!("{{{}{}}}", verdict.members(), verdict.explanation());
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        assert_eq!(answer.get("reason_user").is_some(), !verdict.permits());
    }
});
