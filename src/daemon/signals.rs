//! Signals from the system, and notifications to the service manager.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as blocking};
use std::thread;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The action that a signal requests.
pub(super) enum Asked {
    Stop,
    Reload,
}

/// Receives signals, on a thread that runs from the first moment on: recovering a log or waiting for a database takes
/// time, and the kernel does not deliver unhandled signals to process 1 of a container.
pub(super) struct Signals {
    asked: mpsc::UnboundedReceiver<Asked>,
    is_serving: Arc<AtomicBool>,
}

impl Signals {
    /// Starts to listen. Until [`Signals::serve`], a signal to stop ends the process at once, like a crash: nothing was
    /// promised to a caller yet, and the next start recovers.
    pub(super) fn listen() -> io::Result<Self> {
        let (told, asked) = mpsc::unbounded_channel();
        let (listens, listening) = blocking::channel();
        let is_serving = Arc::new(AtomicBool::new(false));
        let serving = Arc::clone(&is_serving);
        let hear = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let heard = runtime.and_then(|runtime| runtime.block_on(hear(&listens, &told, &serving)));
            // The receiver is gone if listening has succeeded already.
            drop(heard.map_err(|error| listens.send(Err(error))));
        };
        thread::Builder::new().name("acgs-signals".to_owned()).spawn(hear)?;
        listening.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended")))?;
        Ok(Self { asked, is_serving })
    }

    /// Delivers signals to [`Signals::next`] from now on.
    pub(super) fn serve(&self) {
        self.is_serving.store(true, Ordering::SeqCst);
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            // The thread ends only with the process.
            None => std::future::pending().await,
        }
    }
}

async fn hear(
    listens: &blocking::Sender<io::Result<()>>,
    told: &mpsc::UnboundedSender<Asked>,
    is_serving: &AtomicBool,
) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    // The receiver may be gone already.
    drop(listens.send(Ok(())));
    loop {
        let asked = tokio::select! {
            _ = term.recv() => Asked::Stop,
            _ = int.recv() => Asked::Stop,
            _ = hup.recv() => Asked::Reload,
        };
        if matches!(asked, Asked::Stop) && !is_serving.load(Ordering::SeqCst) {
            tracing::info!("stopped before the daemon was ready");
            std::process::exit(0);
        }
        if told.send(asked).is_err() {
            return Ok(());
        }
    }
}

/// Notifies the service manager, if there is one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be notified; it may stop this start or reload for its time-out");
    }
}
