//! How long a large batch occupies its worker at a stretch.

use std::time::{Duration, Instant};

use super::DecideError;

/// After so much work other requests of the worker have their turn.
const SLICE: Duration = Duration::from_micros(500);

/// The work of one request, which goes on in slices until its deadline.
#[derive(Debug)]
pub struct Timeslice {
    began: Instant,
    deadline: Instant,
}

impl Timeslice {
    /// A slice that begins now.
    #[must_use]
    pub fn new(deadline: Instant) -> Self {
        Self { began: Instant::now(), deadline }
    }

    /// Call it between two pieces of work: where the slice is used up, others come first. Work that is not done by its
    /// deadline ends here.
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
