//! Many questions in one request.

use serde_json::{Value, json};

use super::{EVALUATION, EVALUATIONS, call, permitted, with};
use crate::harness::{Request, Setup, TestDaemon};

/// A batch from letters: `P` is permitted, `D` is denied, `F` is faulty.
fn batch(items: &str, members: &Value) -> Value {
    let items = items.chars().map(|letter| match letter {
        'P' => json!({"resource": {"type": "Tool", "id": "calculator"}}),
        'D' => json!({"resource": {"type": "Tool", "id": "launcher"}}),
        _ => json!({"resource": 3}),
    });
    let question = with(call("none"), members);
    with(question, &json!({"evaluations": items.collect::<Vec<_>>()}))
}

/// An answer as letters.
fn letters(answer: &Value) -> String {
    let faulty = json!({"decision": false, "context": {"error": {
        "status": 400,
        "message": "`resource` must be an object, not an integer",
    }}});
    let letter = |item: &Value| match item {
        item if *item == json!({"decision": true}) => 'P',
        item if *item == json!({"decision": false}) => 'D',
        item if *item == faulty => 'F',
        other => panic!("what is this: {other}"),
    };
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    answer["evaluations"].as_array().unwrap().iter().map(letter).collect()
}

#[test]
fn a_batch_ends_where_its_semantic_says() {
    let daemon = TestDaemon::start();
    for (items, all, until_deny, until_permit) in [
        ("P", "P", "P", "P"),
        ("D", "D", "D", "D"),
        ("F", "F", "F", "F"),
        ("PP", "PP", "PP", "P"),
        ("DD", "DD", "D", "DD"),
        ("PDP", "PDP", "PD", "P"),
        ("DPD", "DPD", "D", "DP"),
        ("FP", "FP", "F", "FP"),
        ("PFP", "PFP", "PF", "P"),
        ("FFDPP", "FFDPP", "F", "FFDP"),
        ("PPPFD", "PPPFD", "PPPF", "P"),
        ("PDF", "PDF", "PD", "P"),
        ("DDFDF", "DDFDF", "D", "DDFDF"),
    ] {
        for (options, expected) in [
            (json!({}), all),
            (json!({"options": {}}), all),
            (json!({"options": {"evaluations_semantic": "execute_all", "other": 1}}), all),
            (json!({"options": {"evaluations_semantic": "deny_on_first_deny"}}), until_deny),
            (json!({"options": {"evaluations_semantic": "permit_on_first_permit"}}), until_permit),
        ] {
            let request = Request::post(EVALUATIONS).json(&batch(items, &options)).header("Prefer", "return=minimal");
            let answer = daemon.ask(&request);
            assert_eq!((answer.status, letters(&answer.json())), (200, expected.to_owned()), "{items} {options}");
        }
    }
}

#[test]
fn what_ends_a_batch_is_also_the_last_that_is_recorded() {
    let setup = Setup::new();
    let daemon = setup.start();
    let semantic = |name: &str| json!({"options": {"evaluations_semantic": name}});
    for (items, options) in [
        ("PDP", semantic("deny_on_first_deny")),
        ("FDP", semantic("deny_on_first_deny")),
        ("FPD", semantic("permit_on_first_permit")),
        ("DFP", semantic("execute_all")),
    ] {
        assert_eq!(daemon.post(EVALUATIONS, &batch(items, &options)).status, 200);
    }
    assert!(daemon.stop().success());
    let exported = setup.run(["audit", "export"]);
    let records = String::from_utf8(exported.stdout).unwrap();
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let decisions = records.filter(|record| record["kind"] == "decision").map(|record| {
        match (record["decision"].as_bool().unwrap(), record["reason"].as_str().unwrap()) {
            (true, "permitted") => 'P',
            (false, "invalid_request") => 'F',
            (false, "forbidden") => 'D',
            other => panic!("what is this: {other:?}"),
        }
    });
    assert_eq!(decisions.collect::<String>(), ["PD", "F", "FP", "DFP"].concat());
}

#[test]
fn an_item_replaces_a_whole_member_and_takes_the_others_from_the_batch() {
    let daemon = TestDaemon::start();
    let risky = json!({"type": "Tool", "id": "saw", "properties": {"risk": 1}});
    let defaults = json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": risky,
    });
    let bare = json!({"resource": {"type": "Tool", "id": "saw"}});
    for (members, items, expected) in [
        // All from the batch; the resource replaced with its properties; the action replaced by an unknown one.
        (json!({}), json!([{}, bare, {"action": {"name": "nothing"}}]), json!([true, false, false])),
        // An item's own resource is not filled up by the batch's.
        (json!({}), json!([{"resource": {"type": "Tool", "id": "saw", "properties": {}}}]), json!([false])),
        // A context replaces the batch's, and with it the claim.
        (
            json!({"context": {"constitutional_hash": "0000000000000000"}}),
            json!([{}, {"context": {}}]),
            json!([false, true]),
        ),
        // Everything in the item.
        (json!({"subject": null, "action": null, "resource": null}), json!([permitted()]), json!([true])),
    ] {
        let request = with(with(defaults.clone(), &members), &json!({"evaluations": items}));
        let answer = daemon.post(EVALUATIONS, &request);
        let found: Value =
            answer.json()["evaluations"].as_array().unwrap().iter().map(|item| item["decision"].clone()).collect();
        assert_eq!(found, expected, "{request}");
    }
}

