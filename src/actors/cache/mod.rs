//! The cache tiers.

pub mod application_cache;
pub mod hit_rates;
pub mod request_cache;
pub mod service_cache;
pub mod tiers;
