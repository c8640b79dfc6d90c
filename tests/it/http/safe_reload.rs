//! Reloads that are refused although Cedar accepts the policies, forced reloads, and the view of callers during a swap.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{EVALUATION, problem};
use crate::harness::{Request, Setup, Signal, TestDaemon};

const MANIFEST: &str = "name = \"small\"\nversion = \"1\"\n[[principle]]\nid = \"safety\"\ntitle = \"t\"\ntext = \"t\"\n\
    category = \"c\"\nseverity = \"high\"\nenforcement = \"block\"\nweight = 1.0\n";
const SCHEMA: &str = "entity Group in [Group];\nentity User in [Group] { banned?: Bool, name?: String };\nentity Doc;\n\
    action read appliesTo { principal: [User], resource: [Doc], context: { n?: Long } };\n";
const POLICIES: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"banned\") @principle(\"safety\") forbid (principal, action, resource)\n\
    when { principal has banned && principal.banned };\n";
const CASE: &str = "[[case]]\nname = \"the banned read nothing\"\nsubject = { type = \"User\", id = \"b\" }\n\
    action = { name = \"read\" }\nresource = { type = \"Doc\", id = \"d\" }\ndecision = false\n\
    entities = [{ uid = { type = \"User\", id = \"b\" }, attrs = { banned = true } }]\n";

fn bundle() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("policies/more")).unwrap();
    fs::create_dir_all(folder.path().join("tests")).unwrap();
    for (file, text) in [
        ("constitution.toml", MANIFEST),
        ("schema.cedarschema", SCHEMA),
        ("policies/all.cedar", POLICIES),
        ("tests/all.toml", CASE),
        ("README.md", "# What this is\n"),
        (".gitignore", "*.bak\n"),
    ] {
        write(folder.path(), file, text);
    }
    folder
}