#[test]
fn every_fault_of_an_item_is_named_in_its_place() {
    let daemon = TestDaemon::start();
    let items = json!([{"subject": {"id": 1}}, 7, {"resource": {"type": "Tool", "id": "calculator"}}]);
    let request =
        json!({"action": {"name": "call_tool"}, "subject": {"type": "Agent", "id": "helper"}, "evaluations": items});
    let message = |message: &str| json!({"decision": false, "context": {"error": {"status": 400, "message": message}}});
    let expected = json!({"evaluations": [
        message("`subject.type` is required; `subject.id` must be a string, not an integer; `resource` is required"),
        message("the item must be an object, not an integer"),
        {"decision": true},
    ]});
    let request = Request::post(EVALUATIONS).json(&request).header("Prefer", "return=minimal");
    assert_eq!(daemon.ask(&request).json(), expected);
}

#[test]
fn a_batch_of_nothing_is_a_single_question() {
    let daemon = TestDaemon::start();
    for request in [permitted(), with(permitted(), &json!({"evaluations": []}))] {
        let answer = daemon.post(EVALUATIONS, &request);
        let (decision, reason) = (&answer.json()["decision"], &answer.json()["context"]["reason"]);
        assert_eq!((decision, reason), (&json!(true), &json!("permitted")), "{answer}");
    }
    let answer = daemon.post(EVALUATIONS, &json!({"evaluations": []}));
    assert_eq!(
        (answer.status, answer.text()),
        (400, "`subject` is required; `action` is required; `resource` is required")
    );
}

#[test]
fn a_batch_may_be_as_long_as_the_settings_say() {
    let daemon = Setup::new().set("http.max_evaluations", 3).start();
    assert_eq!(daemon.post(EVALUATIONS, &batch("PPP", &json!({}))).status, 200);
    let answer = daemon.post(EVALUATIONS, &batch("PPPP", &json!({})));
    assert_eq!((answer.status, answer.text()), (400, "`evaluations` has 4 items; at most 3 are taken"));
}

#[test]
fn items_come_with_their_reasons_where_the_caller_prefers_it() {
    let daemon = TestDaemon::start();
    for (prefer, full) in [
        ("return=representation", true),
        ("respond-async, Return=\"representation\"", true),
        ("return=minimal", false),
        ("wait=1; RETURN = minimal", false),
        ("return=minimal, return=representation", false),
        ("representation", true),
        ("return=else", true),
    ] {
        let request = Request::post(EVALUATIONS).json(&batch("PD", &json!({}))).header("Prefer", prefer);
        let items = daemon.ask(&request).json();
        let reasons: Vec<_> = (0..2).map(|nth| items["evaluations"][nth]["context"]["reason"].as_str()).collect();
        let expected = if full { [Some("permitted"), Some("forbidden")] } else { [None, None] };
        assert_eq!(reasons, expected, "{prefer}");
    }
    // Without a preference, batches up to the size of a page have reasons.
    for (count, full) in [(1, true), (32, true), (33, false)] {
        let items = daemon.post(EVALUATIONS, &batch(&"PD".repeat(17)[..count], &json!({}))).json();
        let items = items["evaluations"].as_array().unwrap();
        assert!(items.len() == count && items.iter().all(|item| item["context"]["reason"].is_string() == full));
    }
    // Each has what it would have alone.
    let request = Request::post(EVALUATIONS).json(&batch("D", &json!({}))).header("Prefer", "return=representation");
    let mut item = daemon.ask(&request).json()["evaluations"][0].clone();
    let mut alone = daemon.post(EVALUATION, &call("launcher")).json();
    for context in [&mut item["context"], &mut alone["context"]] {
        assert!(context["id"].is_string() && context["audit_index"].is_u64());
        context["id"] = Value::Null;
        context["audit_index"] = Value::Null;
    }
    assert_eq!(item, alone);
}

