//! Searches of the audit log find what a naive filter finds in all of it.

mod combinations;
mod corpus;
mod denials;
mod parameters;
