//! The audit log: frames, segments, recovery, verification.
