//! Single decisions, their reports, and the metadata.

use serde_json::{Value, json};

use super::{EVALUATION, HASH, call, deployment, permitted, problem, with};
use crate::harness::{Request, Setup, TestDaemon};

#[test]
fn a_decision_says_why() {
    let daemon = TestDaemon::start();
    let answer = daemon.post(EVALUATION, &permitted());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut permit = answer.json();
    let id = permit["context"]["id"].take();
    let id = uuid::Uuid::parse_str(id.as_str().unwrap()).unwrap();
    assert_eq!(id.get_version_num(), 7);
    let expected = json!({"decision": true, "context": {
        "id": null,
        "reason": "permitted",
        "policies": ["anyone-calls-low-risk-tools"],
        "violations": [],
        "warnings": [],
        "audit_index": permit["context"]["audit_index"],
    }});
    assert_eq!(permit, expected);

    let deny = daemon.post(EVALUATION, &deployment());
    let context = &deny.json()["context"];
    assert_eq!((deny.status, &deny.json()["decision"], &context["reason"]), (200, &json!(false), &json!("forbidden")));
    let violation = context["violations"].as_array().unwrap().iter().find(|one| one["principle"] == "human-oversight");
    let violation = violation.unwrap();
    assert_eq!(violation["severity"], "critical");
    let determining = context["policies"].as_array().unwrap();
    for policy in violation["policies"].as_array().unwrap() {
        assert!(determining.contains(policy), "{context}");
    }
    assert!(!violation["advice"].as_array().unwrap().is_empty());
    // One record more for each decision, the cached ones as well.
    let index = |answer: &Value| answer["context"]["audit_index"].as_u64().unwrap();
    let again = daemon.post(EVALUATION, &permitted()).json();
    assert_eq!((index(&deny.json()), index(&again)), (index(&permit) + 1, index(&permit) + 2));
    assert_ne!(again["context"]["id"], id.to_string());
}

#[test]
fn members_that_nobody_knows_are_ignored_by_the_standard_and_refused_by_us() {
    let daemon = TestDaemon::start();
    let mut request = with(permitted(), &json!({"other": 1}));
    request["subject"]["name"] = json!("x");
    request["action"]["a/b~"] = json!([]);
    assert_eq!(daemon.post(EVALUATION, &request).status, 200);
    assert_eq!(
        problem(&daemon.post("/v1/validate", &request)),
        "400 bad-request\n/other is not a member of this request\n/subject/name is not a member of this request\n\
         /action/a~1b~0 is not a member of this request"
    );
}

