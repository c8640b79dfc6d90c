//! What searches find.

use std::ops::Range;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// So many that a search takes several steps, and that times are in several blocks.
const MANY: u64 = 14_000;

/// Two logs with random entries of few values, so that many have something in common.
struct Random {
    copied: Copied,
    other: LogId,
    logs: [Vec<AuditEntry>; 2],
}

static RANDOM: LazyLock<Random> = LazyLock::new(|| {
    let copied = Copied::new();
    let other = copied.store.log("other.example/log").unwrap().id;
    let mut seed = 1;
    let logs = [MANY, 300].map(|count| (0..count).map(|n| random(n, &mut seed)).collect::<Vec<_>>());
    for (log, entries) in [(copied.log, &logs[0]), (other, &logs[1])] {
        for (number, part) in entries.chunks(1000).enumerate() {
            copied.store.index(log, number as u64 * 1000, part).unwrap();
        }
    }
    Random { copied, other, logs }
});

const IDS: [&str; 6] = ["a", "b", "a\u{0}", "", "日本語", "rare"];
const TYPES: [&str; 3] = ["User", "Agent", "acgs::Agent"];
const NAMES: [&str; 4] = ["one", "two", "three", "rare"];

/// One of some names; the last of them seldom.
fn one<'a>(names: &[&'a str], seed: &mut u64) -> &'a str {
    let (last, often) = names.split_last().unwrap();
    if draw(seed, 2000) == 0 { last } else { often[draw(seed, often.len())] }
}

/// xorshift64.
fn draw(seed: &mut u64, below: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed >> 11).unwrap() % below
}

fn random(n: u64, seed: &mut u64) -> AuditEntry {
    let uid = |seed: &mut u64| EntityUid::new(TYPES[draw(seed, TYPES.len())], one(&IDS, seed));
    // Mostly rising, with some disorder, and a clock that is set back once.
    let base = if n > 9000 { n - 6000 } else { n };
    let at = i64::try_from(base).unwrap() + i64::try_from(draw(seed, 50)).unwrap();
    let kind = if draw(seed, 20) == 0 { one(&["auth", "entity", "start"], seed) } else { "decision" };
    let is_decision = kind == "decision";
    let violations = if draw(seed, 10) == 0 { draw(seed, 4) } else { 0 };
    AuditEntry {
        at,
        kind: kind.into(),
        caller: (draw(seed, 30) > 0).then(|| one(&NAMES, seed).into()),
        request_id: (draw(seed, 3) > 0).then(|| one(&NAMES, seed).into()),
        subject: is_decision.then(|| uid(seed)),
        action: is_decision.then(|| one(&NAMES, seed).into()),
        resource: is_decision.then(|| uid(seed)),
        decision: is_decision.then(|| draw(seed, 40) > 0),
        reason: is_decision.then(|| one(&NAMES, seed).into()),
        principles: (0..violations).map(|_| one(&NAMES, seed).into()).collect(),
        ..entry(n)
    }
}

/// What a search means, without any index.
fn holds(search: &Search, entry: &AuditEntry) -> bool {
    fn same<T: PartialEq>(sought: Option<&T>, found: Option<&T>) -> bool {
        sought.is_none_or(|sought| found == Some(sought))
    }
    let named = |sought: &Option<SoughtEntity>, found: &Option<EntityUid>| {
        sought.as_ref().is_none_or(|sought| {
            found.as_ref().is_some_and(|uid| uid.id == sought.id && sought.kind.as_ref().is_none_or(|t| *t == uid.kind))
        })
    };
    search.from.is_none_or(|from| entry.at >= from)
        && search.to.is_none_or(|to| entry.at < to)
        && named(&search.subject, &entry.subject)
        && named(&search.resource, &entry.resource)
        && same(search.action.as_ref(), entry.action.as_ref())
        && same(search.decision.as_ref(), entry.decision.as_ref())
        && same(search.reason.as_ref(), entry.reason.as_ref())
        && search.principle.as_ref().is_none_or(|principle| entry.principles.contains(principle))
        && same(search.kind.as_ref(), Some(&entry.kind))
        && same(search.caller.as_ref(), entry.caller.as_ref())
        && same(search.request_id.as_ref(), entry.request_id.as_ref())
}

fn check(search: &Search, log: Option<LogId>, limit: u16) {
    let Random { copied, other, logs } = &*RANDOM;
    let found = found(&copied.store, log, search, limit).into_iter().map(|(origin, index, _)| (origin, index));
    let mut expected = Vec::<(Arc<str>, u64)>::new();
    for (id, origin, entries) in [(*other, "other.example/log", &logs[1]), (copied.log, "acgs.example/log", &logs[0])] {
        if log.is_none_or(|log| log == id) {
            let indices = (0..).zip(entries).filter(|(_, entry)| holds(search, entry)).map(|(index, _)| index);
            let mut indices = indices.collect::<Vec<u64>>();
            indices.reverse();
            expected.extend(indices.into_iter().map(|index| (origin.into(), index)));
        }
    }
    assert_eq!(found.collect::<Vec<_>>(), expected, "{search:?}");
}

