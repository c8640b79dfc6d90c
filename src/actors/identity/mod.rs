//! Authentication, credentials and rights of callers.

pub mod authenticator;
pub mod denylist;
pub mod directory;
pub mod fetch_state;
pub mod jwks_fetcher;
pub mod lockouts;
pub mod login;
pub mod password_hasher;
pub mod rate_limits;
pub mod trust;
