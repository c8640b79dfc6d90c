//! What each command prints.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{copy, decide, names, outcome};
use crate::harness::{Request, Setup, Tiers, repository};

#[test]
fn settings_are_printed_with_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
    write("default.toml", "[http]\nmax_in_flight = 5\nmax_evaluations = 7\nmax_body_bytes = 2048\n");
    write("site.toml", "[http]\nmax_in_flight = 6\nmax_evaluations = 8\n");
    write("local.toml", "\n[http]\nmax_in_flight = 9\n");
    let setup = Setup::new().settings(folder.path()).env("ACGS_PROFILE", "site");
    let output = setup.run(["settings", "--origins"]);
    let (code, printed, faults) = outcome(&output);
    assert_eq!((code, faults), (Some(0), ""));
    for expected in [
        "http.max_in_flight = 9 # local.toml:3",
        "http.max_evaluations = 8 # site.toml:3",
        "http.max_body_bytes = 2048 # default.toml:4",
        "http.workers = 2 # ACGS_HTTP__WORKERS",
        "http.shutdown_timeout_s = 30 # default",
    ] {
        assert!(printed.lines().any(|line| line.starts_with(expected)), "no `{expected}` in:\n{printed}");
    }
    // What is printed without origins is a settings file that says the same.
    let output = setup.run(["settings"]);
    let plain = outcome(&output).1.to_owned();
    let again = tempfile::tempdir().unwrap();
    fs::write(again.path().join("default.toml"), &plain).unwrap();
    let printed_again = Setup::new().settings(again.path()).run(["settings"]);
    assert_eq!(outcome(&printed_again).0, Some(0));
    let without_place = |text: &str| {
        let elsewhere =
            |line: &&str| !["data_dir", "bind", "url", "path", "issuers"].iter().any(|key| line.starts_with(key));
        text.lines().filter(elsewhere).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_place(outcome(&printed_again).1), without_place(&plain));
    names(&plain, &["[http]", "max_in_flight = 9", "max_evaluations = 8"]);
}

/// The digest as the two standard commands print it.
fn digest(bundle: &Path) -> String {
    let commands =
        "sha256sum constitution.toml schema.cedarschema $(find policies -name '*.cedar' | LC_ALL=C sort) | sha256sum";
    let output = Command::new("sh").args(["-c", commands]).current_dir(bundle).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn the_digest_is_what_two_standard_commands_print() {
    let shipped = repository().join("settings/constitution");
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("nested");
    copy(&repository().join("tests/it/authzen/constitution"), &nested);
    for (file, id) in
        [("policies/a/b.cedar", "x"), ("policies/a.cedar", "y"), ("policies/a-b.cedar", "z"), ("policies/B.cedar", "w")]
    {
        fs::create_dir_all(nested.join("policies/a")).unwrap();
        fs::write(nested.join(file), format!("@id(\"{id}\")\npermit (principal, action, resource is todo);\n"))
            .unwrap();
    }
    // No part of the bundle.
    fs::write(nested.join("policies/notes.txt"), "notes").unwrap();
    let setup = Setup::new();
    for (bundle, hash) in [(&shipped, "cdd01ef066bc6cf2".to_owned()), (&nested, digest(&nested)[..16].to_owned())] {
        let expected = format!("hash   {hash}\ndigest {}\n", digest(bundle));
        let output = setup.run(["constitution".as_ref(), "hash".as_ref(), bundle.as_os_str()]);
        assert_eq!(outcome(&output), (Some(0), &*expected, ""));
    }
    let before = digest(&nested);
    fs::write(nested.join("policies/a.cedar"), "@id(\"y\")\npermit (principal, action, resource is todo );\n").unwrap();
    let output = setup.run(["constitution".as_ref(), "hash".as_ref(), nested.as_os_str()]);
    assert_ne!(digest(&nested), before);
    names(outcome(&output).1, &[&digest(&nested)]);
}

#[test]
fn the_shipped_constitution_passes_its_cases_and_they_cover_every_policy() {
    let setup = Setup::new();
    let output = setup.run(["constitution", "test"]);
    let (code, printed, faults) = outcome(&output);
    assert_eq!((code, faults), (Some(0), ""));
    let numbers: Vec<usize> =
        printed.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [passed, failed, covered, policies] = numbers[..] else { panic!("{printed}") };
    assert_eq!((failed, covered), (0, policies), "{printed}");
    assert!(passed >= 40 && policies >= 25, "{printed}");
    let output = setup.run(["constitution", "lint"]);
    let (code, printed, warnings) = outcome(&output);
    assert_eq!((code, warnings), (Some(0), ""));
    assert!(printed.starts_with("ok: ") && printed.contains(&format!("{policies} policies")), "{printed}");
}

#[test]
fn a_case_that_fails_is_named_and_what_no_case_reaches_too() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    copy(&repository().join("settings/constitution"), &bundle);
    let policies = bundle.join("policies/permits/tools.cedar");
    let text = fs::read_to_string(&policies).unwrap();
    let unreached =
        "@id(\"nobody-gets-here\")\npermit (principal, action == Action::\"call_tool\", resource == Tool::\"none\");\n";
    let changed = text + unreached;
    fs::write(&policies, changed).unwrap();
    // One case is turned around, so that it cannot pass.
    let cases = bundle.join("tests/tools.toml");
    let text = fs::read_to_string(&cases).unwrap();
    fs::write(&cases, text.replacen("decision = true", "decision = false", 1)).unwrap();
    let output = Setup::new().run(["constitution".as_ref(), "test".as_ref(), bundle.as_os_str()]);
    let (code, printed, failures) = outcome(&output);
    assert_eq!(code, Some(1), "{printed}{failures}");
    names(failures, &["tests/tools.toml:"]);
    names(printed, &["not covered: nobody-gets-here"]);
    assert!(!printed.contains(", 0 failed"), "{printed}");
    let output = Setup::new().run(["constitution", "test", "/nowhere"]);
    assert_eq!(outcome(&output).0, Some(78));
}