fn name_of(names: &'static [&'static str]) -> impl Strategy<Value = Option<SmolStr>> {
    proptest::option::weighted(0.3, proptest::sample::select(names).prop_map(SmolStr::from))
}

fn sought_entity() -> impl Strategy<Value = Option<SoughtEntity>> {
    let kind = proptest::option::of(proptest::sample::select(&TYPES[..]).prop_map(SmolStr::from));
    let id = proptest::sample::select(&IDS[..]).prop_map(SmolStr::from);
    proptest::option::weighted(0.3, (kind, id).prop_map(|(kind, id)| SoughtEntity { kind, id }))
}

fn searches() -> impl Strategy<Value = Search> {
    let times = (proptest::option::weighted(0.3, 0..10_000_i64), proptest::option::weighted(0.3, 0..10_000_i64));
    let names = (name_of(&NAMES), name_of(&NAMES), name_of(&NAMES), name_of(&NAMES), name_of(&NAMES));
    let kind = name_of(&["decision", "auth", "start", "none"]);
    let decision = proptest::option::weighted(0.3, any::<bool>());
    (times, sought_entity(), sought_entity(), names, kind, decision).prop_map(
        |((from, to), subject, resource, (action, reason, principle, caller, request_id), kind, decision)| Search {
            from,
            to,
            subject,
            action,
            resource,
            decision,
            reason,
            principle,
            kind,
            caller,
            request_id,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_filter_of_everything_would(search in searches(), which in 0..3, limit in 20..2000_u16) {
        let log = [None, Some(RANDOM.copied.log), Some(RANDOM.other)][usize::try_from(which).unwrap()];
        check(&search, log, limit);
    }
}

#[test]
fn a_search_by_one_member_finds_what_a_filter_of_everything_would() {
    let any = Search::default();
    for limit in [7, 1000] {
        let searches = [
            Search { subject: sought(Some("User"), "rare"), ..any.clone() },
            Search { subject: sought(None, "rare"), ..any.clone() },
            Search { subject: sought(None, "nobody"), ..any.clone() },
            Search { resource: sought(Some("User"), "rare"), ..any.clone() },
            Search { resource: sought(None, "rare"), ..any.clone() },
            Search { action: name("rare"), ..any.clone() },
            Search { reason: name("rare"), ..any.clone() },
            Search { caller: name("rare"), ..any.clone() },
            Search { request_id: name("rare"), ..any.clone() },
            Search { principle: name("one"), ..any.clone() },
            Search { decision: Some(false), ..any.clone() },
            Search { kind: name("auth"), ..any.clone() },
            Search { from: Some(3000), to: Some(3100), ..any.clone() },
            Search { from: Some(9100), ..any.clone() },
            Search { to: Some(100), ..any.clone() },
            Search { from: Some(5), to: Some(5), ..any.clone() },
            Search { from: Some(6), to: Some(5), ..any.clone() },
            Search { to: Some(i64::MIN), ..any.clone() },
            Search { from: Some(i64::MAX), ..any.clone() },
        ];
        for search in searches {
            check(&search, None, limit);
        }
    }
    for search in
        [any.clone(), Search { decision: Some(true), ..any.clone() }, Search { kind: name("decision"), ..any }]
    {
        check(&search, None, 3000);
    }
}

#[test]
fn a_search_goes_on_after_its_cursor_however_many_entries_came_since() {
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..10)).unwrap();
    let search = Search { decision: Some(true), ..Search::default() };
    let limit = NonZeroU16::new(4).unwrap();
    let page = copied.store.search(None, &search, None, limit, in_a_minute()).unwrap();
    copied.store.index(copied.log, 10, &entries(10..20)).unwrap();
    let indices = |page: &EntryPage| page.items.iter().map(|entry| entry.index).collect::<Vec<_>>();
    assert_eq!(indices(&page), [9, 8, 7, 6]);
    let page = copied.store.search(None, &search, page.next.as_ref(), limit, in_a_minute()).unwrap();
    assert_eq!(indices(&page), [5, 4, 3, 2]);
    let other = copied.store.log("other.example/log").unwrap().id;
    let refused = copied.store.search(Some(other), &search, page.next.as_ref(), limit, in_a_minute());
    assert!(matches!(refused, Err(StoreError::Cursor)));
    let page = copied.store.search(Some(copied.log), &search, page.next.as_ref(), limit, in_a_minute()).unwrap();
    assert_eq!((indices(&page), page.next), (vec![1, 0], None));
}

