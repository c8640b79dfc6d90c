//! The threads that look at read replicas: one for each, so that one that hangs keeps no other from being asked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::store::Store;

/// How often a replica is looked at: it is asked as long as it was not further behind than may be at the last look.
const LOOK: Duration = Duration::from_millis(200);

/// The running threads. They end some time after this is dropped: nobody waits for one that hangs.
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
                    thread::sleep(LOOK);
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
