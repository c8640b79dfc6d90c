//! Positions and periods of a replay, and its summary.

use std::collections::HashMap;

use serde_json::json;

use super::archive::{Archive, replay};
use crate::audit::Exported;
use crate::harness::Request;

/// An archive with a document of Ann's, read by her and by Bob; with the answers' ids and indices.
fn asked(archive: &Archive) -> Vec<(String, u64)> {
    let daemon = archive.setup.start();
    let owned = json!({"attrs": {"owner": {"type": "User", "id": "ann"}, "score": 1}});
    assert_eq!(daemon.put("/v1/entities/Document/a", &owned).status, 201);
    let ask = |user: &str| {
        let question = json!({"subject": {"type": "User", "id": user}, "action": {"name": "read"},
            "resource": {"type": "Document", "id": "a"}});
        let answer = daemon.ask(&Request::post("/access/v1/evaluation").json(&question)).json();
        (answer["context"]["id"].as_str().unwrap().to_owned(), answer["context"]["audit_index"].as_u64().unwrap())
    };
    let asked = ["ann", "bob", "ann", "bob"].map(ask).to_vec();
    assert!(daemon.stop().success());
    asked
}

/// The output of a replay.
#[track_caller]
fn printed(archive: &Archive, arguments: &[&str]) -> (Option<i32>, String) {
    let output = archive.setup.run([&["audit", "replay"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn differences_are_summed_up_by_verdict_and_by_policy_and_each_says_who_wanted_what() {
    let archive = Archive::new();
    let asked = asked(&archive);
    let changed = archive.changed("changed", "resource.owner == principal };", "resource.owner != principal };");
    let changed = changed.to_str().unwrap();
    let (code, text) = printed(&archive, &["--constitution", changed]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = text.lines().collect();
    for (nth, (id, index)) in asked.iter().enumerate() {
        let (change, who) = if nth % 2 == 0 { ("permit→deny", "ann") } else { ("deny→permit", "bob") };
        let expected = format!("{index} {id}: {change} of User::\"{who}\" read Document::\"a\": recorded ");
        assert!(lines.iter().any(|line| line.starts_with(&expected)), "{expected}: {text}");
    }
    assert!(lines.contains(&"by verdict: deny→permit 2, permit→deny 2"), "{text}");
    assert!(lines.contains(&"by policy: owner 4"), "{text}");
    assert_eq!(lines.last(), Some(&"4 decided again, 4 differ; 0 could not be decided again"));
    assert_eq!(
        printed(&archive, &[]),
        (Some(0), "4 decided again, 0 differ; 0 could not be decided again\n".to_owned())
    );
}

#[test]
fn a_replay_goes_from_and_to_indices_ids_and_times() {
    let archive = Archive::new();
    let asked = asked(&archive);
    let records = Exported::from(&archive.setup, 0).records;
    let time = |nth: usize| records[usize::try_from(asked[nth].1).unwrap()]["ts"].as_str().unwrap().to_owned();
    let index = |nth: usize| asked[nth].1.to_string();
    let id = |nth: usize| asked[nth].0.clone();
    for place in [&index as &dyn Fn(usize) -> String, &id, &time] {
        for (from, to, decided) in [(0, 3, 3), (1, 3, 2), (2, 2, 0)] {
            let (from, to) = (place(from), place(to));
            let found = replay(&archive.setup, &["--from", &from, "--to", &to]);
            assert_eq!((found.decided, found.undecided), (decided, HashMap::new()), "{from} to {to}");
        }
        assert_eq!(replay(&archive.setup, &["--from", &place(1)]).decided, 3);
        assert_eq!(replay(&archive.setup, &["--to", &place(1)]).decided, 1);
    }
    for one in [index(2), id(2)] {
        assert_eq!(replay(&archive.setup, &[&one]).decided, 1, "{one}");
    }
    let start = archive.setup.run(["audit", "replay", "0"]);
    assert_eq!((start.status.code(), &*start.stderr), (Some(1), &b"record `0` is no decision\n"[..]));
    assert_eq!(replay(&archive.setup, &["--from", "2000-01-01", "--to", "2000-01-02"]).decided, 0);
    assert_eq!(replay(&archive.setup, &["--from", "2000-01-01"]).decided, 4);
    // Unknown ids are reported, and malformed positions are refused.
    for unknown in ["0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "100000"] {
        assert_eq!(printed(&archive, &[unknown]).0, Some(1), "{unknown}");
    }
    for wrong in [&["--from", "yesterday"][..], &["--to", "-1"], &["x"], &["1", "--from", "0"]] {
        assert_eq!(printed(&archive, wrong).0, Some(2), "{wrong:?}");
    }
}
