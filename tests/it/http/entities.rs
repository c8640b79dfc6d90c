//! Stored entities.

use serde_json::{Value, json};

use super::{call, decision, problem};
use crate::harness::{Answer, Request, Setup, TestDaemon, Tiers};

fn tool(risk: u8) -> Value {
    json!({"attrs": {"risk": risk}})
}

#[track_caller]
fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no etag: {answer:?}")).to_owned()
}

#[test]
fn an_entity_is_created_read_replaced_and_removed() {
    let setup = Setup::new();
    let daemon = setup.start();
    let path = "/v1/entities/Tool/saw";
    assert_eq!(problem(&daemon.get(path)), "404 not-found");
    assert_eq!(problem(&daemon.delete(path)), "404 not-found");
    let created = daemon.put(path, &tool(1));
    let expected = json!({"uid": {"type": "Tool", "id": "saw"}, "attrs": {"risk": 1}, "parents": []});
    assert_eq!((created.status, created.json()), (201, expected.clone()));
    let shown = daemon.get(path);
    assert_eq!((shown.status, shown.json(), etag(&shown)), (200, expected, etag(&created)));
    let replaced = daemon.put(path, &json!({}));
    assert_eq!((replaced.status, &replaced.json()["attrs"]), (200, &json!({})));
    assert_ne!(etag(&replaced), etag(&created));
    let removed = daemon.delete(path);
    assert_eq!((removed.status, removed.text()), (204, ""));
    assert_eq!(problem(&daemon.get(path)), "404 not-found");
    // A version never comes back, so that a writer who slept through all this does not win.
    let again = daemon.put(path, &tool(1));
    assert_eq!(again.status, 201);
    assert!(![etag(&created), etag(&replaced)].contains(&etag(&again)));
    // And all of it outlives the process.
    daemon.kill();
    let shown = setup.start().get(path);
    assert_eq!((shown.json()["attrs"].clone(), etag(&shown)), (json!({"risk": 1}), etag(&again)));
}

#[test]
fn a_writer_who_has_not_seen_the_last_version_loses() {
    let daemon = TestDaemon::start();
    let path = "/v1/entities/Tool/saw";
    let put = |name: &str, value: &str| daemon.ask(&Request::put(path).json(&tool(2)).header(name, value));
    assert_eq!(problem(&put("If-Match", "\"1\"")), "412 stale");
    let created = put("If-None-Match", "*");
    assert_eq!(created.status, 201);
    assert_eq!(problem(&put("If-None-Match", "*")), "412 stale");
    let (first, second) = (etag(&created), etag(&put("If-Match", &etag(&created))));
    assert_ne!(first, second);
    assert_eq!(problem(&put("If-Match", &first)), "412 stale");
    let delete = |tag: &str| daemon.ask(&Request::delete(path).header("If-Match", tag));
    assert_eq!(problem(&delete(&first)), "412 stale");
    for (name, value) in [
        ("If-Match", "3"),
        ("If-Match", "w/\"1\""),
        ("If-Match", "*, \"1\""),
        ("If-Match", "\"1"),
        ("If-Match", ""),
        ("If-None-Match", ""),
        ("If-None-Match", "1"),
    ] {
        assert!(problem(&put(name, value)).starts_with("400 bad-request"), "{name}: {value}");
    }
    let both = Request::put(path).json(&tool(1)).header("If-Match", &second).header("If-None-Match", "*");
    assert_eq!(problem(&daemon.ask(&both)), "412 stale");
    let padded = second.replacen('"', "\"0", 1);
    for (name, value) in [
        ("If-Match", format!("W/{second}")),
        ("If-Match", padded.clone()),
        ("If-Match", format!("{first}, {padded}")),
        ("If-Match", "\"\"".to_owned()),
        ("If-None-Match", second.clone()),
        ("If-None-Match", format!("W/{second}")),
        ("If-None-Match", format!("{first}, {second}")),
    ] {
        assert_eq!(problem(&put(name, &value)), "412 stale", "{name}: {value}");
    }
    assert_eq!(etag(&daemon.get(path)), second);
    assert_eq!(delete(&second).status, 204);
}

