//! Limits how long a large batch occupies its worker without yielding.

use std::time::{Duration, Instant};

use super::DecideError;

/// After this time other tasks of the worker run.
const SLICE: Duration = Duration::from_micros(500);

/// The work of one request, in slices until its deadline.
#[derive(Debug)]
pub struct Timeslice {
    began: Instant,
    deadline: Instant,
}

impl Timeslice {
    /// Begins a slice.
    #[must_use]
    pub fn new(deadline: Instant) -> Self {
        Self { began: Instant::now(), deadline }
    }

    /// When the present slice began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Yields to other tasks if the slice is used up; to be called between two pieces of work. [`DecideError::Late`]
    /// after the deadline.
    pub async fn pause(&mut self) -> Result<(), DecideError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(DecideError::Late);
        }
        if now.duration_since(self.began) >= SLICE {
            tokio::task::yield_now().await;
            self.began = Instant::now();
        }
        Ok(())
    }
}
