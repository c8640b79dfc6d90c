//! Explanations of denies, for the person who is refused and for the administrator.
//!
//! The members are those of the AuthZEN Authorization API 1.0, section 5.5.2, and of its drafts. Clients look for the
//! text under an HTTP status, as in the standard's examples, or under a language tag.

use std::fmt::Write as _;

use serde_json::json;

use super::{NearMiss, Reason, Verdict};

/// The JSON members `nearest` (if any), `reason_user`, `reason_admin` and `reasons` of a deny, each preceded by a
/// comma; empty for a permit.
pub(super) fn members(verdict: &Verdict) -> Box<str> {
    if verdict.permits() {
        return Box::default();
    }
    let mut text = String::new();
    if !verdict.nearest.is_empty() {
        let _ = write!(text, ",\"nearest\":{}", serde_json::to_string(&verdict.nearest).unwrap_or_default());
    }
    let (user, admin) = (for_user(verdict), for_admin(verdict));
    let advice = advice(verdict);
    let reasons = if advice.is_empty() { vec![&*user] } else { advice };
    for (name, value) in [
        ("reason_user", json!({"403": user, "en": user})),
        ("reason_admin", json!({"403": admin, "en": admin})),
        ("reasons", json!(reasons)),
    ] {
        let _ = write!(text, ",\"{name}\":{value}");
    }
    text.into()
}

/// The advice of the constitution, without repetition: that of the policies that forbid, or of the nearest permits.
fn advice(verdict: &Verdict) -> Vec<&str> {
    let of_findings = verdict.violations.iter().flat_map(|finding| &finding.advice);
    let of_permits = verdict.nearest.iter().filter_map(|near| near.advice.as_ref());
    let mut advice: Vec<&str> = Vec::new();
    for text in of_findings.chain(of_permits) {
        if !advice.contains(&&**text) {
            advice.push(text);
        }
    }
    advice
}

/// The reason for the user: what can be done about it, without the names of policies.
fn for_user(verdict: &Verdict) -> String {
    let advice = advice(verdict).join("; ");
    match verdict.reason {
        Reason::Forbidden if advice.is_empty() => {
            let principles: Vec<&str> = verdict.violations.iter().map(|finding| &*finding.principle).collect();
            format!("This is not allowed by the rules on {}", principles.join(", "))
        }
        Reason::Forbidden => format!("This is not allowed: {advice}"),
        Reason::NoPermit if advice.is_empty() => {
            "You do not have permission for this. Contact your administrator".to_owned()
        }
        Reason::NoPermit => format!("You do not have permission for this: {advice}"),
        Reason::Unavailable => "This cannot be decided at the moment. Try again later".to_owned(),
        Reason::EvaluationError => {
            "This cannot be decided with what is known about it. Contact your administrator".to_owned()
        }
        Reason::ConstitutionHashRequired | Reason::ConstitutionMismatch => {
            "The application does not know the rules in force. Contact whoever operates it".to_owned()
        }
        Reason::UnknownType | Reason::UnknownAction | Reason::InvalidProperties | Reason::InvalidRequest => {
            "The application asked for this in a way that cannot be answered. Contact whoever operates it".to_owned()
        }
        Reason::Permitted => String::new(),
    }
}

/// The reason for the administrator: policies, and the conditions that did not hold.
fn for_admin(verdict: &Verdict) -> String {
    let names = |names: &mut dyn Iterator<Item = &str>| names.map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let mut text = match verdict.reason {
        Reason::Forbidden => {
            let policies = names(&mut verdict.policies.iter().map(|id| &**id)).join(", ");
            let principles = names(&mut verdict.violations.iter().map(|finding| &*finding.principle)).join(", ");
            format!("forbidden by {policies} for {principles}")
        }
        Reason::NoPermit => format!("no policy permits it{}", nearest(&verdict.nearest)),
        reason => reason.as_str().replace('_', " "),
    };
    if let Some(detail) = &verdict.detail {
        let _ = write!(text, ": {detail}");
    }
    text
}