#[test]
fn a_search_whose_deadline_passes_ends_and_comes_to_the_end_when_it_is_gone_on_with() {
    let Random { copied, logs, .. } = &*RANDOM;
    let often = Search { subject: sought(None, "a"), resource: sought(None, "b"), ..Search::default() };
    let never = Search { action: name("one"), kind: name("decision"), from: Some(20_000), ..Search::default() };
    let seldom = Search { reason: name("rare"), action: name("one"), ..often.clone() };
    for (search, steps) in [(often, 4..9), (seldom, 1..2), (never, 1..2)] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let now = Instant::now();
            let page = copied.store.search(Some(copied.log), &search, after.as_ref(), NonZeroU16::MAX, now).unwrap();
            found.extend(page.items.into_iter().map(|entry| entry.index));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected = (0..).zip(&logs[0]).filter(|(_, entry)| holds(&search, entry)).map(|(index, _)| index);
        found.reverse();
        assert_eq!(found, expected.collect::<Vec<u64>>());
        // The first step looks at 256 candidates, the ones after it at more; a few suffice if one member is rare.
        assert!(steps.contains(&pages), "{pages}");
    }
}

#[test]
fn an_id_of_more_types_than_are_looked_at_by_themselves_is_found() {
    let copied = Copied::new();
    let mut all = entries(0..100);
    for (n, entry) in all.iter_mut().enumerate() {
        entry.subject = Some(EntityUid::new(format_smolstr!("T{}", n % 40), "shared"));
    }
    copied.store.index(copied.log, 0, &all).unwrap();
    for limit in [1, 7, 100, 200] {
        let found = copied.found(&Search { subject: sought(None, "shared"), ..Search::default() }, limit);
        assert!(found.iter().map(|(_, index, _)| *index).eq((0..100).rev()));
    }
}

#[test]
fn entries_of_all_regions_and_logs_are_found_in_order() {
    const BLOCKS: [Range<u64>; 3] = [0..50, 262_094..262_194, 500_000_000..500_000_050];
    let copied = Copied::new();
    let of_ann = |n: u64| {
        let subject = EntityUid::new(["User", "Robot"][usize::from(n.is_multiple_of(5))], "ann");
        AuditEntry { subject: Some(subject), record: Some(n.to_string()), ..entry(n) }
    };
    for block in BLOCKS {
        // As if all before had been indexed.
        let next = format!("UPDATE audit_logs SET next = {}", block.start);
        copied.connection().batch_execute(&next).unwrap();
        copied.store.index(copied.log, block.start, &block.map(of_ann).collect::<Vec<_>>()).unwrap();
    }
    let other = copied.store.log("other.example/log").unwrap().id;
    copied.store.index(other, 0, &(0..50).map(of_ann).collect::<Vec<_>>()).unwrap();
    let any = Search::default();
    let (from, to) = (Some(entry(262_100).at), Some(entry(500_000_025).at));
    for search in [
        any.clone(),
        Search { subject: sought(None, "ann"), ..any.clone() },
        Search { subject: sought(Some("Robot"), "ann"), ..any.clone() },
        Search { subject: sought(Some("User"), "ann"), from, to, ..any.clone() },
        Search { resource: sought(None, "search"), subject: sought(None, "ann"), ..any.clone() },
        Search { resource: sought(None, "nothing"), ..any.clone() },
    ] {
        for log in [None, Some(copied.log), Some(other)] {
            let of_log = |id: LogId| log.is_none_or(|log| log == id);
            let in_first = BLOCKS.into_iter().flatten().filter(|_| of_log(copied.log));
            let all = in_first.chain((0..50).filter(|_| of_log(other))).map(of_ann).collect::<Vec<_>>();
            let expected = all.iter().rev().filter(|entry| holds(&search, entry));
            let expected = expected.map(|entry| entry.record.clone().unwrap()).collect::<Vec<_>>();
            for limit in [7, 50, 1000] {
                let found = found(&copied.store, log, &search, limit).into_iter();
                assert_eq!(found.map(|(_, _, record)| record).collect::<Vec<_>>(), expected, "{search:?}, {limit}");
                let late = found_late(&copied.store, log, &search, limit);
                assert_eq!(late, expected, "{search:?}, {limit}, after the deadline");
            }
        }
    }
}

/// The records that a search finds whose every page is asked for too late, so that it makes one step.
fn found_late(store: &SearchIndex, log: Option<LogId>, search: &Search, limit: u16) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let limit = NonZeroU16::new(limit).unwrap();
        let page = store.search(log, search, after.as_ref(), limit, Instant::now()).unwrap();
        all.extend(page.items.into_iter().map(|entry| entry.record.unwrap()));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}
