//! Denials over time, compared with a count of the entries themselves.

use super::super::denials::{DenialCounts, DenialSeries};
use super::super::{DenialKey, DenialQuery};
use super::*;

const SECOND: i64 = 1_000_000;
/// When the first entry was made.
const BEGIN: i64 = 1_700_000_000 * SECOND;

/// Every third entry is a deny: every ninth for two principles.
fn mixed(n: u64) -> AuditEntry {
    let permit = entry(n);
    if !n.is_multiple_of(3) {
        return permit;
    }
    let principles: &[&str] = if n.is_multiple_of(9) { &["care", "privacy", "care"] } else { &["privacy"] };
    AuditEntry {
        subject: Some(EntityUid::new("acgs::Agent", format_smolstr!("agent-{}", n % 4))),
        decision: Some(false),
        reason: Some(if n.is_multiple_of(6) { "forbidden" } else { "no_permit" }.into()),
        principles: if n % 6 == 3 { Vec::new() } else { principles.iter().copied().map(SmolStr::from).collect() },
        ..permit
    }
}

/// The names under which an entry counts.
fn names(key: DenialKey, entry: &AuditEntry) -> Vec<String> {
    match key {
        DenialKey::Principle => {
            let mut principles: Vec<_> = entry.principles.iter().map(ToString::to_string).collect();
            principles.sort();
            principles.dedup();
            principles
        }
        DenialKey::Subject => entry.subject.iter().map(|uid| format!("{}::\"{}\"", uid.kind, uid.id)).collect(),
        DenialKey::Reason => entry.reason.iter().map(ToString::to_string).collect(),
    }
}

/// What should be counted.
fn expected(query: &DenialQuery, entries: &[AuditEntry]) -> DenialCounts {
    let mut series: Vec<DenialSeries> = Vec::new();
    let denials =
        entries.iter().filter(|entry| entry.decision == Some(false) && (query.from..query.to).contains(&entry.at));
    for entry in denials {
        let interval = usize::try_from((entry.at - query.from) / query.interval).unwrap();
        for name in names(query.key, entry) {
            let at = series.iter().position(|series| series.name == name).unwrap_or_else(|| {
                series.push(DenialSeries { name, total: 0, counts: Vec::new() });
                series.len() - 1
            });
            let found = &mut series[at];
            found.total += 1;
            match found.counts.iter_mut().find(|(number, _)| *number == interval) {
                Some((_, count)) => *count += 1,
                None => found.counts.push((interval, 1)),
            }
        }
    }
    for series in &mut series {
        series.counts.sort_unstable();
    }
    series.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.name.cmp(&b.name)));
    let others = series.drain(query.top.min(series.len())..).map(|series| series.total).sum();
    DenialCounts { series, others, is_complete: true, counted_since: query.from }
}

#[test]
fn denials_are_counted_by_name_and_interval_whatever_the_time() {
    let copied = Copied::new();
    let entries: Vec<AuditEntry> = (0..9_000).map(mixed).collect();
    copied.store.index(copied.log, 0, &entries).unwrap();
    for key in [DenialKey::Principle, DenialKey::Subject, DenialKey::Reason] {
        for (from, to, interval, top) in [
            (0, 9_000, 600, 20),
            (0, 9_000, 600, 1),
            (100, 5_000, 7, 20),
            (8_999, 9_100, 1, 20),
            (20_000, 30_000, 60, 20),
        ] {
            let query = DenialQuery {
                key,
                from: BEGIN + from * SECOND,
                to: BEGIN + to * SECOND,
                interval: interval * SECOND,
                top,
            };
            let counted = copied.store.count_denials(&query, in_a_minute()).unwrap();
            assert_eq!(counted, expected(&query, &entries), "{query:?}");
        }
    }
}

#[test]
fn a_count_that_has_no_time_left_has_the_newest_denials_and_says_so() {
    let copied = Copied::new();
    let entries: Vec<AuditEntry> = (0..15_000)
        .map(|n| AuditEntry { decision: Some(false), reason: Some("forbidden".into()), ..entry(n) })
        .collect();
    copied.store.index(copied.log, 0, &entries).unwrap();
    let key = DenialKey::Reason;
    let query = DenialQuery { key, from: BEGIN, to: BEGIN + 15_000 * SECOND, interval: 60 * SECOND, top: 20 };
    let counted = copied.store.count_denials(&query, Instant::now()).unwrap();
    let [forbidden] = &*counted.series else { panic!("{counted:?}") };
    assert!(!counted.is_complete && (1..15_000).contains(&forbidden.total), "{counted:?}");
    assert_eq!(forbidden.counts.last().map(|(interval, _)| *interval), Some(249), "the newest are counted first");
    let since = (counted.counted_since - BEGIN) / SECOND;
    assert!(since > 0, "{counted:?}");
    // Entries are a second apart, so from then on each second has one.
    assert!(forbidden.total >= u64::try_from(15_000 - since).unwrap(), "{counted:?}");
}
