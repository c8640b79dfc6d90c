//! L2: the verdicts of the whole fleet, in Redis.

pub mod breaker;
pub mod sealed;
pub mod worth;
