//! Secrets that are handed out once and kept as digests.
