//! What waits to be written. Nobody waits for that: whatever the server does not take at once is lost, which costs an
//! evaluation elsewhere and nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::Notify;

use super::common::{Common, now};
use super::connections::Connections;
use super::sealed::Content;
use super::server::Request;
use crate::actors::request_cache::Key;

/// How many are written at once.
const BATCH: usize = 64;
/// How long writing a batch may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// Something to write.
#[derive(Debug)]
pub(super) enum Letter {
    /// A verdict.
    Verdict(Key, Content),
    /// A claim is given back.
    Release(String),
}

impl Letter {
    /// About how many bytes it takes while it waits.
    pub(super) fn weight(&self) -> usize {
        let more = |content: &Content| {
            let entities = content.entities.as_ref().map_or(0, |text| text.len());
            content.verdict.members().len() + entities + content.slots.len() * size_of::<u16>()
        };
        match self {
            Self::Verdict(_, content) => 512 + more(content),
            Self::Release(_) => 128,
        }
    }
}

/// What waits, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    common: Arc<Common>,
    letters: RefCell<VecDeque<Letter>>,
    more: Notify,
}

impl Outbox {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self { common, letters: RefCell::default(), more: Notify::new() }
    }

    /// Puts letters behind those that wait; room for them was made before.
    pub(super) fn push(&self, letters: Vec<Letter>) {
        self.letters.borrow_mut().extend(letters);
        self.more.notify_one();
    }

    /// Forgets what waits.
    pub(super) fn clear(&self) {
        drop(self.take(usize::MAX));
    }

    /// Writes what waits and what comes, for ever.
    pub(super) async fn send(&self, connections: &Connections) {
        loop {
            let letters = self.take(BATCH);
            if letters.is_empty() {
                self.more.notified().await;
                continue;
            }
            if connections.is_usable() {
                self.write(letters, connections).await;
            } else {
                self.common.figures.lost.add(verdicts(&letters));
            }
        }
    }

    fn take(&self, most: usize) -> Vec<Letter> {
        let mut waiting = self.letters.borrow_mut();
        let most = most.min(waiting.len());
        let letters: Vec<Letter> = waiting.drain(..most).collect();
        self.common.dismiss(letters.iter().map(Letter::weight).sum());
        letters
    }

    async fn write(&self, letters: Vec<Letter>, connections: &Connections) {
        let figures = &self.common.figures;
        let verdicts = verdicts(&letters);
        let commands: Vec<Cmd> = letters.into_iter().filter_map(|letter| self.command(letter)).collect();
        // What is too large or expired is no command; a release has another answer than `OK`.
        match connections.ask(&Request::Many(commands), Instant::now() + PATIENCE).await {
            Ok(answers) => {
                for answer in answers {
                    match answer {
                        Ok(redis::Value::Okay) => figures.written.add(1),
                        Ok(_) => {}
                        Err(error) => {
                            connections.note(&error.to_string());
                            figures.refused.add(1);
                        }
                    }
                }
            }
            Err(_) => figures.lost.add(verdicts),
        }
    }

    fn command(&self, letter: Letter) -> Option<Cmd> {
        match letter {
            Letter::Verdict(key, content) => {
                let secret = self.common.secret.load();
                let left = content.expires.saturating_sub(now());
                let Some(value) = secret.seal(&key, &content).filter(|_| left > 0) else {
                    self.common.figures.too_large.add(1);
                    return None;
                };
                let mut command = redis::cmd("SET");
                command.arg(secret.name(&key)).arg(value).arg("PX").arg(left);
                Some(command)
            }
            Letter::Release(name) => {
                let mut command = redis::cmd("UNLINK");
                command.arg(name);
                Some(command)
            }
        }
    }
}

fn verdicts(letters: &[Letter]) -> u64 {
    letters.iter().filter(|letter| matches!(letter, Letter::Verdict(..))).count() as u64
}
