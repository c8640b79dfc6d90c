//! Public keys of issuers (RFC 7517).
