//! Compact signed tokens (RFC 7515), read strictly.