#[test]
fn preconditions_are_those_of_http() {
    let daemon = TestDaemon::start();
    let path = "/v1/entities/Tool/saw";
    let ask = |request: Request, name: &str, value: &str| daemon.ask(&request.header(name, value));
    let put = || Request::put(path).json(&tool(2));
    assert_eq!(problem(&ask(put(), "If-Match", "*")), "412 stale");
    assert_eq!(ask(put(), "If-None-Match", "\"1\"").status, 201);
    let first = etag(&ask(put(), "If-Match", "*"));
    let second = etag(&ask(put(), "If-Match", &format!("\"0\", {first}")));
    let third = etag(&ask(put(), "If-None-Match", &first));
    let get = |name: &str, value: &str| ask(Request::get(path), name, value);
    for value in ["*", &third, &format!("W/{third}"), &format!("{first},\t{second} ,{third}")] {
        let answer = get("If-None-Match", value);
        assert_eq!((answer.status, answer.header("etag"), &*answer.body), (304, Some(&*third), &[][..]), "{value}");
        let head = ask(Request::new("HEAD", path), "If-None-Match", value);
        assert_eq!((head.status, head.header("etag")), (304, Some(&*third)), "{value}");
    }
    for value in [&*first, &format!("{first}, {second}"), &third.replacen('"', "\"0", 1), "\"\""] {
        assert_eq!(get("If-None-Match", value).status, 200, "{value}");
    }
    assert_eq!(get("If-Match", &third).status, 200);
    assert_eq!(problem(&get("If-Match", &format!("W/{third}"))), "412 stale");
    assert_eq!(daemon.ask(&Request::get("/v1/entities/Tool/none").header("If-None-Match", "*")).status, 404);
    assert_eq!(ask(Request::delete(path), "If-Match", "*").status, 204);
}

