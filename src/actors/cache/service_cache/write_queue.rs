//! The queue of pending writes. No caller waits for them: a write that the server does not accept at once is lost,
//! which costs an evaluation elsewhere and nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::Notify;

use super::codec::Content;
use super::connections::Connections;
use super::server::Request;
use super::shared_state::{SharedState, now};
use crate::actors::cache::request_cache::Key;

/// The writes in one batch, and about how many bytes: sealing them must not delay reads.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 128 << 10;
/// How long writing a batch may take.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Something to write.
#[derive(Debug)]
pub(super) enum WriteOp {
    /// A verdict.
    Verdict(Key, Content),
    /// A claim is given back.
    Release(String),
}

impl WriteOp {
    /// About how many bytes it takes while it waits.
    pub(super) fn weight(&self) -> usize {
        let more = |content: &Content| {
            let entities = content.entities.as_ref().map_or(0, |text| text.len());
            content.verdict.members().len()
                + content.verdict.explanation().len()
                + entities
                + content.slots.len() * size_of::<u16>()
        };
        match self {
            Self::Verdict(_, content) => 512 + more(content),
            Self::Release(_) => 128,
        }
    }
}

/// The pending writes, in order.
#[derive(Debug)]
pub(super) struct WriteQueue {
    state: Arc<SharedState>,
    ops: RefCell<VecDeque<WriteOp>>,
    more: Notify,
}

impl WriteQueue {
    pub(super) fn new(state: Arc<SharedState>) -> Self {
        Self { state, ops: RefCell::default(), more: Notify::new() }
    }

    /// Appends writes for which room was reserved.
    pub(super) fn push(&self, ops: Vec<WriteOp>) {
        self.ops.borrow_mut().extend(ops);
        self.more.notify_one();
    }

    /// Drops the pending writes.
    pub(super) fn clear(&self) {
        let ops = self.ops.take();
        self.state.dismiss(ops.iter().map(WriteOp::weight).sum());
    }

    /// Writes pending and future values; never ends.
    pub(super) async fn send(&self, connections: &Connections) {
        loop {
            let ops = self.take();
            if ops.is_empty() {
                self.more.notified().await;
                continue;
            }
            self.write(ops, connections).await;
        }
    }

    /// The next batch.
    fn take(&self) -> Vec<WriteOp> {
        let mut waiting = self.ops.borrow_mut();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(op) = waiting.pop_front()
        {
            bytes += op.weight();
            batch.push(op);
        }
        self.state.dismiss(bytes);
        batch
    }

    async fn write(&self, ops: Vec<WriteOp>, connections: &Connections) {
        let counters = &self.state.counters;
        let (mut commands, mut releases) = (Vec::new(), Vec::new());
        for op in ops {
            match op {
                WriteOp::Verdict(key, content) => match self.set(&key, &content) {
                    Some(command) => commands.push(command),
                    None => counters.too_large.add(1),
                },
                WriteOp::Release(name) => {
                    let mut command = redis::cmd("UNLINK");
                    command.arg(name);
                    releases.push(command);
                }
            }
        }
        let verdicts = commands.len();
        // A claim is given back after the verdict is there.
        commands.append(&mut releases);
        if commands.is_empty() {
            return;
        }
        match connections.ask(&Request::Many(commands), Instant::now() + TIMEOUT).await {
            Some(answers) => {
                for answer in answers.iter().take(verdicts) {
                    match answer {
                        Ok(_) => counters.written.add(1),
                        Err(error) => {
                            connections.set_error(&error.to_string());
                            counters.refused.add(1);
                        }
                    }
                }
            }
            None => counters.lost.add(verdicts as u64),
        }
    }

    fn set(&self, key: &Key, content: &Content) -> Option<Cmd> {
        let secret = self.state.secret.load();
        let value = secret.seal(key, content)?;
        let left = content.expires.saturating_sub(now()).max(1);
        let mut command = redis::cmd("SET");
        command.arg(secret.name(key)).arg(value).arg("PX").arg(left);
        Some(command)
    }
}
