//! The thread that detects a hanging disk. It does no I/O itself, so it cannot hang with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::actors::audit::log_health::Obstacle;
use crate::actors::audit::queue::AuditQueue;
use crate::actors::health::file_monitor::FileStatus;

/// The interval between two checks.
const INTERVAL: Duration = Duration::from_millis(250);

/// The running thread. It ends at its next check after this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    is_over: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts the thread. While a write or sync of the log, or a check of the daemon's files, has been running for too
    /// long, decisions stop.
    pub fn start(queue: AuditQueue, files: FileStatus) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let watch = move || {
            while !over.load(Ordering::Acquire) {
                thread::sleep(INTERVAL);
                look(&queue, &files);
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self { is_over })
    }
}

fn look(queue: &AuditQueue, files: &FileStatus) {
    let is_stalled = queue.progress().is_stalled() || files.is_stalled();
    match (is_stalled, queue.has_obstacle(Obstacle::Stalled)) {
        (true, false) => {
            queue.raise(Obstacle::Stalled);
            tracing::error!("the disk of the audit log does not answer; decisions are refused until it does");
        }
        (false, true) => {
            queue.clear(Obstacle::Stalled);
            tracing::warn!("the disk of the audit log answers again; decisions are made again");
        }
        (true, true) | (false, false) => {}
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}
