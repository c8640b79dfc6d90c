//! What it costs. Run with `cargo test --release --lib -- --ignored --nocapture search_index::tests::figures`.

use super::*;

/// A record as long as most are.
fn realistic(n: u64, seed: &mut u64) -> AuditEntry {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let random = *seed >> 20;
    let permit = !random.is_multiple_of(20);
    AuditEntry {
        caller: Some(format_smolstr!("client-{}", random % 20)),
        subject: Some(EntityUid::new("acgs::Agent", format_smolstr!("agent-{:05}", random % 10_000))),
        resource: Some(EntityUid::new("acgs::Tool", format_smolstr!("tool-{:04}", (random >> 16) % 2000))),
        decision: Some(permit),
        reason: name(if permit { "permitted" } else { "forbidden" }),
        principles: if permit { Vec::new() } else { vec!["human-oversight".into()] },
        record: None,
        ..entry(n)
    }
}

#[test]
#[ignore = "it measures, and takes a minute"]
fn how_fast_and_how_large() {
    let batch = std::env::var("BATCH").map_or(4096, |batch| batch.parse().unwrap());
    let total = std::env::var("TOTAL").map_or(400_000, |total| total.parse::<u64>().unwrap());
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let options = options(&folder.path().join("acgs-audit.db"));
    let began = Instant::now();
    let store = SearchIndex::open(&options).unwrap();
    println!("made in {:?}", began.elapsed());
    drop(store);
    let began = Instant::now();
    let store = SearchIndex::open(&options).unwrap();
    println!("opened in {:?}", began.elapsed());
    let log = store.log("acgs.example/log").unwrap().id;
    let mut seed = 1;
    let (mut spent, mut worst, mut next) = (Duration::ZERO, Duration::ZERO, 0);
    while next < total {
        let entries = (next..next + batch).map(|n| realistic(n, &mut seed)).collect::<Vec<_>>();
        let began = Instant::now();
        next = store.index(log, next, &entries).unwrap();
        spent += began.elapsed();
        worst = worst.max(began.elapsed());
    }
    let began = Instant::now();
    store.sync().unwrap();
    println!(
        "{} rows/s, slowest batch {worst:?}, sync {:?}",
        u128::from(next) * 1000 / spent.as_millis(),
        began.elapsed()
    );
    store.checkpoint().unwrap();
    let bytes = std::fs::metadata(options.target.path().unwrap()).unwrap().len();
    println!("{} bytes an entry, {next} entries", bytes / next);
    let any = Search::default();
    let middle = entry(next / 2).at;
    for search in [
        any.clone(),
        Search { subject: sought(None, "agent-00042"), ..any.clone() },
        Search { subject: sought(None, "agent-00042"), decision: Some(false), ..any.clone() },
        Search { subject: sought(None, "nobody"), ..any.clone() },
        Search { action: name("call_tool"), decision: Some(false), caller: name("client-7"), ..any.clone() },
        Search { action: name("call_tool"), reason: name("permitted"), decision: Some(false), ..any.clone() },
        Search { reason: name("permitted"), principle: name("human-oversight"), ..any.clone() },
        Search { from: Some(middle), to: Some(middle + 60_000_000), ..any.clone() },
        Search { from: Some(middle), to: Some(middle + 1), decision: Some(false), ..any.clone() },
        Search { from: Some(entry(next).at), ..any.clone() },
    ] {
        let began = Instant::now();
        let limit = NonZeroU16::new(100).unwrap();
        let page = store.search(None, &search, None, limit, began + Duration::from_secs(2)).unwrap();
        println!("{:?}, {} found, next {}: {search:?}", began.elapsed(), page.items.len(), page.next.is_some());
    }
    for key in [DenialKey::Principle, DenialKey::Subject, DenialKey::Reason] {
        let (from, to) = (entry(0).at, entry(next).at);
        let query = DenialQuery { key, from, to, interval: (to - from) / 1_000, top: 20 };
        let began = Instant::now();
        let counted = store.count_denials(&query, began + Duration::from_secs(2)).unwrap();
        let denials = counted.series.iter().map(|series| series.total).sum::<u64>() + counted.others;
        println!("{:?}, {denials} denials, complete {}: {key:?}", began.elapsed(), counted.is_complete);
    }
}