#[test]
fn an_id_may_be_any_text_in_a_path() {
    let daemon = TestDaemon::start();
    let long = "l".repeat(1024);
    let ids = [
        ("a%2Fb", "a/b"),
        ("%2e%2e", ".."),
        ("%00", "\0"),
        ("%E2%82%AC", "€"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("%25", "%"),
        ("%2525", "%25"),
        ("%22", "\""),
        ("%3Fx%23y", "?x#y"),
        ("a:b;c,d@e", "a:b;c,d@e"),
        (&long, &*long),
        ("%0D%0AX-Evil:%201", "\r\nX-Evil: 1"),
        ("%F0%9F%98%80", "😀"),
        ("batch", "batch"),
    ];
    // PostgreSQL has no text with a zero character in it.
    let ids = ids.into_iter().filter(|(escaped, _)| Tiers::current() == Tiers::Sqlite || *escaped != "%00");
    let ids = ids.collect::<Vec<_>>();
    for &(escaped, id) in &ids {
        let path = format!("/v1/entities/Tool/{escaped}");
        let written = daemon.put(&path, &json!({"uid": {"type": "Tool", "id": id}, "attrs": {"risk": 1}}));
        assert_eq!((written.status, &written.json()["uid"]["id"]), (201, &json!(id)), "{written}");
        assert_eq!(daemon.get(&path).json()["uid"]["id"], id);
        assert!(decision(&daemon, &call(id)), "{id}");
    }
    let longer = daemon.put(&format!("/v1/entities/Tool/{long}l"), &json!({}));
    assert_eq!((longer.status, &longer.json()["detail"]), (400, &json!("type and id must have at most 1024 bytes")));
    for &(escaped, id) in &ids {
        assert_eq!(daemon.delete(&format!("/v1/entities/Tool/{escaped}")).status, 204, "{id}");
        assert!(!decision(&daemon, &call(id)), "{id}");
    }
}

#[test]
fn an_entity_that_cannot_be_read_is_refused_with_every_fault() {
    let daemon = TestDaemon::start();
    let path = "/v1/entities/Tool/saw";
    for (body, expected) in [
        (json!([]), "\n must be an object, not an array"),
        (json!(null), "\n must be an object, not null"),
        (json!({"uid": ["Tool", "saw"]}), "\n/uid must be an object, not an array"),
        (json!({"uid": {"type": "Tool", "id": "axe"}}), "\n/uid is not `Tool::\"saw\"`, which the path names"),
        (
            json!({"uid": {"type": 1}, "attrs": [], "parents": [{"type": "", "id": "x", "a": 1}, 3], "tags": null, "a~b": 1}),
            "\n/a~0b is not a member of an entity\n/uid/type must be a string, not an integer\n/uid/id is required\
             \n/attrs must be an object, not an array\n/parents/0/a is not a member of an entity\
             \n/parents/0/type must not be empty\n/parents/1 must be an object, not an integer\
             \n/tags must be an object, not null",
        ),
        (json!({"parents": {}}), "\n/parents must be an array, not an object"),
        (
            json!({"attrs": {"risk": 1.5, "hazards": [null]}, "tags": {"a": 9_223_372_036_854_775_808_u64}}),
            "\n/attrs/hazards/0 must be a boolean, a 64-bit integer, a string, an array or an object, not null\
             \n/attrs/risk must be a boolean, a 64-bit integer, a string, an array or an object, \
             not a number that is no 64-bit integer\
             \n/tags/a must be a boolean, a 64-bit integer, a string, an array or an object, \
             not a number that is no 64-bit integer",
        ),
    ] {
        assert_eq!(problem(&daemon.put(path, &body)), format!("400 bad-request{expected}"), "{body}");
    }
    for (body, expected) in [
        (json!({}), "\n must be an array, not an object"),
        (
            json!([{"uid": {"type": "Tool", "id": "a"}}, {}, 1]),
            "\n/1/uid is required\n/2 must be an object, not an integer",
        ),
    ] {
        assert_eq!(problem(&daemon.post("/v1/entities/batch", &body)), format!("400 bad-request{expected}"), "{body}");
    }
    assert_eq!(problem(&daemon.get(path)), "404 not-found");
    let escaped = json!({"uid": {"__entity": {"type": "Tool", "id": "saw"}}, "attrs": {"users": {"__entity": {"type": "Team", "id": "x"}}}});
    assert_eq!(daemon.put(path, &escaped).status, 201);
}

#[test]
fn an_entity_that_does_not_fit_the_schema_is_refused() {
    let daemon = TestDaemon::start();
    for (path, body, part) in [
        ("Tool/saw", json!({"attrs": {"risk": "high"}}), "`risk`"),
        ("Tool/saw", json!({"attrs": {"colour": 1}}), "`colour`"),
        ("Tool/saw", json!({"attrs": {"users": {"__entity": {"type": "User", "id": "x"}}}}), "users"),
        ("Tool/saw", json!({"tags": {"a": 1}}), "tag"),
        ("Tool/saw", json!({"parents": [{"type": "Team", "id": "x"}]}), "Team"),
        ("Nothing/x", json!({}), "Nothing"),
        ("no%20type/x", json!({}), "no type"),
        ("Action/call_tool2", json!({}), "call_tool2"),
    ] {
        let answer = daemon.put(&format!("/v1/entities/{path}"), &body);
        assert_eq!(answer.status, 422, "{path} {body}: {answer}");
        let listed = problem(&answer);
        assert!(listed.starts_with("422 invalid-entity\n ") && listed.contains(part), "{path} {body}: {listed}");
    }
    assert_eq!(daemon.get("/v1/entities?type=Tool&limit=1000").json()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_batch_is_stored_as_a_whole_or_not_at_all() {
    let daemon = TestDaemon::start();
    let tools = |count: u32| {
        (0..count).map(|nth| json!({"uid": {"type": "Tool", "id": format!("t{nth}")}, "attrs": {"risk": 1}}))
    };
    let batch = |entities: Vec<Value>| daemon.post("/v1/entities/batch", &Value::Array(entities));
    let misfit = |id: &str| json!({"uid": {"type": "Tool", "id": id}, "attrs": {"colour": 1}});
    let faulty = batch(tools(3).chain([misfit("a"), misfit("b")]).collect());
    let listed = problem(&faulty);
    assert!(listed.starts_with("422 invalid-entity\n/3 ") && listed.contains("\n/4 "), "{listed}");
    let twice = batch(tools(3).chain(tools(1)).collect());
    assert_eq!(problem(&twice), "400 bad-request\n `Tool::\"t0\"` is named twice in one batch");
    assert_eq!(problem(&daemon.get("/v1/entities/Tool/t0")), "404 not-found");
    let stored = batch(tools(3).collect());
    assert_eq!(stored.status, 200, "{stored}");
    let items = stored.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 3);
    for item in items {
        assert_eq!(item["created"], true);
        let shown = daemon.get(&format!("/v1/entities/Tool/{}", item["uid"]["id"].as_str().unwrap()));
        assert_eq!(item["etag"], etag(&shown));
    }
    let created: Vec<Value> = batch(tools(4).collect()).json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["created"].clone())
        .collect();
    assert_eq!(created, [false, false, false, true]);
    assert_eq!(batch(Vec::new()).json(), json!({"items": []}));
}

#[test]
fn entities_are_listed_by_type_page_by_page_while_others_write() {
    let daemon = TestDaemon::start();
    let users: Vec<Value> = (0..25).map(|nth| json!({"uid": {"type": "User", "id": format!("u{nth:02}")}})).collect();
    assert_eq!(daemon.post("/v1/entities/batch", &Value::Array(users)).status, 200);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/v1/entities?type=User&limit=10{cursor}")).json();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["uid"]["id"].as_str().unwrap().to_owned()),
        );
        // What comes and goes meanwhile neither hides nor repeats what stays.
        let nth = seen.len();
        assert_eq!(daemon.put(&format!("/v1/entities/User/a{nth}"), &json!({})).status, 201);
        assert_eq!(daemon.delete(&format!("/v1/entities/User/{}", seen[nth - 1])).status, 204);
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<String> = (0..25).map(|nth| format!("u{nth:02}")).collect();
    assert_eq!(seen, expected);
    let other = daemon.get("/v1/entities?type=Nothing");
    assert_eq!((other.status, other.json()), (200, json!({"items": [], "next_cursor": null})));
}

