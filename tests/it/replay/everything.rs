//! Clients that ask anything, while entities and constitutions change and the daemon comes and goes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use serde_json::Value;

use super::archive::{Archive, Writers, decisions, index, reload_by_route, reload_by_signal, replay, why_undecided};
use super::world::{Callers, Chance};
use crate::audit::{Answered, Clients, Exported, Story, verify};

const CLIENTS: u64 = 4;
const WRITERS: u64 = 2;
/// Reloads in a phase.
const RELOADS: usize = 4;
/// So many decisions an answer has at least, most of the time.
const DECISIONS: usize = 2;
/// After so many questions an entity is changed: a batch that reads most of them is decided only between two changes.
const QUESTIONS: u64 = 4;

/// A part of the daemon's life.
struct Phase {
    settings: &'static [(&'static str, &'static str)],
    /// How many callers in a hundred name a constitution.
    claim: u32,
    killed: bool,
}

const PHASES: [Phase; 5] = [
    Phase { settings: &[], claim: 10, killed: false },
    Phase { settings: &[("cache.l1.capacity", "0"), ("cache.l3.capacity", "0")], claim: 10, killed: true },
    Phase {
        settings: &[("constitution.request_properties", "ignore"), ("constitution.hash_enforcement", "required")],
        claim: 80,
        killed: true,
    },
    Phase {
        settings: &[
            ("constitution.request_properties", "ignore"),
            ("cache.l1.capacity", "3"),
            ("cache.l3.capacity", "3"),
        ],
        claim: 10,
        killed: false,
    },
    Phase {
        // Nobody waits for the disk, so that a slow one lets many records gather.
        settings: &[
            ("constitution.hash_enforcement", "required"),
            ("audit.durability", "async"),
            ("audit.max_queue", "1000000"),
        ],
        claim: 80,
        killed: true,
    },
];

fn wanted() -> usize {
    std::env::var("ACGS_REPLAY_DECISIONS").map_or(4_000, |count| count.parse().unwrap())
}

#[test]
fn every_decision_comes_out_the_same_again_whatever_happened_meanwhile() {
    let archive = Archive::new();
    let (mut answered, mut written) = (Vec::new(), 0);
    let since = Instant::now();
    archive.start_with_large_ones().kill();
    for round in 0.. {
        for (number, phase) in (0..).zip(&PHASES) {
            let (new, changes) = live(&archive, phase, round * 10 + number);
            answered.extend(new);
            written += changes;
        }
        if answered.len() >= wanted() {
            break;
        }
    }
    let lived = since.elapsed();
    assert!(archive.setup.start().stop().success());
    verify(&archive.setup);
    let exported = Exported::from(&archive.setup, 0);
    exported.holds(0, answered.iter().filter(|one| one.index.is_some()));
    check_variety(&exported);
    check_order(&exported);

    let since = Instant::now();
    let replayed = replay(&archive.setup, &[]);
    let took = since.elapsed();
    assert_eq!(replayed.different, HashMap::new());
    let expected: HashMap<u64, String> =
        decisions(&exported).filter_map(|record| Some((index(record), why_undecided(record)?.to_owned()))).collect();
    assert_eq!(replayed.undecided, expected);
    assert_eq!(replayed.decided + expected.len(), exported.decisions());
    println!(
        "{} decisions, {} answered, {written} changes of entities, {} records in {lived:?}; {} decided again in {took:?}, {} not",
        exported.decisions(),
        answered.len(),
        exported.records.len(),
        replayed.decided,
        expected.len()
    );
}

