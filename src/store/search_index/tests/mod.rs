//! The search index of the audit log over a real SQLite file.

mod denials;
mod figures;
mod indexing;
mod opening;
mod plans;
mod searching;

use std::num::NonZeroU32;
use std::path::Path;

use diesel::connection::SimpleConnection;
use smol_str::{SmolStr, format_smolstr};
use tempfile::TempDir;

use super::*;
use crate::domain::EntityUid;
use crate::store::tests::{downgrade, server};

/// The copy of a log in a folder of its own, which goes when this is dropped.
struct Copied {
    store: SearchIndex,
    log: LogId,
    options: StoreOptions,
    _folder: TempDir,
}

impl Copied {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = server::target(&folder.path().join("acgs-audit.db"));
        let options = StoreOptions { target, ..options(folder.path()) };
        let store = SearchIndex::open(&options).unwrap();
        let log = store.log("acgs.example/log").unwrap().id;
        Self { store, log, options, _folder: folder }
    }

    /// A connection beside those of the store.
    fn connection(&self) -> DbSession {
        open_spec(&AUDIT, &self.options.target, self.options.acquire_timeout).unwrap()
    }

    /// Everything that a search finds, page by page.
    fn found(&self, search: &Search, limit: u16) -> Vec<(Arc<str>, u64, String)> {
        found(&self.store, None, search, limit)
    }
}

fn found(store: &SearchIndex, log: Option<LogId>, search: &Search, limit: u16) -> Vec<(Arc<str>, u64, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let limit = NonZeroU16::new(limit).unwrap();
        let page = store.search(log, search, after.as_ref(), limit, in_a_minute()).unwrap();
        assert!(page.items.len() <= usize::from(limit.get()));
        assert!(
            page.next.is_none() || page.items.len() == usize::from(limit.get()),
            "a page is full, or it is the last"
        );
        all.extend(page.items.into_iter().map(|entry| (entry.origin, entry.index, entry.record.unwrap())));
        // As it would come back from a caller.
        match page.next.map(|cursor| cursor.to_string().parse().unwrap()) {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        target: path.into(),
        size: NonZeroU32::new(4).unwrap(),
        max_overflow: 0,
        min_idle: 0,
        pre_ping: false,
        recycle: Duration::from_hours(1),
        health_check: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(10),
    }
}

/// A permit that depends on `n`.
fn entry(n: u64) -> AuditEntry {
    let mut leaf = [7; 32];
    leaf[..8].copy_from_slice(&n.to_be_bytes());
    AuditEntry {
        leaf,
        at: 1_700_000_000_000_000 + i64::try_from(n).unwrap() * 1_000_000,
        kind: "decision".into(),
        caller: Some("anonymous".into()),
        request_id: None,
        subject: Some(EntityUid::new("acgs::Agent", format_smolstr!("agent-{n}"))),
        action: Some("call_tool".into()),
        resource: Some(EntityUid::new("acgs::Tool", "search")),
        decision: Some(true),
        reason: Some("permitted".into()),
        principles: Vec::new(),
        record: Some(format!("{{\"n\":{n}}}")),
    }
}

fn entries(range: std::ops::Range<u64>) -> Vec<AuditEntry> {
    range.map(entry).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it is a member of a search as it is")]
fn name(text: &str) -> Option<SmolStr> {
    Some(text.into())
}

#[expect(clippy::unnecessary_wraps, reason = "it is a member of a search as it is")]
fn sought(kind: Option<&str>, id: &str) -> Option<SoughtEntity> {
    Some(SoughtEntity { kind: kind.map(SmolStr::from), id: id.into() })
}
