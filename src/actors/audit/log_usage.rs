//! How much disk the log takes, measured by the threads that read it.

use actix::{Handler, Message};

use super::reader::{LogReader, ReadError};
use crate::ledger::{LogUsage, usage};

/// Measures the log's files.
#[derive(Debug, Message)]
#[rtype(result = "Result<LogUsage, ReadError>")]
pub struct MeasureLog;

impl Handler<MeasureLog> for LogReader {
    type Result = Result<LogUsage, ReadError>;

    fn handle(&mut self, _: MeasureLog, _: &mut Self::Context) -> Self::Result {
        Ok(usage(self.storage())?)
    }
}
