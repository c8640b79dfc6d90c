use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const KEY: Key = [7; 32];

fn secret() -> Secret {
    Secret::new(&[1; 32], 0)
}

fn at(version: i64) -> Revision {
    Revision { incarnation: 0, version, nonce: version ^ 7 }
}

fn content() -> Content {
    let finding = Finding {
        principle: "privacy".into(),
        severity: Severity::High,
        policies: vec!["no-export".into(), "été 🦀".into()],
        advice: vec!["ask the owner".into()],
    };
    let verdict = Verdict::of_policies(
        Reason::Forbidden,
        vec!["no-export".into()],
        vec![finding.clone()],
        vec![Finding { severity: Severity::Low, policies: Vec::new(), advice: Vec::new(), ..finding }],
        0.1 + 0.2,
        Some("because \"so\"".to_owned()),
    );
    let slots = [0, 255, 256, 65_535].map(Slot::new).to_vec();
    Content { verdict: Arc::new(verdict), entities: Some("{\"uid\":1}\n".into()), slots, as_of: at(42), expires: 1_000 }
}

#[test]
fn what_is_sealed_is_opened_as_it_was() {
    let deny = |detail: &str| Content { verdict: Arc::new(Verdict::deny(Reason::NoPermit, detail)), ..content() };
    let absent = Content { entities: None, slots: Vec::new(), as_of: at(i64::MAX), ..deny("") };
    let near = NearMiss { policy: "a".into(), failed: vec!["x == 1".into()], advice: Some("ask".into()) };
    let near = [near.clone(), NearMiss { failed: Vec::new(), advice: None, ..near }].to_vec();
    let nearly = Arc::new(Verdict::deny(Reason::NoPermit, "").with_nearest(near));
    let nearly = Content { verdict: nearly, ..content() };
    for content in [content(), deny("x"), absent, nearly] {
        let value = secret().seal(&KEY, &content).unwrap();
        let opened = secret().open(&KEY, &value, 999).unwrap();
        assert_eq!(opened, content);
        assert_eq!(opened.verdict.members(), content.verdict.members());
        assert_eq!(opened.verdict.explanation(), content.verdict.explanation());
    }
}

#[test]
fn every_reason_and_severity_has_a_code_of_its_own() {
    for reason in Reason::ALL {
        let content = Content { verdict: Arc::new(Verdict::deny(reason, "")), ..content() };
        let value = secret().seal(&KEY, &content).unwrap();
        assert_eq!(secret().open(&KEY, &value, 0).unwrap().verdict.reason, reason);
    }
    assert_eq!(HashSet::from(Reason::ALL.map(reason_code)).len(), Reason::ALL.len());
    assert_eq!(HashSet::from(Severity::ALL.map(severity_code)).len(), Severity::ALL.len());
}

#[test]
fn a_value_that_was_touched_anywhere_is_not_opened() {
    let value = secret().seal(&KEY, &content()).unwrap();
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut touched = value.clone();
            touched[at] ^= 1 << bit;
            let flaw = if at == 0 { ValueError::Malformed } else { ValueError::Forged };
            assert_eq!(secret().open(&KEY, &touched, 0), Err(flaw), "byte {at}, bit {bit}");
        }
        assert!(secret().open(&KEY, &value[..at], 0).is_err(), "cut off after {at}");
    }
    assert_eq!(secret().open(&KEY, &[value.as_slice(), b"x"].concat(), 0), Err(ValueError::Forged));
}

#[test]
fn a_value_is_for_one_key_and_one_secret_and_its_time() {
    let value = secret().seal(&KEY, &content()).unwrap();
    assert_eq!(secret().open(&[8; 32], &value, 0), Err(ValueError::Forged));
    assert_eq!(Secret::new(&[2; 32], 0).open(&KEY, &value, 0), Err(ValueError::Forged));
    assert!(secret().open(&KEY, &value, 999).is_ok());
    assert_eq!(secret().open(&KEY, &value, 1_000), Err(ValueError::Expired));
}

#[test]
fn a_value_that_is_authentic_and_makes_no_sense_is_not_opened() {
    let sealed = |body: &[u8]| [body, secret().mac(&KEY, body).as_ref()].concat();
    let value = secret().seal(&KEY, &content()).unwrap();
    let body = &value[..value.len() - MAC];
    for end in 1..body.len() {
        assert_eq!(secret().open(&KEY, &sealed(&body[..end]), 0), Err(ValueError::Malformed), "cut off after {end}");
    }
    assert_eq!(secret().open(&KEY, &sealed(&[body, b"\0"].concat()), 0), Err(ValueError::Malformed));
}

#[test]
fn what_is_too_large_is_not_sealed() {
    let large = |bytes| Content { entities: Some("x".repeat(bytes).into()), ..content() };
    assert!(secret().seal(&KEY, &large(MAX_BYTES)).is_none());
    assert!(secret().seal(&KEY, &large(MAX_BYTES + 1)).is_none());
    let value = secret().seal(&KEY, &large(MAX_BYTES - 400)).unwrap();
    assert!(secret().open(&KEY, &value, 0).is_ok());
    assert_eq!(secret().open(&KEY, &vec![FORMAT; MAX_BYTES + 1], 0), Err(ValueError::Malformed));
}

#[test]
fn names_begin_with_what_is_the_fleets_own() {
    let name = secret().name(&KEY);
    assert!(name.starts_with(secret().prefix()) && name.len() == "acgs:v1:".len() + 9 + 43, "{name}");
    assert_ne!(secret().prefix(), Secret::new(&[2; 32], 0).prefix());
    let shown = format!("{:?}", secret());
    assert!(!shown.contains("key"), "{shown}");
}

proptest! {
    #[test]
    fn noise_is_not_opened(value in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(secret().open(&KEY, &value, 0).is_err());
        let body = [&[FORMAT], value.as_slice()].concat();
        let sealed = [body.as_slice(), secret().mac(&KEY, &body).as_ref()].concat();
        // It is authentic, so it may mean something; reading it ends all the same.
        let _ = secret().open(&KEY, &sealed, 0);
    }

    #[test]
    fn any_text_comes_back(policies in prop::collection::vec(".*", 0..300), detail in ".*", score in 0.0..=1.0) {
        let policies = policies.iter().map(|id| id.as_str().into()).collect();
        let verdict = Verdict::of_policies(Reason::Permitted, policies, Vec::new(), Vec::new(), score, Some(detail));
        let content = Content { verdict: Arc::new(verdict), ..content() };
        let value = secret().seal(&KEY, &content).unwrap();
        prop_assert_eq!(secret().open(&KEY, &value, 0).unwrap(), content);
    }
}
