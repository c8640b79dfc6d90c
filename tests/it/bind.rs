//! What depends on where the daemon listens: who may manage it, and what is done to a socket's path.

use std::fs;

use crate::harness::{Request, Setup, TestDaemon};
use serde_json::json;

/// Management routes, as the route table knows them and as it knows them too.
const MANAGEMENT: [(&str, &str); 6] = [
    ("GET", "/v1/constitution"),
    ("GET", "/%76%31/constitution"),
    ("GET", "/v%31/constitution/policies"),
    ("GET", "/v1/%65ntities?type=User"),
    ("DELETE", "/%761/entities/User/ann"),
    ("POST", "/v1/constitution/%72eload"),
];

fn problem(daemon: &TestDaemon, (method, path): (&str, &str)) -> Option<String> {
    let answer = daemon.ask(&Request::new(method, path));
    (answer.status >= 400).then(|| answer.json()["type"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn decisions_are_not_open_where_strangers_may_come() {
    let everywhere = Setup::new().set("http.bind", "0.0.0.0:0");
    let refused = everywhere.try_start().expect_err("anybody could ask for decisions");
    assert_eq!(refused.status.code(), Some(78), "{refused}");
    assert!(refused.stderr.contains("auth.decisions"), "{refused}");
    let daemon = everywhere.set("auth.decisions", "token").start();
    let question = json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    });
    for path in ["/v1/validate", "/v1/%76alidate", "/access/v1/evaluation", "/%61ccess/v1/evaluation"] {
        assert_eq!(daemon.post(path, &question).status, 401, "{path}");
    }
    for route in MANAGEMENT {
        let answer = daemon.ask(&Request::new(route.0, route.1).anonymous());
        assert_eq!(answer.status, 401, "{route:?}");
    }
}

#[test]
fn changes_want_the_constitutional_hash_however_their_paths_are_written() {
    let daemon = Setup::new().set("constitution.hash_enforcement", "required").start();
    for route in MANAGEMENT {
        // Readers need not know the hash yet.
        let expected = (route.0 != "GET").then_some("/problems/constitution-mismatch");
        assert_eq!(problem(&daemon, route).as_deref(), expected, "{route:?}");
    }
}

#[test]
fn a_socket_in_use_is_not_taken_from_its_daemon() {
    let first = Setup::new().unix();
    let path = first.data_dir().join("acgs.sock");
    let daemon = first.start();
    let second = Setup::new().set("http.bind", format_args!("unix:{}", path.display()));
    let refused = second.try_start().expect_err("two daemons cannot have one socket");
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(refused.stderr.contains(&*path.to_string_lossy()), "{refused}");
    assert_eq!(daemon.get("/livez").status, 200);
}

#[test]
fn a_file_at_the_path_of_the_socket_is_left_alone() {
    let setup = Setup::new().unix();
    let path = setup.data_dir().join("acgs.sock");
    fs::write(&path, "a letter").expect("the folder is there");
    let refused = setup.try_start().expect_err("a file is no socket");
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert_eq!(fs::read_to_string(&path).expect("the file is still there"), "a letter");
}
