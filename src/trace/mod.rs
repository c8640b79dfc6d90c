//! Traces of requests: W3C Trace Context, the spans of sampled requests, and their export by OTLP.
//!
//! A request that is not sampled costs one random number. Of one that is, the moments of its phases are kept, and a
//! thread makes spans of them after it was answered.

mod context;
mod exporter;
mod otlp;
mod recording;

pub use context::{TraceContext, TraceId};
pub use exporter::{Exporter, SpanCounts, Tracer};
pub use recording::{DecisionNote, Finished, Phase, Recording};