#[test]
fn a_question_that_repeats_in_a_batch_is_answered_each_time_also_where_it_reads_too_much() {
    let setup = Setup::new();
    let daemon = setup.start();
    let teams: Vec<Value> = (0..4_500).map(|team| json!({"type": "Team", "id": team.to_string()})).collect();
    let stored = daemon.put("/v1/entities/Agent/everywhere", &json!({"parents": teams}));
    assert_eq!(stored.status, 201, "{stored}");
    let asked = json!({"subject": {"type": "Agent", "id": "everywhere"}});
    let items = json!([{}, asked, asked, {"resource": {"type": "Tool", "id": "launcher"}}, asked, {}]);
    let request = Request::post(EVALUATIONS).json(&with(permitted(), &json!({"evaluations": items})));
    for _ in 0..3 {
        let answer = daemon.ask(&request.clone().header("Prefer", "return=representation"));
        assert_eq!(answer.status, 200, "{answer}");
        let items = answer.json()["evaluations"].clone();
        let reasons: Vec<_> = (0..6).map(|nth| items[nth]["context"]["reason"].as_str().unwrap_or("none")).collect();
        let expected = ["permitted", "unavailable", "unavailable", "forbidden", "unavailable", "permitted"];
        assert_eq!(reasons, expected, "{items}");
    }
    assert!(daemon.stop().success());
    let exported = String::from_utf8(setup.run(["audit", "export"]).stdout).unwrap();
    assert_eq!(exported.lines().filter(|record| record.contains(r#""kind":"decision""#)).count(), 18);
}

#[test]
fn large_batches_take_turns_and_single_questions_go_on() {
    let daemon = Setup::new()
        .set("http.workers", 1)
        .set("http.max_large_requests", 1)
        .set("http.request_timeout_ms", 30_000)
        .start();
    // Members repeated in a batch cost neither memory nor time for each item.
    let defaults = with(permitted(), &json!({"context": {"text": "x".repeat(3_000), "numbers": vec![0; 500]}}));
    let items: Vec<Value> =
        (0..900).map(|tool| json!({"resource": {"type": "Tool", "id": tool.to_string()}})).collect();
    let large = with(defaults, &json!({"evaluations": items}));
    std::thread::scope(|scope| {
        let batches: Vec<_> = (0..6).map(|_| scope.spawn(|| daemon.post(EVALUATIONS, &large))).collect();
        let mut connection = daemon.connect();
        for _ in 0..200 {
            let answer = connection.ask(&Request::post(EVALUATION).json(&permitted()));
            assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(true)), "{answer}");
        }
        for batch in batches {
            let answer = batch.join().unwrap();
            assert_eq!((answer.status, answer.json()["evaluations"].as_array().unwrap().len()), (200, 900), "{answer}");
        }
    });
}

/// A claim is recorded with every item, so a long one is not recorded whole.
#[test]
fn a_claim_that_is_no_hash_is_denied_and_recorded_short() {
    let setup = Setup::new();
    let daemon = setup.start();
    let long = "y".repeat(20_000);
    let items = batch(&"P".repeat(100), &json!({}));
    let in_context = with(items.clone(), &json!({"context": {"constitutional_hash": long}}));
    for request in [
        Request::post(EVALUATIONS).json(&items).header("X-Constitutional-Hash", &long),
        Request::post(EVALUATIONS).json(&in_context),
    ] {
        let answer = daemon.ask(&request.header("Prefer", "return=representation"));
        assert_eq!(answer.status, 200, "{answer}");
        let items = answer.json();
        let reasons = items["evaluations"].as_array().unwrap().iter().map(|item| &item["context"]["reason"]);
        assert!(reasons.eq(std::iter::repeat_n(&json!("constitution_mismatch"), 100)), "{items}");
    }
    assert!(daemon.stop().success());
    let exported = String::from_utf8(setup.run(["audit", "export"]).stdout).unwrap();
    let decisions: Vec<_> = exported.lines().filter(|record| record.contains("constitution_mismatch")).collect();
    let shortened = format!("{}… (20000 bytes, SHA-256 ", "y".repeat(64));
    assert_eq!(decisions.len(), 200);
    for record in decisions {
        assert!(record.len() < 2_000 && record.contains(&shortened), "{record}");
    }
}

/// The members that items have from their batch count once for each item, and so does a claim in a header.
#[test]
fn the_claim_of_a_header_counts_for_every_item() {
    let daemon = TestDaemon::start();
    // 300 items with 13,850 bytes each are just below 4 MiB; with a claim of 200 bytes each, they are not.
    let note = json!({"context": {"note": "x".repeat(13_800)}});
    let items = with(call("calculator"), &note);
    let items = with(items, &json!({"evaluations": vec![json!({}); 300]}));
    for (claim, status) in [(None, 200), (Some("z".repeat(20_000)), 413)] {
        let request = Request::post(EVALUATIONS).json(&items);
        let request = claim.iter().fold(request, |request, claim| request.header("X-Constitutional-Hash", claim));
        assert_eq!(daemon.ask(&request).status, status);
    }
}
