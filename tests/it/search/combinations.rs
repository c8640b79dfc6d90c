//! Each parameter alone, and any of them together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::corpus::{Sought, check, copied, find, hard_ids, has, lived, nanos, newest_first};
use crate::audit::Exported;
use crate::harness::{Connection, Tiers};
use crate::replay::world::Chance;

/// How many random combinations are tried; `ACGS_SEARCH_COMBINATIONS` changes it.
fn combinations() -> usize {
    std::env::var("ACGS_SEARCH_COMBINATIONS").map_or(30, |count| count.parse().unwrap())
}

const PARAMETERS: [&str; 10] =
    ["from", "to", "subject", "action", "resource", "decision", "reason", "principle", "kind", "caller"];

/// Every value that a parameter could have, from the records.
fn values(all: &[Value]) -> BTreeMap<&'static str, Vec<String>> {
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for record in all {
        let mut add = |name, value: &Value| match value {
            Value::String(text) => values.entry(name).or_default().push(text.clone()),
            Value::Bool(flag) => values.entry(name).or_default().push(flag.to_string()),
            _ => {}
        };
        add("subject", &record["subject"]["id"]);
        add("subject_type", &record["subject"]["type"]);
        add("resource", &record["resource"]["id"]);
        add("resource_type", &record["resource"]["type"]);
        add("action", &record["action"]["name"]);
        add("action", &record["event"]);
        for name in ["decision", "reason", "kind", "caller"] {
            add(name, &record[name]);
        }
        for member in ["violations", "warnings"] {
            for finding in record[member].as_array().into_iter().flatten() {
                add("principle", &finding["principle"]);
            }
        }
    }
    for (name, values) in &mut values {
        values.sort();
        values.dedup();
        // A kind that does not exist is refused; no record of this log is of the kind `clock`.
        values.push(if *name == "kind" { "clock" } else { "nowhere" }.to_owned());
    }
    values.insert("decision", vec!["true".to_owned(), "false".to_owned()]);
    values
}

/// A time that some records have, or one next to it, in any of its spellings.
fn moment(chance: &mut Chance, all: &[Value]) -> String {
    let ts = all[chance.below(all.len())]["ts"].as_str().unwrap();
    match chance.below(6) {
        0 => ts.to_owned(),
        1 => ts.replace('Z', "001Z"),
        2 => ts.replace('Z', "999Z"),
        3 => ts.replace('Z', "+00:00"),
        4 => format!("{}Z", &ts[..19]),
        _ => {
            // Another zone, the same moment.
            let shifted = time::OffsetDateTime::from_unix_timestamp_nanos(nanos(ts)).unwrap();
            let shifted = shifted.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
            shifted.format(&time::format_description::well_known::Rfc3339).unwrap()
        }
    }
}

fn sought(chance: &mut Chance, all: &[Value], values: &BTreeMap<&'static str, Vec<String>>) -> Sought {
    let mut sought = Sought::new();
    // Few or many of them; nearly always ones that some record has together.
    let percent = [10, 25, 50][chance.below(3)];
    let record = &all[chance.below(all.len())];
    for name in PARAMETERS {
        if !chance.percent(percent) {
            continue;
        }
        if name == "from" || name == "to" {
            sought.push((name, moment(chance, all)));
            continue;
        }
        let mut value = chance.pick(&values[name]);
        if chance.percent(70)
            && let Some(fits) = values[name].iter().find(|value| has(record, &vec![(name, (*value).clone())]))
        {
            value.clone_from(fits);
        }
        sought.push((name, value));
        for (party, kind) in [("subject", "subject_type"), ("resource", "resource_type")] {
            if name == party && chance.percent(40) {
                sought.push((kind, chance.pick(&values[kind])));
            }
        }
    }
    sought
}

/// Looks for the same in the daemon's copy and in the log.
fn compare(connection: &mut Connection, origin: &str, all: &[Value], seed: u64, combinations: usize) -> (usize, usize) {
    let values = values(all);
    let mut chance = Chance::new(seed);
    let (mut nothing, mut total) = (0, 0);
    for _ in 0..combinations {
        let sought = sought(&mut chance, all, &values);
        let limits = [1, 3, 10, 100, 1_000];
        let least = all.iter().filter(|record| has(record, &sought)).count() / 40;
        let found = find(connection, origin, &sought, || chance.pick(&limits).max(least).clamp(1, 1_000));
        check(&found, all, &sought);
        nothing += usize::from(found.is_empty());
        total += found.len();
    }
    (nothing, total)
}

#[test]
fn a_search_finds_what_a_filter_over_the_whole_log_finds_also_after_a_restart_and_from_a_new_copy() {
    let (setup, daemon) = lived();
    let origin = copied(&daemon)["origin"].as_str().unwrap().to_owned();
    let all = newest_first(&setup);
    let mut connection = daemon.connect();
    // Each alone, with all its values.
    let mut alone = 0;
    for (name, values) in values(&all) {
        for value in values {
            let sought = match name {
                "subject_type" => vec![("subject", "ann".to_owned()), (name, value)],
                "resource_type" => vec![("resource", "a".to_owned()), (name, value)],
                name => vec![(name, value)],
            };
            check(&find(&mut connection, &origin, &sought, || 1_000), &all, &sought);
            alone += 1;
        }
    }
    let count = combinations();
    let (nothing, total) = compare(&mut connection, &origin, &all, 1, count);
    println!("{} records, {alone} values alone, {count} combinations: {total} found, {nothing} empty", all.len());
    assert!(nothing < count * 3 / 4 && total > count, "{nothing} {total}");

    assert!(daemon.stop().success());
    let daemon = setup.start();
    copied(&daemon);
    let all = newest_first(&setup);
    compare(&mut daemon.connect(), &origin, &all, 2, count.div_ceil(5));
    assert!(daemon.stop().success());
    setup.lose_audit();
    let daemon = setup.start();
    let status = copied(&daemon);
    assert_eq!(status["database"]["fault"], Value::Null);
    let all = newest_first(&setup);
    compare(&mut daemon.connect(), &origin, &all, 3, count.div_ceil(5));
    daemon.kill();
    let daemon = setup.start();
    copied(&daemon);
    compare(&mut daemon.connect(), &origin, &newest_first(&setup), 4, count.div_ceil(5));
}

#[test]
fn every_id_is_found_by_its_own_name_and_no_other() {
    let (setup, daemon) = lived();
    let origin = copied(&daemon)["origin"].as_str().unwrap().to_owned();
    let all = newest_first(&setup);
    let mut connection = daemon.connect();
    for id in hard_ids() {
        // An entity of that name could not be stored everywhere.
        let stored = usize::from(Tiers::current() == Tiers::Sqlite || !id.contains('\0'));
        for (name, least) in [("subject", 2), ("resource", 2 + stored), ("action", 1)] {
            let sought = vec![(name, id.clone())];
            let found = find(&mut connection, &origin, &sought, || 1_000);
            assert!(found.len() >= least, "{name} {id:?}");
            check(&found, &all, &sought);
        }
        let sought = vec![("subject", id.clone()), ("subject_type", "Team".to_owned())];
        check(&find(&mut connection, &origin, &sought, || 1_000), &all, &sought);
    }
    let exported = Exported::from(&setup, 0);
    for kind in ["start", "stop", "settings", "constitution", "entity", "entities", "decision"] {
        let found = find(&mut connection, &origin, &vec![("kind", kind.to_owned())], || 1_000);
        assert_eq!(found.len(), exported.records.iter().filter(|record| record["kind"] == kind).count());
        assert!(!found.is_empty(), "{kind}");
    }
}
