//! What was changed since: a policy, a kept constitution, or the part of the log that is looked at.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::archive::{Archive, Replayed, Writers, decisions, edit, index, replay, why_undecided};
use super::world::{Callers, Chance, large_ones};
use crate::audit::{Clients, Exported};
use crate::harness::Request;

/// Answers that clients get.
const ANSWERS: usize = 500;

/// A log of decisions under one constitution.
pub fn lived() -> (Archive, Exported) {
    let archive = Archive::new();
    let daemon = archive.setup.start();
    let callers = Callers { claim: 5, hashes: archive.hashes() };
    let (writers, turns) = Writers::start(&daemon, 1, 99);
    (0..40).for_each(|_| turns.send(()).unwrap());
    let clients = Clients::start(&daemon, 2, move |number| {
        let _ = turns.send(());
        Chance::ask(number, &callers)
    });
    clients.wait_for(ANSWERS, 200);
    clients.end();
    assert_eq!(daemon.ask(large_ones().last().unwrap()).status, 200);
    writers.end();
    assert!(daemon.stop().success());
    let exported = Exported::from(&archive.setup, 0);
    (archive, exported)
}

fn under(archive: &Archive, bundle: &Path) -> Replayed {
    replay(&archive.setup, &["--constitution", bundle.to_str().unwrap()])
}

/// The indices of decisions of which that holds.
fn those(exported: &Exported, holds: impl Fn(&Value) -> bool) -> HashSet<u64> {
    decisions(exported).filter(|record| why_undecided(record).is_none() && holds(record)).map(index).collect()
}

fn indices<T>(found: &HashMap<u64, T>) -> HashSet<u64> {
    found.keys().copied().collect()
}

/// Whether a policy is among those that made the decision, or that its findings name.
fn names(record: &Value, policy: &str) -> bool {
    let in_list = |list: &Value| list.as_array().is_some_and(|list| list.contains(&policy.into()));
    let in_findings = |list: &Value| list.as_array().unwrap().iter().any(|finding| in_list(&finding["policies"]));
    in_list(&record["policies"]) || in_findings(&record["violations"]) || in_findings(&record["warnings"])
}

#[test]
fn a_changed_policy_changes_those_decisions_that_it_made_and_no_others() {
    let (archive, exported) = lived();
    let same = under(&archive, &archive.changed("same", "thaw the team", "thaw the team"));
    assert_eq!((same.code, same.different.len()), (Some(0), 0));
    let unchanged = indices(&same.undecided);
    for (policy, from, to) in [
        ("manager-of-owner", "@id(\"manager-of-owner\")", "@id(\"renamed\")"),
        ("owner", "resource.owner == principal };", "resource.owner == principal && false };"),
        ("dear", "ask for a higher limit", "ask again tomorrow"),
        ("much", "context.n > 5", "context.n > 100"),
        ("score", "resource.score + 9223372036854775800 < 0", "resource.score < 0"),
    ] {
        let replayed = under(&archive, &archive.changed(policy, from, to));
        let concerned = those(&exported, |record| names(record, policy));
        assert!(!concerned.is_empty(), "no decision by `{policy}`");
        assert_eq!(indices(&replayed.different), concerned, "{policy}: {:?}", replayed.different);
        assert_eq!(indices(&replayed.undecided), unchanged, "{policy}");
        assert_eq!(replayed.code, Some(1));
        println!("{policy}: {} of {} differ", concerned.len(), replayed.decided);
    }
    // The constitution of then is not this one, so that nothing else tells that it was changed.
    assert_eq!(replay(&archive.setup, &[]).different, HashMap::new());
}

#[test]
fn a_policy_that_reads_what_was_not_read_then_is_not_guessed_at() {
    let (archive, exported) = lived();
    let deeper = archive.changed(
        "deeper",
        "resource.owner.manager == principal",
        "resource.owner.manager has team && resource.owner.manager.team has frozen",
    );
    let replayed = under(&archive, &deeper);
    let needs = |why: &&String| why.starts_with("it needs `") && why.ends_with("`, which was not read then");
    let unknown = replayed.undecided.values().filter(needs).count();
    assert!(unknown > 0, "{:?}", replayed.undecided);
    assert_eq!(replayed.undecided.len() - unknown, decisions(&exported).filter_map(why_undecided).count());
    assert_eq!(replayed.decided + replayed.undecided.len(), exported.decisions());
}

#[test]
fn a_part_of_the_log_is_replayed_with_all_that_it_needs_from_before() {
    let (archive, exported) = lived();
    let changed = archive.changed("part", "resource.owner == principal };", "resource.owner != principal };");
    let whole = under(&archive, &changed);
    assert!(!whole.different.is_empty());
    let size = exported.records.len() as u64;
    for (from, to) in [(0, size), (size / 2, size), (size / 3, size / 2), (size - 1, size), (7, 7), (size, size + 9)] {
        let (from_text, to_text) = (from.to_string(), to.to_string());
        let bundle = changed.to_str().unwrap();
        let part = replay(&archive.setup, &["--from", &from_text, "--to", &to_text, "--constitution", bundle]);
        let within = |found: &HashMap<u64, String>| -> HashMap<u64, String> {
            found.iter().filter(|(index, _)| (from..to).contains(*index)).map(|(i, text)| (*i, text.clone())).collect()
        };
        assert_eq!(part.different, within(&whole.different), "{from}..{to}");
        assert_eq!(part.undecided, within(&whole.undecided), "{from}..{to}");
        let there = decisions(&exported).filter(|record| (from..to).contains(&index(record))).count();
        assert_eq!(part.decided + part.undecided.len(), there, "{from}..{to}");
        let then = replay(&archive.setup, &["--from", &from_text, "--to", &to_text]);
        assert_eq!((then.code, then.different.len()), (Some(0), 0), "{from}..{to}");
    }
}

