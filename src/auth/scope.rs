//! What callers may do.
