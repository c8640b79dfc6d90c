//! Whether a daemon is in production: then a load must be asked for explicitly, since it delays other callers, fills
//! caches with its questions, and makes the audit log grow.

use serde_json::Value;

use super::api::Api;
use super::endpoint::Endpoint;
use super::error::BenchError;
use crate::settings::Settings;

/// Why a daemon counts as being in production; empty if it does not.
///
/// `settings` are those of the daemon, if they are known.
pub fn reasons(endpoint: &Endpoint, api: &mut Api, settings: Option<&Settings>) -> Result<Vec<String>, BenchError> {
    let mut reasons = Vec::new();
    if !endpoint.is_local() {
        reasons.push(format!("`{endpoint}` is not a loopback address or a Unix socket, so other hosts can ask it"));
    }
    let metadata = api.get_json("/.well-known/authzen-configuration")?;
    let public = metadata.get("policy_decision_point").and_then(Value::as_str).unwrap_or_default();
    if !is_of_this_host(public) {
        reasons.push(format!("its public URL is `{public}`"));
    }
    let described = api.get_json("/openapi.json")?;
    let decide = described.get("paths").and_then(|paths| paths.get("/access/v1/evaluation")?.get("post"));
    if decide.is_none_or(|decide| decide.get("x-scope").is_some()) {
        reasons.push("it requires a credential for decisions".to_owned());
    }
    if let Some(settings) = settings
        && !settings.http.is_for_this_host()
    {
        reasons.push(
            "its settings let other hosts ask it (`http.bind`, `http.public_url`, `http.trusted_proxies`)".to_owned(),
        );
    }
    Ok(reasons)
}

/// Whether a URL names a loopback address or a Unix socket.
fn is_of_this_host(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    if url.starts_with("unix:") || host.is_empty() {
        return true;
    }
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_of_this_host_is_loopback() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:80/x",
            "unix:/run/acgs.sock",
            "http://127.9.9.9",
        ] {
            assert!(is_of_this_host(url), "{url}");
        }
        for url in ["https://acgs.example", "http://10.0.0.1:8080", "http://0.0.0.0:8080", "https://localhost.example"]
        {
            assert!(!is_of_this_host(url), "{url}");
        }
    }
}
