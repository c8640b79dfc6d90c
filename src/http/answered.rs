//! An answered request on its way to the socket: its duration is what the caller waited, from the first byte of the
//! request that was read to the last byte of the answer that was handed to the socket.

use std::rc::Rc;
use std::time::Instant;

use super::worker_state::WorkerState;
use crate::metrics::RequestLabels;
use crate::trace::{Finished, Recording};

/// A request whose answer is made, but not handed to the socket yet.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) state: Rc<WorkerState>,
    pub(super) labels: RequestLabels,
    /// When the first byte of the request was read.
    pub(super) since: Instant,
    /// The moments of a sampled request.
    pub(super) recording: Option<Box<Recording>>,
}

impl Answered {
    /// Counts the request, at the moment when the socket took the last byte of its answer, or when the connection
    /// ended before.
    pub(super) fn written(self, at: Instant) {
        if let (Some(recording), Some(tracer)) = (self.recording, &self.state.app.tracer) {
            let RequestLabels { route, method, status } = self.labels.clone();
            let took = at.saturating_duration_since(self.since);
            let trace = recording.context().trace().to_string();
            self.state.metrics.sampled(&self.labels, took, trace);
            tracer.finish(Finished { recording, end: at, method, route, status });
        }
        self.state.metrics.answered(self.labels, at.saturating_duration_since(self.since));
    }
}
