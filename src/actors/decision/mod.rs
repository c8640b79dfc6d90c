//! From a question to a verdict.

pub mod active;
pub mod large_requests;
pub mod registry;
pub mod validator;
pub mod warmer;