#[test]
fn the_audit_log_is_verified_and_exported_while_the_daemon_runs_and_after() {
    let setup = Setup::new();
    let daemon = setup.start();
    decide(&daemon, 5);
    let indices = |arguments: &[&str]| -> Vec<u64> {
        let output = setup.run([&["audit", "export"], arguments].concat());
        let (code, printed, faults) = outcome(&output);
        assert_eq!((code, faults), (Some(0), ""));
        let records = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.map(|record| record["index"].as_u64().unwrap()).collect()
    };
    let all = indices(&[]);
    assert!(all.len() >= 5 && all.iter().copied().eq(0..all.len() as u64), "{all:?}");
    let check = |count: usize| {
        let output = setup.run(["audit", "verify"]);
        let (code, printed, faults) = outcome(&output);
        assert_eq!((code, faults), (Some(0), ""));
        assert!(printed.starts_with(&format!("ok: {count} records in ")), "{printed}");
    };
    check(all.len());
    assert_eq!(indices(&["--from", "2", "--to", "4"]), [2, 3]);
    assert_eq!(indices(&["--from", "4"]), all[4..]);
    assert!(indices(&["--from", "99"]).is_empty());
    assert_eq!(indices(&["--data", setup.data_dir().to_str().unwrap()]), all);
    assert!(daemon.stop().success());
    let stopped = indices(&[]);
    assert_eq!(stopped[..all.len()], all);
    check(stopped.len());
}

#[test]
fn migrations_run_once_and_the_daemon_needs_no_other_command() {
    let setup = Setup::new();
    let output = setup.run(["migrate"]);
    let (code, printed, faults) = outcome(&output);
    assert_eq!((code, faults), (Some(0), ""));
    assert_ne!(printed, "0 migrations run\n");
    assert_eq!(outcome(&setup.run(["migrate"])), (Some(0), "0 migrations run\n", ""));
    decide(&setup.start(), 1);
}

