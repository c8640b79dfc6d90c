//! From a question to a verdict.

pub mod active;
mod cost_model;
pub mod large_requests;
pub mod registry;
pub mod validator;
pub mod warmer;
