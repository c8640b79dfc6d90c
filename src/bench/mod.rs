//! `acgs bench`: measures a running daemon against its targets, over HTTP as any caller.
//!
//! Latencies come from an open loop ([`open_loop`]) and count from when requests were due. The questions are made for
//! the constitution in force ([`population`]). Beside each load the floor is measured ([`floor`]), since absolute
//! figures are those of a machine and a minute.

pub mod api;
mod baseline;
mod closed_loop;
mod compliance;
mod connection;
mod decisions;
mod dice;
pub mod endpoint;
mod error;
pub mod floor;
mod fresh;
pub mod live;
mod log_check;
mod measure;
pub mod open_loop;
pub mod plan;
pub mod population;
pub mod production;
mod progress;
pub mod publish;
mod questions;
mod regression;
pub mod report;
pub mod result;
mod samples;
pub mod session;
mod statistics;
mod timeline;
mod timer;
pub mod verdicts;
pub mod zipf;

pub use error::BenchError;

use plan::{Kind, Plan};
use result::TestResult;
use session::Session;

/// Runs one test.
pub fn run(session: &mut Session, plan: &Plan) -> Result<TestResult, BenchError> {
    match plan.kind {
        Kind::Load | Kind::Stress | Kind::Endurance => {
            Ok(TestResult::of(plan, &measure::measure(session, plan, None)?))
        }
        Kind::Compliance => {
            let (measured, compliance) = compliance::run(session, plan)?;
            Ok(TestResult::of_compliance(plan, &measured, compliance))
        }
        Kind::Regression => {
            let (failed, regression) = regression::run(session, plan)?;
            Ok(TestResult::of_regression(plan, session.is_stopped(), failed, regression))
        }
    }
}