#[test]
fn what_was_decided_under_a_constitution_that_is_not_there_any_more_is_not_decided_again() {
    let (archive, exported) = lived();
    let digest = exported.records[2]["digest"].as_str().unwrap();
    let kept = archive.setup.data_dir().join("constitutions").join(digest);
    // A claim is checked against the record alone, and an unreadable item is denied under every constitution.
    let claim = |record: &Value| {
        let reason = record["reason"].as_str().unwrap();
        reason.starts_with("constitution_") || reason == "invalid_request"
    };
    let needing = those(&exported, |record| !claim(record));
    let check = |expected: &str| {
        let replayed = replay(&archive.setup, &[]);
        let told = replayed.undecided.iter().filter(|(_, why)| *why == expected).map(|(index, _)| *index);
        assert_eq!(told.collect::<HashSet<_>>(), needing);
        assert_eq!((replayed.different, replayed.decided), (HashMap::new(), those(&exported, claim).len()));
        assert_eq!(
            under(&archive, &archive.place("second")).undecided.len(),
            replayed.undecided.len(),
            "nor under another one, which may need more"
        );
    };
    let whole = fs::read_to_string(kept.join("policies/archive.cedar")).unwrap();
    edit(&kept, "thaw the team", "ask the team");
    check(&format!("the kept copy of constitution `{digest}` was changed"));
    fs::remove_dir_all(&kept).unwrap();
    check(&format!("constitution `{digest}` was not kept"));
    // The daemon keeps it once more when it comes into force again.
    assert!(archive.setup.start().stop().success());
    assert_eq!(fs::read_to_string(kept.join("policies/archive.cedar")).unwrap(), whole);
    assert_eq!(replay(&archive.setup, &[]).different, HashMap::new());
    assert_eq!(indices(&replay(&archive.setup, &[]).undecided), indices(&undecided(&exported)));
}

fn undecided(exported: &Exported) -> HashMap<u64, &'static str> {
    decisions(exported).filter_map(|record| Some((index(record), why_undecided(record)?))).collect()
}

#[test]
fn a_decision_that_read_many_large_entities_is_decided_again() {
    let archive = Archive::new();
    let daemon = archive.setup.start();
    let folder = |nth: u32| json!({"type": "Folder", "id": format!("large-{nth}")});
    for nth in 0..30 {
        let entity = json!({"attrs": {"note": "x".repeat(230_000)}});
        assert_eq!(daemon.put(&format!("/v1/entities/Folder/large-{nth}"), &entity).status, 201);
    }
    let parents: Vec<Value> = (0..30).map(folder).collect();
    assert_eq!(daemon.put("/v1/entities/Document/a", &json!({"parents": parents})).status, 201);
    for resource in ["b", "a", "a"] {
        let question = json!({"subject": {"type": "User", "id": "ann"}, "action": {"name": "read"},
            "resource": {"type": "Document", "id": resource}});
        let answer = daemon.ask(&Request::post("/access/v1/evaluation").json(&question));
        assert_eq!(answer.status, 200, "{answer}");
    }
    assert!(daemon.stop().success());
    let replayed = replay(&archive.setup, &[]);
    assert_eq!((replayed.decided, replayed.code), (3, Some(0)), "{:?}", replayed.undecided);
}

#[test]
fn a_decision_that_would_read_more_than_can_be_recorded_is_denied_and_says_so() {
    let archive = Archive::new();
    let daemon = archive.setup.start();
    // Sixty folders of 230 KB each exceed the 8 MiB that can be recorded for one request.
    let folder = |nth: u32| json!({"type": "Folder", "id": format!("large-{nth}")});
    for nth in 0..60 {
        let entity = json!({"attrs": {"note": "x".repeat(230_000)}});
        assert_eq!(daemon.put(&format!("/v1/entities/Folder/large-{nth}"), &entity).status, 201);
    }
    let parents: Vec<Value> = (0..60).map(folder).collect();
    assert_eq!(daemon.put("/v1/entities/Document/a", &json!({"parents": parents})).status, 201);
    let ask = |resource: &str| {
        let question = json!({"subject": {"type": "User", "id": "ann"}, "action": {"name": "read"},
            "resource": {"type": "Document", "id": resource}});
        let answer = daemon.ask(&Request::post("/access/v1/evaluation").json(&question));
        assert_eq!(answer.status, 200, "{answer}");
        let context = answer.json()["context"].clone();
        assert_eq!(context["reason"] == "unavailable", resource == "a", "{answer}");
        context["audit_index"].as_u64().unwrap()
    };
    let (small, large, again) = (ask("b"), ask("a"), ask("a"));
    assert!(daemon.stop().success());
    let replayed = replay(&archive.setup, &[]);
    assert_eq!((replayed.decided, replayed.different.len()), (1, 0), "{small}");
    let why = "it was denied since something was not available".to_owned();
    assert_eq!(replayed.undecided, HashMap::from([(large, why.clone()), (again, why)]));
}
