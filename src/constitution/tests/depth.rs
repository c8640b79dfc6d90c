//! Conditions that nest: deep ones are refused in good order, long ones are not deep.

use super::*;
use crate::settings::RequestProperties::Merge;

fn load(condition: &str) -> Result<Constitution, Faults> {
    Constitution::from_bundle(&bundle(&format!(
        "@id(\"a\") permit (principal, action, resource) when {{ {condition} }};"
    )))
}

#[test]
fn a_condition_that_nests_too_deep_is_a_fault_and_not_the_end_of_the_process() {
    for condition in [
        format!("1{} > 0", " + 1".repeat(3_000)),
        format!("{}true{}", "if true then ".repeat(400), " else false".repeat(400)),
    ] {
        let faults = load(&condition).unwrap_err();
        assert_eq!(faults.to_string(), "policies/a.cedar:1:1: policy `a` nests deeper than 128 levels");
    }
}

#[test]
fn a_long_row_of_conditions_is_one_level() {
    let row = |operator: &str| vec!["resource == resource"; 500].join(operator);
    for condition in [row(" && "), format!("false || {} || true", row(" && "))] {
        let constitution = load(&condition).unwrap();
        let question = serde_json::from_str(
            r#"{"subject":{"type":"User","id":"u"},"action":{"name":"read"},"resource":{"type":"Document","id":"d"}}"#,
        )
        .unwrap();
        let evaluation = Evaluation::from_object(&question, crate::domain::UnknownMembers::Refused).unwrap();
        assert!(constitution.decide(Merge, &evaluation, |_| None).permits());
    }
}
