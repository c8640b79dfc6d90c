//! Threads that probe the read replicas: one for each, so that a hanging replica does not delay the others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::store::Store;

/// The interval between two probes. A replica is used until a probe finds it too far behind.
const INTERVAL: Duration = Duration::from_millis(200);

/// The running threads. They end some time after this is dropped, without being joined, since one may hang.
#[derive(Debug)]
pub struct ReplicaWatch {
    is_over: Arc<AtomicBool>,
}

impl ReplicaWatch {
    /// Starts a thread for each replica of the store.
    pub fn start(store: &Store) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        for nth in 0..store.replicas().len() {
            let (store, is_over) = (store.clone(), Arc::clone(&is_over));
            let watch = move || {
                while !is_over.load(Ordering::Acquire) {
                    store.replicas().look(nth, store.versions());
                    thread::sleep(INTERVAL);
                }
            };
            thread::Builder::new().name("acgs-replica".to_owned()).spawn(watch)?;
        }
        Ok(Self { is_over })
    }
}

impl Drop for ReplicaWatch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}
