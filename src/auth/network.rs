//! Networks that addresses are in.