#[test]
fn a_reload_names_what_needs_a_restart_and_a_refused_one_what_stays() {
    let folder = tempfile::tempdir().unwrap();
    let constitution = folder.path().join("constitution");
    copy(&repository().join("settings/constitution"), &constitution);
    let write = |limit: u32| {
        fs::write(folder.path().join("default.toml"), format!("[http]\nmax_in_flight = {limit}\n")).unwrap();
    };
    write(500);
    let setup = Setup::new().settings(folder.path());
    let none = outcome(&setup.run(["reload"])).2.to_owned();
    names(&none, &["no daemon runs on the data folder", "--settings"]);
    let daemon = setup.start();
    write(600);
    let reloaded = setup.run(["reload"]);
    let (code, printed, _) = outcome(&reloaded);
    assert_eq!(code, Some(0));
    names(printed, &["in force: ", "`http.max_in_flight` was changed, but takes effect only after a restart"]);
    fs::remove_file(constitution.join("constitution.toml")).unwrap();
    let refused = setup.run(["reload"]);
    let (code, _, faults) = outcome(&refused);
    assert_eq!(code, Some(1));
    names(faults, &["the reload is refused, `cdd01ef066bc6cf2` stays in force: the constitution has faults: "]);
    decide(&daemon, 1);
}

#[test]
fn lists_have_headers_and_missing_and_taken_names_are_explained() {
    let setup = Setup::new();
    let daemon = setup.start();
    assert_eq!(setup.run(["client", "add", "gateway", "--role", "agent"]).status.code(), Some(0));
    let listed = setup.run(["client", "list"]);
    let (_, printed, _) = outcome(&listed);
    assert!(printed.starts_with("client_id\tname\troles\tdisabled\n"), "{printed}");
    assert!(printed.ends_with("\tgateway\tagent\t-\n"), "{printed}");
    for (arguments, told) in [
        (
            &["client", "add", "gateway", "--role", "agent"][..],
            "a client called `gateway` exists already: choose another",
        ),
        (&["api-key", "revoke", "nosuch"], "there is no API key with id `nosuch`"),
        (&["api-key", "add", "x", "--scope", "deicde"], "did you mean `decide`?"),
        (&["client", "add", "x", "--role", "agnet"], "did you mean `agent`?"),
    ] {
        let refused = setup.run(arguments);
        let (code, _, faults) = outcome(&refused);
        assert_eq!(code, Some(1), "{arguments:?}");
        names(faults, &[told]);
    }
    decide(&daemon, 1);
}

#[test]
fn a_list_has_all_items_however_many_pages_the_daemon_has_of_them() {
    const MORE_THAN_A_PAGE: usize = 1_001;
    let setup = Setup::new();
    let daemon = setup.start();
    let mut connection = daemon.connect();
    for number in 0..MORE_THAN_A_PAGE {
        let key = Request::post("/v1/api-keys").json(&json!({"name": format!("{number}"), "scopes": ["read"]}));
        assert_eq!(connection.ask(&key).status, 201);
    }
    let listed = setup.run(["api-key", "list"]);
    let (code, printed, _) = outcome(&listed);
    assert_eq!((code, printed.lines().count()), (Some(0), 1 + MORE_THAN_A_PAGE));
    let listed = setup.run(["api-key", "list", "--json"]);
    let printed: Value = serde_json::from_str(outcome(&listed).1).unwrap();
    assert_eq!(printed["items"].as_array().unwrap().len(), MORE_THAN_A_PAGE);
    assert_eq!(printed["next_cursor"], Value::Null);
}

#[test]
fn the_file_of_a_running_daemon_is_not_migrated() {
    if Tiers::have_no_files() {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.start();
    let database = setup.data_dir().join("acgs.db");
    let refused = setup.run(["migrate"]);
    let (code, printed, faults) = outcome(&refused);
    // The kernel's list of locks may lack this one while others change.
    let faults = faults.replace(&format!(" (process {})", daemon.pid()), "");
    let remedy = "another acgs uses it: stop it, or change `database.url`";
    let taken = format!("the database `{}` is unavailable: {remedy}\n", database.display());
    assert_eq!((code, printed, faults), (Some(74), "", taken));
    decide(&daemon, 1);
}