fn write(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn reload(daemon: &TestDaemon) -> String {
    let answer = daemon.post("/v1/constitution/reload", &json!({}));
    if answer.status == 200 { "200".to_owned() } else { problem(&answer) }
}

fn question(user: &str) -> Value {
    json!({"subject": {"type": "User", "id": user}, "action": {"name": "read"}, "resource": {"type": "Doc", "id": "d"}})
}

fn permits(daemon: &TestDaemon, user: &str) -> bool {
    daemon.post(EVALUATION, &question(user)).json()["decision"].as_bool().unwrap()
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_would_have_no_effect_is_a_fault_of_check_reload_and_start_and_all_faults_come_at_once() {
    let folder = bundle();
    let setup = Setup::new().constitution(folder.path());
    let daemon = setup.start();
    let dead = "@id(\"dead\") @principle(\"safety\") forbid (principal, action, resource)\n\
                when { context has action.ammount && context.action.ammount > 1000 };\n\
                @id(\"never\") permit (principal is Doc, action, resource);\n\
                @id(\"no-action\") permit (principal is User, action == Action::\"read\", resource is User);\n\
                @id(\"dead\") permit (principal, action, resource) when { principal.nme == \"\" };\n\
                permit (principal, action, resource) when { 1 +* };\n";
    write(folder.path(), "policies/more/dead.cedar", dead);
    for stray in ["policies/safety.ceder", "policies/more/x.cedar.bak", "safety.cedar", "policy/a.cedar", "tests/x.tml"]
    {
        write(folder.path(), stray, POLICIES);
    }
    write(folder.path(), "tests/more.toml", "[[case]]\nname = \"faulty\"\n");
    let faults = [
        "policies/more/dead.cedar:1:1: for policy `dead`, policy is impossible",
        "policies/more/dead.cedar:3:1: for policy `never`",
        "policies/more/dead.cedar:4:1: for policy `no-action`",
        "policies/more/dead.cedar:5:1: policy `dead` is there twice, first at policies/more/dead.cedar:1:1",
        "attribute `nme` on entity type `User` not found",
        "policies/more/dead.cedar:6:48: unexpected token `*`",
        "policies/safety.ceder: has no place in a bundle",
        "policies/more/x.cedar.bak: has no place",
        "\n safety.cedar: has no place",
        "policy/a.cedar: has no place",
        "tests/x.tml: has no place",
        "tests/more.toml:1:1: missing field",
    ];
    // A syntax error keeps the other policies from being validated, so impossible policies are tested alone.
    let refused = reload(&daemon);
    for fault in faults.iter().filter(|fault| !fault.contains("for policy `")) {
        assert!(refused.contains(fault.trim_start()), "no `{fault}` in {refused}");
    }
    write(folder.path(), "policies/more/dead.cedar", dead.split("@id(\"dead\") permit").next().unwrap());
    let refused = reload(&daemon);
    for fault in &faults[..3] {
        assert!(refused.contains(fault), "no `{fault}` in {refused}");
    }
    assert!(!refused.contains("README") && !refused.contains(".gitignore"), "{refused}");
    let status = text(&setup.run(["status"]));
    assert!(status.contains("[-]constitution degraded: a reload was refused at 2"), "{status}");
    assert!(status.contains("policy is impossible"), "{status}");
    assert!(daemon.get("/readyz?verbose").text().contains("[-]constitution degraded"));
    assert_eq!(daemon.get("/readyz").status, 200);
    assert!(daemon.stderr().contains("the constitution stays as it was"), "{}", daemon.stderr());
    assert!(permits(&daemon, "ann"));
    let check = setup.run(["check"]);
    assert_eq!(check.status.code(), Some(78));
    assert!(text(&check).contains("policies/safety.ceder: has no place"), "{}", text(&check));
    drop(daemon);
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(78));
    assert!(refused.stderr.contains("policies/safety.ceder"), "{refused}");
    for stray in ["policies/safety.ceder", "policies/more/x.cedar.bak", "safety.cedar", "policy/a.cedar", "tests/x.tml"]
    {
        fs::remove_file(folder.path().join(stray)).unwrap();
    }
    fs::remove_file(folder.path().join("policies/more/dead.cedar")).unwrap();
    fs::remove_file(folder.path().join("tests/more.toml")).unwrap();
    let daemon = setup.start();
    assert_eq!(reload(&daemon), "200");
    assert!(text(&setup.run(["status"])).contains("[+]constitution ok"));
}

#[test]
fn a_schema_that_stored_entities_do_not_fit_is_refused_until_somebody_insists_and_that_is_recorded() {
    let folder = bundle();
    let setup = Setup::new().constitution(folder.path());
    let daemon = setup.start();
    for (user, attrs) in [("ann", json!({"name": "Ann"})), ("bob", json!({"banned": true})), ("cy", json!({}))] {
        assert_eq!(daemon.put(&format!("/v1/entities/User/{user}"), &json!({"attrs": attrs})).status, 201);
    }
    assert_eq!((permits(&daemon, "ann"), permits(&daemon, "bob")), (true, false));
    fs::remove_file(folder.path().join("tests/all.toml")).unwrap();
    let narrow = "@id(\"all\") permit (principal, action, resource);\n";
    for (schema, policies, named) in [
        (SCHEMA.replace("banned?: Bool, ", ""), narrow, &["User::\"bob\""][..]),
        (SCHEMA.replace("banned?: Bool", "banned?: Long"), narrow, &["User::\"bob\""]),
        (SCHEMA.replace("name?", "name"), narrow, &["User::\"bob\"", "User::\"cy\""]),
        (
            SCHEMA.replace("User in", "Person in").replace("[User]", "[Person]"),
            narrow,
            &["\"ann\"", "\"bob\"", "\"cy\""],
        ),
    ] {
        write(folder.path(), "schema.cedarschema", &schema);
        write(folder.path(), "policies/all.cedar", policies);
        let refused = reload(&daemon);
        assert!(refused.starts_with("422 "), "{refused}");
        for name in ["ann", "bob", "cy"].map(|name| format!("\"{name}\"")) {
            let is_named = named.iter().any(|named| named.ends_with(&name));
            assert_eq!(refused.contains(&name), is_named, "{name}: {refused}");
        }
        assert!(!permits(&daemon, "bob"), "what was denied is denied still");
        let check = setup.run(["check"]);
        assert_eq!(check.status.code(), Some(78));
        assert!(text(&check).contains("does not fit"), "{}", text(&check));
    }
    let refused = setup.run(["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("does not fit"), "{}", text(&refused));
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
    assert!(!permits(&daemon, "bob"));
    write(folder.path(), "schema.cedarschema", &SCHEMA.replace("banned?: Bool, ", ""));
    let forced = setup.run(["reload", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced));
    assert!(permits(&daemon, "bob"));
    assert!(daemon.stop().success());
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(78));
    assert!(refused.stderr.contains("User::\"bob\"") && refused.stderr.contains("--force"), "{refused}");
    let daemon = setup.try_start_with(&["--force"]).unwrap();
    assert!(permits(&daemon, "bob"));
    assert!(daemon.stop().success());
    let records = text(&setup.run(["audit", "export"]));
    let forced: Vec<&str> = records.lines().filter(|record| record.contains("\"forced\":true")).collect();
    assert!(forced.len() >= 2, "{records}");
    for record in forced {
        assert!(record.contains("User::\\\"bob\\\"") && record.contains("\"objections\""), "{record}");
    }
}

#[test]
fn a_bundle_that_fails_its_own_cases_is_refused_until_somebody_insists() {
    let folder = bundle();
    let setup = Setup::new().constitution(folder.path());
    let daemon = setup.start();
    assert_eq!(daemon.put("/v1/entities/User/bob", &json!({"attrs": {"banned": true}})).status, 201);
    write(folder.path(), "policies/all.cedar", &POLICIES.replace("&& principal.banned", "&& !principal.banned"));
    let refused = reload(&daemon);
    assert!(refused.contains("case `the banned read nothing` fails: decision is true, not false"), "{refused}");
    assert!(!permits(&daemon, "bob"));
    let check = setup.run(["check", "--offline"]);
    assert_eq!(check.status.code(), Some(78));
    assert!(text(&check).contains("tests/all.toml:1: case `the banned read nothing` fails"), "{}", text(&check));
    let forced = daemon.post("/v1/constitution/reload?force=true", &json!({}));
    assert_eq!(forced.status, 200, "{forced}");
    assert!(permits(&daemon, "bob"));
    drop(daemon);
    assert_eq!(setup.try_start().unwrap_err().status.code(), Some(78));
    write(folder.path(), "policies/all.cedar", POLICIES);
    assert!(!permits(&setup.start(), "bob"));
}

#[test]
fn the_hash_that_was_replaced_is_accepted_for_a_while_and_that_is_recorded() {
    let folder = bundle();
    for (grace, accepted) in [(3_600, true), (0, false)] {
        write(folder.path(), "constitution.toml", MANIFEST);
        let setup = Setup::new()
            .constitution(folder.path())
            .set("constitution.hash_enforcement", "required")
            .set("constitution.grace_s", grace);
        let daemon = setup.start();
        let hash = || daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned();
        let name = "X-Constitutional-Hash";
        let ask = |stated: &str| {
            let answer = daemon.ask(&Request::post(EVALUATION).json(&question("ann")).header(name, stated));
            assert_eq!(answer.header("x-constitutional-hash"), Some(&*hash()));
            answer.json()["context"]["reason"].as_str().unwrap().to_owned()
        };
        let first = hash();
        assert_eq!(ask(&first), "permitted");
        let mut before = first.clone();
        for version in ["2", "3"] {
            write(folder.path(), "constitution.toml", &MANIFEST.replace("\"1\"", &format!("\"{version}\"")));
            let request = Request::post("/v1/constitution/reload").header(name, &before);
            assert_eq!(daemon.ask(&request).status, 200);
            let now = hash();
            assert_ne!(now, before);
            let expected = if accepted { "permitted" } else { "constitution_mismatch" };
            assert_eq!((ask(&now), ask(&before), ask(&first)), ("permitted".into(), expected.into(), expected.into()));
            let put = Request::put("/v1/entities/User/ann").json(&json!({})).header(name, &before);
            assert_eq!(daemon.ask(&put).status < 300, accepted);
            before = if accepted { before } else { now };
        }
        assert_eq!(ask("0000000000000000"), "constitution_mismatch");
        assert!(daemon.stop().success());
        let records = text(&setup.run(["audit", "export"]));
        let graced = records.lines().filter(|record| record.contains(&format!("\"accepted_hash\":\"{first}\"")));
        assert_eq!(graced.count() > 0, accepted);
        let replayed = setup.run(["audit", "replay"]);
        assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    }
}

#[test]
fn where_the_hash_is_demanded_reads_logins_and_health_do_not_ask_for_it() {
    let daemon = Setup::new().set("constitution.hash_enforcement", "required").start();
    for path in ["/v1/constitution", "/v1/entities?type=User", "/v1/pool", "/v1/cache", "/v1/audit", "/v1/users"] {
        assert_eq!(daemon.get(path).status, 200, "{path}");
    }
    let login = daemon.post("/v1/auth/login", &json!({"username": "ann", "password": "wrong"}));
    assert_ne!(login.status, 409, "{login}");
    for request in [
        Request::post("/v1/constitution/reload"),
        Request::put("/v1/entities/User/ann").json(&json!({})),
        Request::delete("/v1/cache"),
    ] {
        assert_eq!(problem(&daemon.ask(&request)), "409 constitution-mismatch");
    }
}

#[test]
fn acgs_reload_reads_settings_too_and_faulty_ones_change_nothing() {
    let (folder, settings) = (bundle(), tempfile::tempdir().unwrap());
    let write_settings = |text: &str| fs::write(settings.path().join("default.toml"), text).unwrap();
    write_settings("");
    let setup = Setup::new().settings(settings.path()).constitution(folder.path());
    let daemon = setup.start();
    let unstated = || daemon.post(EVALUATION, &question("ann")).json()["context"]["reason"].clone();
    assert_eq!(unstated(), "permitted");
    write_settings("[constitution]\nhash_enforcement = \"required\"\n");
    assert_eq!(setup.run(["reload"]).status.code(), Some(0));
    assert_eq!(unstated(), "constitution_hash_required");
    write_settings("[constitution]\nhash_enforcement = \"perhaps\"\n[log]\nlevel = \"loud\"\n");
    let before = daemon.get("/v1/constitution").json();
    write(folder.path(), "constitution.toml", &MANIFEST.replace("\"1\"", "\"2\""));
    let stated = daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned();
    let request = Request::post("/v1/constitution/reload").header("X-Constitutional-Hash", &stated);
    let refused = problem(&daemon.ask(&request));
    assert!(refused.starts_with("422 ") && refused.contains("perhaps") && refused.contains("loud"), "{refused}");
    assert_eq!(daemon.get("/v1/constitution").json(), before);
    assert!(daemon.get("/readyz?verbose").text().contains("[-]constitution degraded"));
}
