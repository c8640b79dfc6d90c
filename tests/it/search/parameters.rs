//! What the routes take and refuse, how pages follow each other, and what the status says.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::corpus::{Sought, address, check, copied, find, newest_first};
use crate::audit::{self, Clients, Exported, question};
use crate::harness::{Answer, Request, TestDaemon};
use crate::replay::world::patient;

/// A log of that many decisions, and of the three events of a start.
fn with_decisions(count: usize) -> (crate::harness::Setup, TestDaemon) {
    let setup = patient(audit::setup());
    let daemon = setup.start();
    let mut left = count;
    while left > 0 {
        let items = left.min(500);
        let body = json!({"subject": {"type": "Agent", "id": "a"}, "action": {"name": "call_tool"},
            "resource": {"type": "Tool", "id": "t"}, "evaluations": vec![json!({}); items]});
        assert_eq!(daemon.post("/access/v1/evaluations", &body).status, 200);
        left -= items;
    }
    copied(&daemon);
    (setup, daemon)
}

fn entries(daemon: &TestDaemon, query: &str) -> Answer {
    daemon.get(&format!("/v1/audit/entries{query}"))
}

#[track_caller]
fn refused(daemon: &TestDaemon, query: &str) -> String {
    let answer = entries(daemon, query);
    assert_eq!(answer.status, 400, "{query}: {answer}");
    let problem = answer.json();
    assert_eq!(problem["type"], "/problems/bad-request", "{query}");
    problem["errors"].to_string()
}

