//! What is in force, and how it is replaced.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{EVALUATION, HASH, problem};
use crate::harness::{Setup, Signal, TestDaemon, repository};

/// A constitution that a test may change: that of the Todo application.
fn bundle() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = repository().join("tests/it/authzen/constitution");
    fs::create_dir(folder.path().join("policies")).unwrap();
    for file in ["constitution.toml", "schema.cedarschema", "entities.json", "policies/todo.cedar"] {
        fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn change(folder: &Path, file: &str, from: &str, to: &str) {
    let file = folder.join(file);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "`{}` has no `{from}`", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Whether an editor may create a todo.
fn editor_creates(daemon: &TestDaemon) -> bool {
    let editor = json!({"type": "user", "id": "CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"});
    let question =
        json!({"subject": editor, "action": {"name": "can_create_todo"}, "resource": {"type": "todo", "id": "1"}});
    daemon.post(EVALUATION, &question).json()["decision"].as_bool().unwrap()
}

#[test]
fn the_constitution_in_force_is_shown() {
    let daemon = TestDaemon::start();
    let shown = daemon.get("/v1/constitution").json();
    let printed = Setup::new().run(["constitution", "hash"]).stdout;
    let printed = String::from_utf8(printed).unwrap();
    let [hash, digest] = ["hash", "digest"].map(|name| shown[name].as_str().unwrap());
    assert_eq!(printed, format!("hash   {hash}\ndigest {digest}\n"));
    assert_eq!((&shown["name"], &shown["version"]), (&json!("ACGS-2 genesis constitution"), &json!("1.0.0")));
    let principles = shown["principles"].as_array().unwrap();
    let counts = &shown["counts"];
    assert_eq!(counts["principles"], principles.len());
    assert_eq!(
        counts["policies"].as_u64(),
        Some(counts["permits"].as_u64().unwrap() + counts["forbids"].as_u64().unwrap())
    );
    for member in ["id", "title", "text", "category", "severity", "enforcement", "weight"] {
        assert!(principles.iter().all(|principle| !principle[member].is_null()), "{member}");
    }
}

#[test]
fn policies_are_listed_page_by_page_and_shown_one_by_one() {
    let daemon = TestDaemon::start();
    let all = daemon.get("/v1/constitution/policies?limit=1000").json();
    let all = all["items"].as_array().unwrap();
    assert_eq!(daemon.get("/v1/constitution").json()["counts"]["policies"], all.len());
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/v1/constitution/policies?limit=7{cursor}")).json();
        let items = page["items"].as_array().unwrap();
        paged.extend(items.clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        assert_eq!(items.len(), 7);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, all);
    for policy in all {
        let id = policy["id"].as_str().unwrap();
        assert_eq!(&daemon.get(&format!("/v1/constitution/policies/{id}")).json(), policy);
        assert!(policy["text"].as_str().unwrap().contains(&format!("@id(\"{id}\")")), "{policy}");
        assert!(policy["principle"].is_string() || policy["effect"] == "permit", "{policy}");
    }
    assert_eq!(problem(&daemon.get("/v1/constitution/policies/nobody's")), "404 not-found");
}

#[test]
fn after_a_reload_no_decision_is_made_under_the_old_constitution() {
    let folder = bundle();
    let daemon = Setup::new().constitution(folder.path()).start();
    assert!(editor_creates(&daemon));
    let before = daemon.get("/v1/constitution").json();
    let (file, from, to) = (
        "policies/todo.cedar",
        "permit (principal in role::\"editor\", action == Action::\"can_create_todo\"",
        "permit (principal in role::\"nobody\", action == Action::\"can_create_todo\"",
    );
    for (from, to, expected) in [(from, to, false), (to, from, true), (from, to, false)] {
        change(folder.path(), file, from, to);
        let reloaded = daemon.post("/v1/constitution/reload", &json!({}));
        assert_eq!(reloaded.status, 200, "{reloaded}");
        let shown = daemon.get("/v1/constitution").json();
        assert_eq!(reloaded.json()["new"], json!({"hash": shown["hash"], "digest": shown["digest"]}));
        assert_eq!(reloaded.json()["new"] == json!({"hash": before["hash"], "digest": before["digest"]}), expected);
        // Enough connections that every worker is asked.
        for _ in 0..8 {
            let answer = daemon.get("/livez");
            assert_eq!(answer.header("x-constitutional-hash"), shown["hash"].as_str());
            assert_eq!(editor_creates(&daemon), expected);
        }
    }
}

#[test]
fn a_faulty_constitution_is_not_taken_and_every_fault_is_listed() {
    let folder = bundle();
    let daemon = Setup::new().constitution(folder.path()).start();
    let before = daemon.get("/v1/constitution").json();
    change(folder.path(), "constitution.toml", "weight = 1.0", "weight = 0.5");
    change(folder.path(), "policies/todo.cedar", "@id(\"admins-create\")", "@id(\"editors-create\")");
    change(folder.path(), "policies/todo.cedar", "@principle(\"ownership\")", "@principle(\"nothing\")");
    change(folder.path(), "policies/todo.cedar", "resource.ownerID", "resource.owner");
    let answer = daemon.post("/v1/constitution/reload", &json!({}));
    assert_eq!(answer.status, 422, "{answer}");
    let listed = problem(&answer);
    for part in ["constitution.toml", "weights of all principles make 0.5", "`editors-create`", "`nothing`", "owner"] {
        assert!(listed.contains(part), "no `{part}` in {listed}");
    }
    assert!(listed.matches("policies/todo.cedar:").count() >= 3, "{listed}");
    assert_eq!(daemon.get("/v1/constitution").json(), before);
    assert!(editor_creates(&daemon));
    // What the commands say is what the route says.
    let lint = Setup::new().run(["constitution".as_ref(), "lint".as_ref(), folder.path().as_os_str()]);
    let lint = String::from_utf8(lint.stderr).unwrap();
    let errors: Vec<String> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["detail"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lint.trim_end(), errors.join("\n"));
    fs::remove_dir_all(folder.path().join("policies")).unwrap();
    assert_eq!(daemon.post("/v1/constitution/reload", &json!({})).status, 422);
    assert!(editor_creates(&daemon));
}

#[test]
fn a_constitution_with_another_hash_than_expected_is_not_taken() {
    let folder = bundle();
    change(folder.path(), "constitution.toml", "version = \"1.0\"", &format!("version = \"1.0\"\nhash = \"{HASH}\""));
    let setup = Setup::new().constitution(folder.path()).set("constitution.expected_hash", HASH);
    let daemon = setup.start();
    change(folder.path(), "constitution.toml", HASH, "0123456789abcdef");
    let answer = daemon.post("/v1/constitution/reload", &json!({}));
    assert!(problem(&answer).contains("0123456789abcdef"), "{answer}");
    assert_eq!((answer.status, answer.header("x-constitutional-hash")), (422, Some(HASH)));
    drop(daemon);
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(78));
    assert!(refused.stderr.contains("0123456789abcdef"), "{refused}");
}

#[test]
fn a_hangup_reloads_constitution_and_live_settings_and_keeps_what_is_faulty() {
    let (folder, settings) = (bundle(), tempfile::tempdir().unwrap());
    let write = |level: &str, workers: u8| {
        let text = format!("[http]\nmax_in_flight = {workers}00\n[log]\nlevel = \"{level}\"\n");
        fs::write(settings.path().join("default.toml"), text).unwrap();
    };
    write("info", 1);
    let daemon = Setup::new().settings(settings.path()).constitution(folder.path()).start();
    let digest = |daemon: &TestDaemon| -> Value { daemon.get("/v1/constitution").json()["digest"].clone() };
    let first = digest(&daemon);
    let hangup = || {
        daemon.signal(Signal::HUP);
        daemon.wait_for("READY=1");
    };
    change(folder.path(), "constitution.toml", "1.0\"", "1.1\"");
    write("info", 2);
    hangup();
    let second = digest(&daemon);
    assert_ne!(first, second);
    assert!(daemon.stderr().contains("http.max_in_flight"), "what needs a restart is named: {}", daemon.stderr());
    change(folder.path(), "constitution.toml", "weight = 1.0", "weight = 2.0");
    hangup();
    assert_eq!(digest(&daemon), second);
    change(folder.path(), "constitution.toml", "weight = 2.0", "weight = 1");
    write("loud", 1);
    hangup();
    assert_eq!(digest(&daemon), second, "faulty settings stop the reload");
    assert!(daemon.stderr().contains("log.level"), "{}", daemon.stderr());
    write("off", 1);
    hangup();
    assert_ne!(digest(&daemon), second);
    assert!(daemon.stop().success());
}
