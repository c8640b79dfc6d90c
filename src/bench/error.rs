//! Why a run could not be made, or not to its end.

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It was not begun, for a reason that the caller can remedy.
    #[error("{0}")]
    Refused(String),
    /// The daemon does not answer, or not as expected.
    #[error("{0}")]
    Failed(String),
    /// A file could not be read or written.
    #[error("cannot {action} `{name}`: {source}")]
    File {
        /// The operation, as a verb: `read`.
        action: &'static str,
        /// The path.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
}
