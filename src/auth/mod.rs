//! Authentication and authorization: tokens, keys, passwords, scopes. Plain functions and types; stored rows are in
//! [`crate::store`], and the state of logins is in the actors.

pub mod caller;
pub mod claims;
pub mod granter;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod lockout;
pub mod network;
pub mod password;
pub mod precis;
mod ring_provider;
pub mod scope;
mod scope_schema;
pub mod secret;
pub mod signing_key;
pub mod stranger;
pub mod totp;