fn nearest(permits: &[NearMiss]) -> String {
    let Some(first) = permits.first() else { return String::new() };
    let failed: Vec<String> = first.failed.iter().map(|condition| format!("`{condition}`")).collect();
    format!("; `{}` comes nearest, but {} does not hold", first.policy, failed.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Finding, Severity};

    fn shown(verdict: &Verdict) -> serde_json::Value {
        let members = verdict.explanation().strip_prefix(',').unwrap();
        serde_json::from_str(&format!("{{{members}}}")).unwrap()
    }

    fn finding(advice: &[&str]) -> Finding {
        let advice = advice.iter().map(|text| (*text).into()).collect();
        Finding { principle: "privacy".into(), severity: Severity::High, policies: vec!["p".into()], advice }
    }

    #[test]
    fn a_permit_says_nothing_more() {
        let verdict = Verdict::of_policies(Reason::Permitted, vec!["p".into()], Vec::new(), Vec::new(), 1.0, None);
        assert_eq!(verdict.explanation(), "");
    }

    #[test]
    fn a_forbidden_action_says_what_can_be_done_under_a_status_and_a_language() {
        let forbidden = |advice: &[&str]| {
            let violations = vec![finding(advice), finding(advice)];
            Verdict::of_policies(Reason::Forbidden, vec!["p".into()], violations, Vec::new(), 0.5, None)
        };
        let said = shown(&forbidden(&["ask the \"owner\"", "wait"]));
        for key in ["403", "en"] {
            assert_eq!(said["reason_user"][key], "This is not allowed: ask the \"owner\"; wait");
            assert_eq!(said["reason_admin"][key], "forbidden by `p` for `privacy`, `privacy`");
        }
        assert_eq!(said["reasons"], json!(["ask the \"owner\"", "wait"]));
        let said = shown(&forbidden(&[]));
        assert_eq!(said["reason_user"]["en"], "This is not allowed by the rules on privacy, privacy");
        assert_eq!(said["reasons"], json!(["This is not allowed by the rules on privacy, privacy"]));
    }

    #[test]
    fn what_nothing_permits_says_which_permit_came_nearest_and_why_it_does_not_hold() {
        let verdict = Verdict::of_policies(Reason::NoPermit, Vec::new(), Vec::new(), Vec::new(), 1.0, None);
        let bare = "You do not have permission for this. Contact your administrator";
        assert_eq!(shown(&verdict)["reason_user"]["en"], bare);
        assert_eq!(shown(&verdict)["reason_admin"]["en"], "no policy permits it");
        let near = NearMiss {
            policy: "admins".into(),
            failed: vec!["principal in Role::\"admin\"".into()],
            advice: Some("ask for the role".into()),
        };
        let said = shown(&verdict.with_nearest(vec![near]));
        assert_eq!(said["reason_user"]["en"], "You do not have permission for this: ask for the role");
        let admin = "no policy permits it; `admins` comes nearest, but `principal in Role::\"admin\"` does not hold";
        assert_eq!(said["reason_admin"]["en"], admin);
        assert_eq!(
            said["nearest"],
            json!([{"policy": "admins", "failed": ["principal in Role::\"admin\""], "advice": "ask for the role"}])
        );
    }

    #[test]
    fn every_other_deny_tells_the_administrator_its_detail_and_the_user_nothing_of_it() {
        for reason in [
            Reason::ConstitutionHashRequired,
            Reason::ConstitutionMismatch,
            Reason::UnknownType,
            Reason::UnknownAction,
            Reason::InvalidProperties,
            Reason::InvalidRequest,
            Reason::Unavailable,
            Reason::EvaluationError,
        ] {
            let said = shown(&Verdict::deny(reason, "secret `x`"));
            assert!(said["reason_admin"]["en"].as_str().unwrap().ends_with(": secret `x`"), "{said}");
            let user = said["reason_user"]["en"].as_str().unwrap();
            assert!(!user.is_empty() && !user.contains("secret"), "{said}");
        }
    }
}
