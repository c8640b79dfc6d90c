//! The newest checkpoints, for readers, for callers that need one, and for witnesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use crate::ledger::{Checkpoint, Note, Signature};

/// How many checkpoints are remembered for cosignatures that are on their way.
const RECENT: usize = 16;

/// A checkpoint that is stored, and so may be shown.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The parsed checkpoint.
    pub checkpoint: Checkpoint,
    /// Its text and signatures, those of witnesses too as far as they came.
    pub note: Note,
}

/// A view of the checkpoints; shared by all clones.
#[derive(Debug, Clone)]
pub struct Checkpoints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    newest: watch::Sender<Option<Arc<Sealed>>>,
    state: Mutex<State>,
    changed: Condvar,
    /// Threads that only sleep do it here: one of low priority must not hold the state while it waits for a processor.
    asleep: (Mutex<()>, Condvar),
    /// The thread that makes them.
    checkpointer: Mutex<Option<Thread>>,
    hurried: AtomicBool,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    recent: Vec<Arc<Sealed>>,
    /// The newest one that a witness cosigned.
    witnessed: Option<Arc<Sealed>>,
    fault: Option<String>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self(Arc::new(Shared {
            newest: watch::Sender::new(None),
            state: Mutex::default(),
            changed: Condvar::new(),
            asleep: (Mutex::default(), Condvar::new()),
            checkpointer: Mutex::default(),
            hurried: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }))
    }
}

impl Checkpoints {
    /// The newest checkpoint; none before the first one is stored.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Sealed>> {
        self.0.newest.borrow().clone()
    }

    /// The newest checkpoint that a witness cosigned.
    #[must_use]
    pub fn witnessed(&self) -> Option<Arc<Sealed>> {
        self.state().witnessed.clone()
    }

    /// How many records the newest checkpoint covers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.newest.borrow().as_ref().map_or(0, |sealed| sealed.checkpoint.size)
    }

    /// Requests a checkpoint that covers `size` records, and waits for it.
    pub async fn covering(&self, size: u64) -> Option<Arc<Sealed>> {
        let covers =
            |sealed: &Option<Arc<Sealed>>| sealed.as_ref().is_some_and(|sealed| sealed.checkpoint.size >= size);
        let mut newest = self.0.newest.subscribe();
        if !covers(&newest.borrow()) {
            self.request_now();
        }
        newest.wait_for(covers).await.ok().and_then(|sealed| sealed.clone())
    }

    /// Why there are no new checkpoints, if there are none.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// If there is no checkpoint yet, requests one and waits up to `timeout`.
    pub fn wait_for_any(&self, timeout: Duration) {
        if self.newest().is_none() {
            self.request_now();
            let _ = self.wait_for_other(None, timeout);
        }
    }

    fn request_now(&self) {
        self.0.hurried.store(true, Ordering::Release);
        if let Some(thread) = &*self.0.checkpointer.lock() {
            thread.unpark();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

/// For the threads that make checkpoints and have them cosigned.
impl Checkpoints {
    pub(super) fn attach(&self, thread: Thread) {
        *self.0.checkpointer.lock() = Some(thread);
    }

    pub(super) fn take_hurry(&self) -> bool {
        self.0.hurried.swap(false, Ordering::AcqRel)
    }

    pub(super) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        // A waiter holds the lock until it waits, so none of them can miss this.
        drop(self.state());
        self.0.changed.notify_all();
        let (asleep, woken) = &self.0.asleep;
        drop(asleep.lock());
        woken.notify_all();
        self.request_now();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    /// Shows a checkpoint that is stored.
    pub(super) fn publish(&self, sealed: Sealed) {
        let sealed = Arc::new(sealed);
        let mut state = self.state();
        state.fault = None;
        state.recent.push(Arc::clone(&sealed));
        if state.recent.len() > RECENT {
            state.recent.remove(0);
        }
        drop(state);
        self.0.newest.send_replace(Some(sealed));
        self.0.changed.notify_all();
    }

    /// Sleeps for `length`, or until the daemon stops.
    pub(super) fn pause(&self, length: Duration) {
        let (asleep, woken) = &self.0.asleep;
        woken.wait_while_for(&mut asleep.lock(), |()| !self.is_stopping(), length);
    }

    /// The checkpoint of that text with the signatures of one more witness; `None` if a newer one is cosigned already.
    /// It may be published once it is stored.
    pub(super) fn cosigned(&self, text: &str, signatures: &[Signature]) -> Option<Sealed> {
        let state = self.state();
        let known = state.witnessed.iter().chain(&state.recent);
        let mut sealed = known.clone().find(|sealed| sealed.note.text() == text).map(|sealed| Sealed::clone(sealed))?;
        let newer = |shown: &Arc<Sealed>| shown.checkpoint.size > sealed.checkpoint.size;
        if state.witnessed.as_ref().is_some_and(newer) {
            return None;
        }
        let fresh = signatures.iter().filter(|signature| !sealed.note.signatures().contains(signature));
        sealed.note.extend(fresh.cloned().collect::<Vec<_>>());
        Some(sealed)
    }

    /// Shows a cosigned checkpoint that is stored.
    pub(super) fn publish_witnessed(&self, sealed: Sealed) {
        let sealed = Arc::new(sealed);
        let mut state = self.state();
        self.0.newest.send_if_modified(|newest| {
            let same = newest.as_ref().is_some_and(|newest| newest.note.text() == sealed.note.text());
            if same {
                *newest = Some(Arc::clone(&sealed));
            }
            same
        });
        state.witnessed = Some(sealed);
    }

    /// Reports why there is no new checkpoint.
    pub(super) fn fail(&self, fault: String) {
        self.state().fault = Some(fault);
    }

    /// Waits for a checkpoint other than one of that size, no longer than `timeout`.
    pub(super) fn wait_for_other(&self, size: Option<u64>, timeout: Duration) -> Option<Arc<Sealed>> {
        let newest = || self.newest().filter(|sealed| Some(sealed.checkpoint.size) != size);
        let nothing_new = |_: &mut State| newest().is_none() && !self.is_stopping();
        self.0.changed.wait_while_for(&mut self.state(), nothing_new, timeout);
        newest()
    }
}
