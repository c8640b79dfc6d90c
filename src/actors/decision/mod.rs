//! From a question to a verdict.

mod cost_model;
pub mod large_requests;
pub mod registry;
pub mod validator;
pub mod warmer;