#[test]
fn a_report_tells_how_the_action_stands_to_every_principle() {
    let daemon = TestDaemon::start();
    let constitution = daemon.get("/v1/constitution").json();
    let weights: Vec<(&str, f64)> = constitution["principles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|principle| (principle["id"].as_str().unwrap(), principle["weight"].as_f64().unwrap()))
        .collect();
    for (question, decision, reason) in [(permitted(), true, "permitted"), (deployment(), false, "forbidden")] {
        let report = daemon.post("/v1/validate", &question).json();
        assert_eq!((&report["decision"], &report["reason"]), (&json!(decision), &json!(reason)), "{report}");
        assert_eq!(report["constitutional_hash"], HASH);
        assert!(report["decision_id"].is_string() && report["duration_us"].is_u64() && report["cached"] == false);
        let principles = report["principles"].as_array().unwrap();
        let ids: Vec<&str> = principles.iter().map(|principle| principle["id"].as_str().unwrap()).collect();
        assert_eq!(ids, weights.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        // A principle is kept where nothing was found against it, and its weight counts only then.
        let found =
            [&report["violations"], &report["warnings"]].map(|found| found.as_array().unwrap().clone()).concat();
        let mut score = 0.0;
        for (principle, (id, weight)) in principles.iter().zip(&weights) {
            let finding = found.iter().find(|finding| finding["principle"] == *id);
            assert_eq!(principle["compliant"], finding.is_none(), "{id} in {report}");
            let empty = json!([]);
            let (policies, advice) = finding.map_or((&empty, &empty), |one| (&one["policies"], &one["advice"]));
            assert_eq!((&principle["policies"], &principle["advice"]), (policies, advice), "{id} in {report}");
            score += if finding.is_none() { *weight } else { 0.0 };
        }
        assert!((report["compliance_score"].as_f64().unwrap() - score).abs() < 1e-9, "{report}");
        assert_eq!(report["compliant"], found.is_empty());
        assert_eq!(daemon.post("/v1/validate", &question).json()["decision"], json!(decision));
    }
}

#[test]
fn a_decision_that_could_not_ask_the_policies_keeps_no_principle() {
    let report =
        TestDaemon::start().post("/v1/validate", &with(permitted(), &json!({"action": {"name": "fly"}}))).json();
    assert_eq!((&report["reason"], &report["compliant"]), (&json!("unknown_action"), &json!(false)));
    assert_eq!(report["compliance_score"], 0.0);
    assert!(report["principles"].as_array().unwrap().iter().all(|principle| principle["compliant"] == false));
}

#[test]
fn what_a_request_says_counts_only_where_the_settings_let_it_and_never_against_what_is_stored() {
    let claim =
        |tool: &str| with(call(tool), &json!({"resource": {"type": "Tool", "id": tool, "properties": {"risk": 1}}}));
    for (properties, unstored) in [("merge", true), ("ignore", false)] {
        let daemon = Setup::new().set("constitution.request_properties", properties).start();
        assert_eq!(super::decision(&daemon, &claim("unstored")), unstored, "{properties}");
        let stored = json!({"attrs": {"risk": 9}});
        assert_eq!(daemon.put("/v1/entities/Tool/stored", &stored).status, 201);
        assert!(!super::decision(&daemon, &claim("stored")), "{properties}");
    }
}

#[test]
fn the_metadata_name_the_endpoints_under_the_url_that_clients_use() {
    for (url, base) in [("https://acgs.example/pdp/", Some("https://acgs.example/pdp")), ("", None)] {
        let daemon = Setup::new().set("http.public_url", url).start();
        let own = format!("http://{}", daemon.address());
        let base = base.unwrap_or(&own);
        let expected = json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
            "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        });
        let answer = daemon.ask(&Request::get("/.well-known/authzen-configuration"));
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
}

#[test]
fn a_deny_is_explained_to_users_and_administrators_where_clients_of_authzen_look() {
    let daemon = TestDaemon::start();
    let context = |question: &Value| daemon.post(EVALUATION, question).json()["context"].clone();
    let forbidden = context(&deployment());
    for key in ["403", "en"] {
        let (user, admin) = (&forbidden["reason_user"][key], &forbidden["reason_admin"][key]);
        assert_eq!(user, "This is not allowed: ask an operator to approve the deployment");
        assert_eq!(admin, "forbidden by `deploy-needs-approval` for `human-oversight`");
    }
    assert_eq!(forbidden["reasons"], json!(["ask an operator to approve the deployment"]));

    // Without a permit the answer names the nearest ones, also if the verdict is cached.
    let mut question = call("unknown-tool");
    question["resource"]["properties"] = json!({"risk": 5});
    for _ in 0..2 {
        let denied = context(&question);
        assert_eq!(denied["reason"], "no_permit", "{denied}");
        let nearest = denied["nearest"].as_array().unwrap();
        assert!((1..=3).contains(&nearest.len()), "{denied}");
        let first = &nearest[0];
        let admin = denied["reason_admin"]["en"].as_str().unwrap();
        assert!(admin.contains(first["policy"].as_str().unwrap()), "{denied}");
        assert!(admin.contains(first["failed"][0].as_str().unwrap()), "{denied}");
        assert!(!denied["reason_user"]["en"].as_str().unwrap().contains('`'), "{denied}");
    }
    assert!(daemon.post("/v1/validate", &question).json()["nearest"].is_array());

    let misspelt = with(permitted(), &json!({"action": {"name": "call_tol"}}));
    assert_eq!(context(&misspelt)["detail"], "the schema has no action `call_tol`; did you mean `call_tool`?");
    assert!(context(&misspelt)["reason_admin"]["403"].as_str().unwrap().contains("did you mean `call_tool`?"));
    let permit = context(&permitted());
    for member in ["nearest", "reason_user", "reason_admin", "reasons", "detail"] {
        assert_eq!(permit.get(member), None, "{permit}");
    }
}