#[test]
fn what_is_no_parameter_or_no_value_is_refused_by_name() {
    let (_setup, daemon) = with_decisions(3);
    for (query, part) in [
        ("?what=1", "what"),
        ("?subject=a&Subject=a", "Subject"),
        ("?subject=a&subject=b", "subject"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=", "limit"),
        ("?limit=65537", "limit"),
        ("?decision=maybe", "`true` or `false`"),
        ("?kind=refusal", "`decision`, `part`"),
        ("?kind=", "/kind"),
        ("?decision=", "true"),
        ("?from=yesterday", "/from"),
        ("?from=2026-11-24", "/from"),
        ("?from=2026-11-24T25:00:00Z", "/from"),
        ("?to=2026-11-24T09:30:00", "/to"),
        ("?to=", "/to"),
        ("?from=2026-11-24T09:30:00+05:30", "/from"),
        ("?subject_type=User", "/subject_type"),
        ("?resource_type=User", "/resource_type"),
        ("?cursor=", "/cursor"),
        ("?cursor=nonsense", "/cursor"),
        ("?cursor=WzEsMl0&cursor=WzEsMl0", "cursor"),
        ("?cursor=W10", "/cursor"),
        ("?cursor=WzEsLTFd", "/cursor"),
        ("?cursor=eyJhIjoxfQ", "/cursor"),
        ("?cursor=%00", "/cursor"),
        ("?cursor=1'%20OR%201=1", "/cursor"),
    ] {
        let errors = refused(&daemon, query);
        assert!(errors.contains(part), "{query}: {errors}");
    }
    let all = refused(&daemon, "?from=x&to=y&subject_type=User&resource_type=User");
    for part in ["/from", "/to", "/subject_type", "/resource_type"] {
        assert!(all.contains(part), "all faults at once: {all}");
    }
    assert_eq!(entries(&daemon, "?subject=%FF").status, 400);
    assert_eq!(entries(&daemon, "?subject=%4").status, 400);
    // Of a list of another kind.
    assert_eq!(daemon.put("/v1/entities/Tool/a", &json!({})).status, 201);
    assert_eq!(daemon.put("/v1/entities/Tool/b", &json!({})).status, 201);
    let other = daemon.get("/v1/entities?type=Tool&limit=1").json();
    assert!(refused(&daemon, &format!("?cursor={}", other["next_cursor"].as_str().unwrap())).contains("/cursor"));
    for method in ["POST", "PUT", "DELETE"] {
        let answer = daemon.ask(&Request::new(method, "/v1/audit/entries").json(&json!({})));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn pages_have_as_many_as_asked_for_and_all_together_have_each_record_once() {
    let (setup, daemon) = with_decisions(2_300);
    let all = newest_first(&setup);
    let status = copied(&daemon);
    let origin = status["origin"].as_str().unwrap();
    let count = |query: &str| entries(&daemon, query).json()["items"].as_array().unwrap().len();
    assert_eq!((count(""), count("?limit=1"), count("?limit=1000")), (100, 1, 1_000));
    let everything = Sought::new();
    let mut connection = daemon.connect();
    for limit in [7, 100, 999, 1_000] {
        check(&find(&mut connection, origin, &everything, || limit), &all, &everything);
    }
    // Exactly as many as there are: no page after it.
    let one_kind = vec![("kind", "settings".to_owned())];
    let page = daemon.get(&format!("{}&limit=1", address(&one_kind))).json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (1, &Value::Null));
    let nothing = entries(&daemon, "?subject=nobody");
    assert_eq!((nothing.status, nothing.json()), (200, json!({"items": [], "next_cursor": null})));
    // A cursor may be used again, and with another search.
    let first = entries(&daemon, "?limit=1000").json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = |query: &str| entries(&daemon, &format!("?cursor={cursor}{query}")).json()["items"][0]["index"].clone();
    assert_eq!(rest("&limit=1"), all[1_000]["index"]);
    assert_eq!(rest("&limit=1"), all[1_000]["index"]);
    assert_eq!(rest("&kind=start"), 0);
}

#[test]
fn pages_stay_the_same_while_the_log_grows() {
    let (setup, daemon) = with_decisions(1_000);
    let (before, origin) = (newest_first(&setup), copied(&daemon)["origin"].clone());
    let clients = Clients::start(&daemon, 2, question);
    clients.wait_for(5, 200);
    let origin = origin.as_str().unwrap();
    let found = find(&mut daemon.connect(), origin, &Sought::new(), || 13);
    clients.end();
    assert!(daemon.stop().success());
    let exported = Exported::from(&setup, 0);
    let indices: Vec<u64> = found.iter().map(|record| record["index"].as_u64().unwrap()).collect();
    assert!(indices.is_sorted_by(|a, b| *a == *b + 1), "no gap, none twice, the newest first");
    assert_eq!(indices.last(), Some(&0));
    assert!(indices.len() >= before.len());
    for record in &found {
        assert_eq!(*record, exported.records[usize::try_from(record["index"].as_u64().unwrap()).unwrap()]);
    }
}

#[test]
fn the_status_says_how_far_the_log_is_written_signed_and_copied() {
    let setup = audit::setup().set("audit.checkpoint_interval_ms", 10).set("audit.origin", "log.example/one");
    let daemon = setup.start();
    for number in 1..4 {
        assert_eq!(daemon.ask(&question(number)).status, 200);
    }
    let size = Exported::from(&setup, 0).records.len();
    let since = std::time::Instant::now();
    let status = loop {
        let status = copied(&daemon);
        if status["signed"]["size"] == size {
            break status;
        }
        assert!(since.elapsed() < crate::harness::PATIENCE, "never signed: {status}");
    };
    let expected = json!({"origin": "log.example/one", "size": size, "signed": {"size": size, "fault": null},
        "cosigned": {"size": null}, "database": {"size": size, "lag": 0, "fault": null}});
    assert_eq!(status, expected);
    let answer = daemon.get("/v1/audit");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(daemon.get("/v1/audit?verbose").status, 200);
}

#[test]
fn a_found_record_is_the_one_that_its_index_names() {
    let (setup, daemon) = with_decisions(20);
    let page = entries(&daemon, "?limit=1000").json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 25);
    let mut seen = HashSet::new();
    for item in items {
        let index = item["index"].as_u64().unwrap();
        let shown = daemon.get(&format!("/v1/audit/entries/{index}"));
        assert_eq!((shown.status, &shown.json()), (200, &item["record"]));
        let printed = setup.run(["audit", "show", "--raw", &index.to_string()]);
        assert_eq!(printed.stdout, shown.body);
        seen.insert(index);
    }
    assert_eq!(seen.len(), 25);
    for (path, status) in
        [("25", 404), ("-1", 400), ("x", 400), ("18446744073709551615", 404), ("99999999999999999999", 400)]
    {
        assert_eq!(daemon.get(&format!("/v1/audit/entries/{path}")).status, status, "{path}");
    }
}

#[test]
fn a_decision_is_found_by_its_id_and_by_the_id_of_its_request() {
    let (setup, daemon) = with_decisions(30);
    let asked = question(1).header("X-Request-ID", "ticket-4711/");
    let mut answers = Vec::new();
    for request in [asked.clone(), asked, question(2), question(3)] {
        let answer = daemon.ask(&request);
        let request_id = answer.header("x-request-id").unwrap().to_owned();
        let context = answer.json()["context"].clone();
        answers.push((context["id"].as_str().unwrap().to_owned(), context["audit_index"].clone(), request_id));
    }
    let origin = copied(&daemon)["origin"].clone();
    let is_found = |(id, index, request_id): &(String, Value, String)| {
        // Found at once, whether or not it is indexed.
        let found = entries(&daemon, &format!("?id={id}")).json();
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
        let item = &found["items"][0];
        assert_eq!((&item["index"], &item["origin"]), (index, &origin));
        assert_eq!(&item["record"]["id"], &json!(id));
        // A request without an id of its own has that of its decision.
        let named = item["record"].get("request_id").unwrap_or(&item["record"]["id"]);
        assert_eq!(named, &json!(request_id));
        let decision = daemon.get(&format!("/v1/decisions/{id}"));
        assert_eq!(decision.status, 200, "{decision}");
        let decision = decision.json();
        assert_eq!((&decision["index"], &decision["record"]), (index, &item["record"]));
        assert_eq!(daemon.get(decision["proof"].as_str().unwrap()).status, 200);
        for (command, start) in [("show", "{\"v\":1,\"id\":\""), ("prove", "c2sp.org/tlog-proof@v1\n")] {
            let output = setup.run(["audit", command, id]);
            assert!(output.status.success() && output.stdout.starts_with(start.as_bytes()), "{command}: {output:?}");
        }
    };
    answers.iter().for_each(is_found);
    let of = |request_id: &str| entries(&daemon, &format!("?request_id={request_id}")).json()["items"].clone();
    let ids = |items: Value| {
        items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["record"]["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(of("ticket-4711/")), [answers[1].0.clone(), answers[0].0.clone()]);
    for (id, _, request_id) in &answers[2..] {
        assert_eq!(id, request_id);
        assert!(ids(of(request_id)).iter().eq([id]), "{request_id}");
        assert!(ids(of(&format!("{request_id}&subject=nobody"))).is_empty());
        assert!(ids(of(&format!("{request_id}&to=2020-01-01T00:00:00Z"))).is_empty());
    }
    // This one's request has another id.
    assert_eq!(of(&answers[0].0), json!([]));
    assert_eq!(of("ticket"), json!([]));
    // An event has an id, too, and is not a decision.
    let start = entries(&daemon, "?kind=start").json()["items"][0]["record"]["id"].as_str().unwrap().to_owned();
    assert_eq!(entries(&daemon, &format!("?id={start}")).json()["items"][0]["index"], 0);
    for unknown in [start.as_str(), "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "00000000-0000-0000-0000-000000000000", "x"]
    {
        assert_eq!(daemon.get(&format!("/v1/decisions/{unknown}")).status, 404, "{unknown}");
    }
    assert_eq!(entries(&daemon, "?id=0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b").json()["items"], json!([]));
    for wrong in ["?id=x", "?id=", &format!("?id={start}&kind=start")] {
        assert!(refused(&daemon, wrong).contains("/id"), "{wrong}");
    }
}

#[test]
fn every_decision_of_a_batch_is_found_by_its_id_and_all_by_that_of_their_request() {
    let (_setup, daemon) = with_decisions(700);
    let answer = daemon.ask(&question(8).header("X-Request-ID", "batch-1"));
    let decided = audit::decisions(&answer, (0, 0));
    assert_eq!(decided.len(), 8);
    copied(&daemon);
    for one in &decided {
        assert_eq!(daemon.get(&format!("/v1/decisions/{}", one.id)).json()["index"], json!(one.index));
    }
    let anonymous = daemon.ask(&question(8));
    let of_anonymous = audit::decisions(&anonymous, (0, 0));
    copied(&daemon);
    let first_id = of_anonymous[0].id.clone();
    assert_eq!(anonymous.header("x-request-id"), Some(first_id.as_str()));
    for (request_id, decided) in [("batch-1", decided), (&first_id, of_anonymous)] {
        let found = entries(&daemon, &format!("?request_id={request_id}")).json();
        let indices: Vec<u64> =
            found["items"].as_array().unwrap().iter().map(|item| item["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, decided.iter().rev().map(|one| one.index.unwrap()).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_found_of_a_batch_has_what_the_items_have_from_it() {
    let setup = patient(audit::setup());
    let daemon = setup.start();
    let context = json!({"risk": 1, "note": "x".repeat(7_000)});
    let subject = json!({"type": "Agent", "id": "z".repeat(900), "properties": {"team": "y".repeat(500)}});
    let mut items = vec![json!({}); 40];
    items[7] = json!({"subject": {"type": "Agent", "id": "other"}});
    let body = json!({"subject": subject, "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"},
        "context": context, "evaluations": items});
    assert_eq!(daemon.post("/access/v1/evaluations", &body).status, 200);
    let origin = copied(&daemon)["origin"].as_str().unwrap().to_owned();
    let all = newest_first(&setup);
    let mut connection = daemon.connect();
    for (sought, count) in [
        (vec![("subject", "z".repeat(900))], 39),
        (vec![("subject", "other".to_owned())], 1),
        (vec![("action", "call_tool".to_owned())], 40),
        (vec![("kind", "decision".to_owned())], 40),
    ] {
        let found = find(&mut connection, &origin, &sought, || 1_000);
        check(&found, &all, &sought);
        assert_eq!(found.len(), count, "{sought:?}");
        assert!(found.iter().all(|record| record["context"] == context), "{sought:?}");
    }
    let shared = find(&mut connection, &origin, &vec![("kind", "shared".to_owned())], || 1_000);
    assert_eq!(shared.len(), 2);
}

/// Records that share a large context are small in the log, and large each in an answer.
#[test]
fn a_page_of_large_records_ends_early_and_goes_on() {
    let setup = patient(audit::setup());
    let daemon = setup.start();
    let body = json!({"subject": {"type": "Agent", "id": "a"}, "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "t"}, "context": {"note": "x".repeat(200_000)},
        "evaluations": vec![json!({}); 20]});
    for _ in 0..3 {
        assert_eq!(daemon.post("/access/v1/evaluations", &body).status, 200);
    }
    let origin = copied(&daemon)["origin"].as_str().unwrap().to_owned();
    let page = entries(&daemon, "?kind=decision&limit=60").json();
    let items = page["items"].as_array().unwrap();
    assert!((1..30).contains(&items.len()) && page["next_cursor"].is_string(), "{} items", items.len());
    let sought: Sought = vec![("kind", "decision".to_owned())];
    let found = find(&mut daemon.connect(), &origin, &sought, || 60);
    assert!(daemon.stop().success());
    assert_eq!(found.len(), 60);
    check(&found, &newest_first(&setup), &sought);
}
