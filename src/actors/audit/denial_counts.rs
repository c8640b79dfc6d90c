//! Denials over time, counted by the threads that search the index.

use std::time::Instant;

use actix::{Handler, Message};

use super::searcher::{SearchError, Searcher};
use crate::store::search_index::{DenialCounts, DenialQuery};

/// Counts denials, as many as can be in the time of a search.
#[derive(Debug, Message)]
#[rtype(result = "Result<DenialCounts, SearchError>")]
pub struct CountDenials(pub DenialQuery);

impl Handler<CountDenials> for Searcher {
    type Result = Result<DenialCounts, SearchError>;

    fn handle(&mut self, CountDenials(query): CountDenials, _: &mut Self::Context) -> Self::Result {
        Ok(self.store()?.count_denials(&query, Instant::now() + self.timeout())?)
    }
}
