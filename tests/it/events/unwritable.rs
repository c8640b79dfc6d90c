//! What cannot be recorded does not happen.

use serde_json::{Value, json};

use super::{events, hang_up, names, reload, size, switch, switchable, until};
use crate::audit::{Exported, constitution, question, verify};
use crate::faults::disk::{EIO, ENOSPC, Faults};
use crate::harness::{Answer, Request, Setup, TestDaemon};

fn tool(id: &str, risk: u8) -> Value {
    json!({"uid": {"type": "Tool", "id": id}, "attrs": {"risk": risk}, "parents": []})
}

fn hash(daemon: &TestDaemon) -> String {
    daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned()
}

/// Changes of every kind.
fn changes() -> Vec<Request> {
    vec![
        Request::put("/v1/entities/Tool/new").json(&tool("new", 1)),
        Request::put("/v1/entities/Tool/old").json(&tool("old", 9)),
        Request::delete("/v1/entities/Tool/old"),
        Request::post("/v1/entities/batch").json(&json!([tool("new", 1), tool("old", 9)])),
        reload(),
    ]
}

#[track_caller]
fn unavailable(answer: &Answer) {
    assert_eq!((answer.status, &answer.json()["type"]), (503, &json!("/problems/unavailable")), "{answer}");
    assert!(answer.text().contains("recorded"), "{answer}");
}

/// All that callers see, which must stay as it is.
fn seen(daemon: &TestDaemon) -> Vec<(u16, Option<String>, String)> {
    let paths = ["/v1/entities/Tool/old", "/v1/entities/Tool/new", "/v1/entities?type=Tool", "/v1/constitution"];
    let show = |path| {
        let mut answer = daemon.get(path);
        let text = match answer.status {
            200 => answer.text().to_owned(),
            _ => String::new(),
        };
        answer.headers.retain(|(name, _)| name == "etag");
        (answer.status, answer.headers.pop().map(|(_, etag)| etag), text)
    };
    paths.into_iter().map(show).collect()
}

#[test]
fn while_the_log_cannot_be_written_nothing_changes_and_then_it_goes_on_by_itself() {
    let Some(faults) = Faults::new() else { return };
    for (errno, first) in [(EIO, 0), (ENOSPC, 1), (EIO, 2), (EIO, 3), (ENOSPC, 4)] {
        faults.clear();
        // Nothing waits until it is too late for it.
        let setup = switchable(faults.within(Setup::new())).set("http.request_timeout_ms", 20_000);
        let daemon = setup.start();
        assert_eq!(daemon.put("/v1/entities/Tool/old", &tool("old", 1)).status, 201);
        let (before, from) = (seen(&daemon), size(&setup));
        switch(&setup, &constitution("closed"));
        faults.set(&format!("write error {errno} audit"));
        // The first one to be refused finds out; the others come when it is known.
        let mut requests = changes();
        requests.rotate_left(first);
        for request in &requests {
            unavailable(&daemon.ask(request));
        }
        hang_up(&daemon);
        assert_eq!(daemon.ask(&question(1)).status, 503);
        assert_eq!(seen(&daemon), before);
        switch(&setup, &constitution("faulty"));
        assert_eq!(daemon.ask(&reload()).status, 422, "faults are told all the same");
        switch(&setup, &constitution("closed"));
        assert_eq!(daemon.ask(&Request::delete("/v1/entities/Tool/new")).status, 404);

        faults.clear();
        until("ready again", || (daemon.get("/readyz").status == 200).then_some(()));
        assert_eq!(events(&setup, from), Vec::<Value>::new(), "what was refused is not recorded later");
        assert_eq!(seen(&daemon), before);
        let open = hash(&daemon);
        let answers: Vec<u16> = changes().iter().map(|request| daemon.ask(request).status).collect();
        assert_eq!(answers, [201, 200, 204, 200, 200]);
        assert_ne!(hash(&daemon), open);
        assert_eq!(daemon.ask(&question(1)).json()["decision"], false);
        let written = "entity written";
        let expected = [written, written, "entity deleted", written, written, "constitution reloaded", "decision"];
        assert_eq!(names(&events(&setup, from)), expected);
        assert!(daemon.stop().success());
        verify(&setup);
    }
}

#[test]
fn a_daemon_that_cannot_record_its_start_does_not_start() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(switchable(Setup::new()));
    assert!(setup.start().stop().success());
    let before = Exported::from(&setup, 0).records;
    for fault in [format!("write error {EIO} audit"), format!("sync error {EIO} audit")] {
        faults.set(&fault);
        let refused = setup.try_start().unwrap_err();
        assert_eq!(refused.status.code(), Some(74), "{refused}");
        faults.clear();
        assert_eq!(Exported::from(&setup, 0).records, before, "{fault}");
    }
    assert!(setup.start().stop().success());
    verify(&setup);
}

#[test]
fn a_change_that_is_recorded_too_late_for_its_answer_is_recorded_before_it_is_stored() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(switchable(Setup::new()));
    let setup = setup.set("http.request_timeout_ms", 200).set("database.pool.acquire_timeout_ms", 200);
    let daemon = setup.start();
    let from = size(&setup);
    faults.set("write delay 1000 .log");
    let late = daemon.put("/v1/entities/Tool/new", &tool("new", 1));
    assert_eq!(late.status, 202, "{late}");
    assert_eq!(daemon.get("/v1/entities/Tool/new").status, 404);
    until("stored", || (daemon.get("/v1/entities/Tool/new").status == 200).then_some(()));
    assert_eq!(names(&events(&setup, from)), ["entity written"]);
    faults.clear();
    assert!(daemon.stop().success());
}