/// Lives through one phase; returns what was answered, and how many changes of entities.
fn live(archive: &Archive, phase: &Phase, seed: u64) -> (Vec<Answered>, usize) {
    let setup = phase.settings.iter().fold(archive.setup.clone(), |setup, (key, value)| setup.set(key, value));
    let daemon = setup.start();
    let callers = Callers { claim: phase.claim, hashes: archive.hashes() };
    let (writers, turns) = Writers::start(&daemon, WRITERS, seed);
    let clients = Clients::start(&daemon, CLIENTS, move |number| {
        if number.is_multiple_of(QUESTIONS) {
            // The writers may have lost the daemon.
            let _ = turns.send(());
        }
        Chance::ask(seed << 40 | number, &callers)
    });
    let share = wanted().div_ceil(PHASES.len() * RELOADS / 2 * DECISIONS);
    for nth in 0..RELOADS {
        // The first constitution, which most callers name, is in force for longer.
        clients.wait_for(if nth % 2 == 0 { share * 4 / 5 } else { share / 5 }, 200);
        archive.put_in_force(if nth % 2 == 0 { "second" } else { "first" });
        if nth < RELOADS / 2 { reload_by_route(&daemon) } else { reload_by_signal(&daemon) }
    }
    let few_unsettled = |stories: &[Story]| {
        let unsettled: usize = stories.iter().map(|story| story.unsettled).sum();
        let answered: usize = stories.iter().map(|story| story.answered.len()).sum();
        assert!(unsettled * 50 <= answered, "{unsettled} unsettled, {answered} answered");
    };
    if phase.killed {
        daemon.kill();
        let stories = clients.end();
        few_unsettled(&stories);
        assert!(stories.iter().any(|story| story.cut), "the kill came when nobody asked");
        let refused: Vec<_> = stories.iter().flat_map(|story| &story.refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
        return (stories.into_iter().flat_map(|story| story.answered).collect(), writers.end());
    }
    let (stories, written) = (clients.end(), writers.end());
    few_unsettled(&stories);
    assert!(stories.iter().all(|story| !story.cut && story.refused.is_empty()), "{stories:?}");
    assert!(daemon.stop().success());
    (stories.into_iter().flat_map(|story| story.answered).collect(), written)
}

/// The log has a bit of everything; else the test would show less than it says.
fn check_variety(exported: &Exported) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for record in decisions(exported) {
        let mut see = |what: String| *seen.entry(what).or_default() += 1;
        see(format!("reason {}", record["reason"]));
        for member in ["cached", "hash", "request_properties", "hash_enforcement"] {
            see(format!("{member} {}", record[member]));
        }
        for member in ["claimed_in_header", "claimed_in_context", "entities"] {
            see(format!("{member} {}", !record[member].is_null()));
        }
        if record["context"]["note"].as_str().is_some_and(|note| note.len() > 65_535) {
            see("in parts".to_owned());
        }
        for finding in record["warnings"].as_array().into_iter().flatten() {
            see(format!("warned by {}", finding["policies"]));
        }
        for policy in record["policies"].as_array().into_iter().flatten() {
            see(format!("policy {policy}"));
        }
    }
    for record in &exported.records {
        if record["kind"] == "entities" && record["parts"] != 1 {
            *seen.entry("sets in parts".to_owned()).or_default() += 1;
        }
    }
    println!("{seen:#?}");
    let reasons = seen.keys().filter(|what| what.starts_with("reason ")).count();
    assert_eq!(reasons, 11, "reasons");
    for (what, count) in [("cached ", 2), ("hash ", 2), ("request_properties ", 2), ("hash_enforcement ", 2)] {
        assert_eq!(seen.keys().filter(|seen| seen.starts_with(what)).count(), count, "{what}");
    }
    for what in [
        "claimed_in_header true",
        "claimed_in_context true",
        "in parts",
        "entities true",
        "sets in parts",
        "cached true",
    ] {
        assert!(seen.contains_key(what), "{what}");
    }
    assert!(seen.keys().filter(|what| what.starts_with("warned by ")).count() >= 2);
    assert!(seen.keys().filter(|what| what.starts_with("policy ")).count() >= 9);
}

/// A constitution's coming into force is recorded before what is decided under it, and an entity before what is decided
/// by it.
fn check_order(exported: &Exported) {
    let mut in_force = HashSet::new();
    let mut written: HashMap<String, HashSet<String>> = HashMap::new();
    let (mut text, mut sets) = (String::new(), HashSet::new());
    for record in &exported.records {
        match record["kind"].as_str().unwrap() {
            "constitution" if record["event"] != "refused" => drop(in_force.insert(&record["digest"])),
            "entity" if record["event"] == "written" => {
                let states = written.entry(record["resource"].to_string()).or_default();
                states.insert(record["entity"].to_string());
            }
            "entities" => {
                text.push_str(record["text"].as_str().unwrap());
                if record["part"].as_u64().unwrap() + 1 < record["parts"].as_u64().unwrap() {
                    continue;
                }
                for line in text.lines() {
                    let entity: Value = serde_json::from_str(line).unwrap();
                    let states = written.get(&entity["uid"].to_string());
                    let states = states.unwrap_or_else(|| panic!("read and never written: {line}"));
                    assert!(states.contains(&entity.to_string()), "read before written: {line}");
                }
                text.clear();
                sets.insert(&record["digest"]);
            }
            "decision" => {
                assert!(in_force.contains(&record["digest"]), "{record}");
                assert!(record["entities"].is_null() || sets.contains(&record["entities"]), "{record}");
            }
            _ => {}
        }
    }
}