#[test]
fn a_verdict_is_not_served_after_an_entity_it_read_has_changed() {
    let daemon = TestDaemon::start();
    // Enough connections that every worker has the verdict in its cache.
    let decided = |expected: bool| {
        for _ in 0..8 {
            assert_eq!(decision(&daemon, &call("saw")), expected);
        }
    };
    let path = "/v1/entities/Tool/saw";
    decided(false);
    for risk in [1, 9, 2] {
        assert!(daemon.put(path, &tool(risk)).status < 300);
        decided(risk <= 3);
    }
    assert_eq!(daemon.delete(path).status, 204);
    decided(false);
    let named = json!([{"uid": {"type": "Tool", "id": "saw"}, "attrs": {"risk": 3}}]);
    assert_eq!(daemon.post("/v1/entities/batch", &named).status, 200);
    decided(true);
    // The same by way of a group that a group is in: what was read is more than who acts and what is acted on.
    let team = |id: &str| json!({"type": "Team", "id": id});
    let granted = json!({"attrs": {"risk": 5, "users": {"__entity": team("outer")}}});
    assert_eq!(daemon.put(path, &granted).status, 200);
    assert_eq!(
        daemon
            .put("/v1/entities/Agent/helper", &json!({"parents": [team("inner")], "attrs": {"clearance": 10}}))
            .status,
        201
    );
    decided(false);
    assert_eq!(daemon.put("/v1/entities/Team/inner", &json!({"parents": [team("outer")]})).status, 201);
    decided(true);
    assert_eq!(daemon.delete("/v1/entities/Team/inner").status, 204);
    decided(false);
}

#[test]
fn an_entity_that_would_be_in_itself_is_not_stored() {
    let daemon = TestDaemon::start();
    let member = |parents: &[&str]| {
        let parents: Vec<Value> = parents.iter().map(|id| json!({"type": "Team", "id": id})).collect();
        json!({"parents": parents})
    };
    let put = |id: &str, parents: &[&str]| {
        let answer = daemon.put(&format!("/v1/entities/Team/{id}"), &member(parents));
        if answer.status < 300 { "stored".to_owned() } else { problem(&answer) }
    };
    assert!(put("a", &["a"]).starts_with("422 invalid-entity"), "{}", put("a", &["a"]));
    assert_eq!((put("a", &["b"]), put("b", &["c"])), ("stored".into(), "stored".into()));
    let refused = put("c", &["a"]);
    assert!(refused.contains("`Team::\"c\"` would be its own ancestor"), "{refused}");
    assert_eq!(problem(&daemon.get("/v1/entities/Team/c")), "404 not-found");
    let item =
        |id: &str, parent: &str| json!({"uid": {"type": "Team", "id": id}, "parents": member(&[parent])["parents"]});
    let batch = daemon.post("/v1/entities/batch", &json!([item("d", "e"), item("e", "f"), item("f", "d")]));
    assert!(problem(&batch).starts_with("422 invalid-entity"), "{batch}");
    let batch = daemon.post("/v1/entities/batch", &json!([item("d", "e"), item("c", "d"), item("e", "a")]));
    assert!(problem(&batch).contains("would be its own ancestor"), "{batch}");
    assert_eq!(problem(&daemon.get("/v1/entities/Team/d")), "404 not-found");
}

#[test]
fn a_body_that_nests_too_deep_is_refused_before_it_is_parsed() {
    let daemon = TestDaemon::start();
    let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for value in [nested("[", "]", 70), nested("{\"a\":", "}", 70), nested("[{\"a\":", "}]", 40), "[".repeat(100_000)] {
        let entity = format!("{{\"attrs\":{{\"a\":{value}}}}}");
        let context = format!(
            "{{\"subject\":{{\"type\":\"Agent\",\"id\":\"a\"}},\"action\":{{\"name\":\"call_tool\"}},\
             \"resource\":{{\"type\":\"Tool\",\"id\":\"t\"}},\"context\":{{\"a\":{value}}}}}"
        );
        for request in [
            Request::put("/v1/entities/Tool/t").header("Content-Type", "application/json").body(entity.clone()),
            Request::post("/v1/validate").header("Content-Type", "application/json").body(context.clone()),
            Request::post("/access/v1/evaluation").header("Content-Type", "application/json").body(context.clone()),
        ] {
            let answer = daemon.ask(&request);
            assert_eq!(answer.status, 400, "{answer}");
            assert!(answer.text().contains("nests deeper than 64"), "{answer}");
        }
    }
    assert!(decision(&daemon, &call("calculator")));
}
