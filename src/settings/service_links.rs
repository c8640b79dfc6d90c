//! Environment variables that Kubernetes sets in every container for each service of the pod's namespace ("service
//! links"). For a service called `acgs` or `acgs-http` they have the prefix of this daemon's own variables.
//!
//! The names and values are those of Kubernetes' `pkg/kubelet/envvars`. For a service `acgs` (a `-` becomes `_`):
//! `ACGS_SERVICE_HOST=10.0.0.1`, `ACGS_SERVICE_PORT=8080`, `ACGS_SERVICE_PORT_<NAME>=8080`,
//! `ACGS_PORT=tcp://10.0.0.1:8080`, and for each port `ACGS_PORT_8080_TCP=tcp://10.0.0.1:8080` with `…_TCP_PROTO=tcp`,
//! `…_TCP_PORT=8080` and `…_TCP_ADDR=10.0.0.1`.

use std::net::{IpAddr, Ipv6Addr};

/// The protocols that a service's port can have.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Whether a variable is a service link: both its name and its value must have the form, so that `ACGS_HTTP_PORT=8080`,
/// a misspelt setting, remains a fault.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let is_name = |text: &str| text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    let Some(rest) = name.strip_prefix("ACGS").filter(|rest| rest.starts_with('_') && is_name(rest)) else {
        return false;
    };
    // A service or port may itself be called `port`, so every possible end of the service's name is tried.
    rest.match_indices('_').any(|(at, _)| {
        let suffix = rest.get(at..).unwrap_or_default();
        let after = |start| suffix.strip_prefix(start);
        if suffix == "_SERVICE_HOST" {
            is_address(value)
        } else if suffix == "_SERVICE_PORT" {
            port(value).is_some()
        } else if suffix == "_PORT" {
            is_url(value, None)
        } else if let Some(port_name) = after("_SERVICE_PORT_") {
            !port_name.is_empty() && port(value).is_some()
        } else {
            after("_PORT_").is_some_and(|of_port| is_of_port(of_port, value))
        }
    })
}

/// Whether a name like `8080_TCP_ADDR` is that of a port's variable with such a value.
fn is_of_port(name: &str, value: &str) -> bool {
    let mut parts = name.splitn(3, '_');
    let (Some(number), Some(protocol)) = (parts.next().and_then(port), parts.next()) else {
        return false;
    };
    let Some(protocol) = PROTOCOLS.into_iter().find(|known| known.to_uppercase() == protocol) else {
        return false;
    };
    match parts.next() {
        None => is_url(value, Some((protocol, number))),
        Some("PROTO") => value == protocol,
        Some("PORT") => port(value) == Some(number),
        Some("ADDR") => is_address(value),
        Some(_) => false,
    }
}

/// Whether a value has the form `tcp://10.0.0.1:8080` or `tcp://[fd00::1]:8080`; with that protocol and port, if given.
fn is_url(value: &str, of: Option<(&str, u16)>) -> bool {
    let Some((protocol, place)) = value.split_once("://") else {
        return false;
    };
    let Some((address, number)) = place.rsplit_once(':') else {
        return false;
    };
    let bracketed = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    // Older versions of Kubernetes write IPv6 addresses without brackets.
    let is_place = bracketed.map_or_else(|| is_address(address), |address| address.parse::<Ipv6Addr>().is_ok());
    let Some(number) = port(number).filter(|_| is_place && PROTOCOLS.contains(&protocol)) else {
        return false;
    };
    of.is_none_or(|of| of == (protocol, number))
}

fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn port(text: &str) -> Option<u16> {
    let is_plain = !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_service_is_known_by_its_form() {
        for (name, value) in [
            ("ACGS_SERVICE_HOST", "10.96.0.17"),
            ("ACGS_SERVICE_HOST", "fd00:10:96::a"),
            ("ACGS_SERVICE_PORT", "8080"),
            ("ACGS_SERVICE_PORT_HTTP", "8080"),
            ("ACGS_SERVICE_PORT_HTTP_ALT", "8081"),
            ("ACGS_PORT", "tcp://10.96.0.17:8080"),
            ("ACGS_PORT", "udp://10.96.0.17:53"),
            ("ACGS_PORT", "tcp://[fd00:10:96::a]:8080"),
            ("ACGS_PORT", "tcp://fd00:10:96::a:8080"),
            ("ACGS_PORT_8080_TCP", "tcp://10.96.0.17:8080"),
            ("ACGS_PORT_8080_TCP", "tcp://[fd00::a]:8080"),
            ("ACGS_PORT_8080_TCP_PROTO", "tcp"),
            ("ACGS_PORT_8080_TCP_PORT", "8080"),
            ("ACGS_PORT_8080_TCP_ADDR", "10.96.0.17"),
            ("ACGS_PORT_53_UDP_ADDR", "10.96.0.17"),
            ("ACGS_PORT_132_SCTP_PROTO", "sctp"),
            ("ACGS_HTTP_SERVICE_HOST", "10.96.0.18"),
            ("ACGS_HTTP_PORT", "tcp://10.96.0.18:80"),
            ("ACGS_HTTP_PORT_80_TCP_ADDR", "10.96.0.18"),
            ("ACGS_HTTP__ADMIN_SERVICE_PORT_METRICS", "9090"),
            ("ACGS_PORT_SERVICE_HOST", "10.96.0.18"),
            ("ACGS_PORT_PORT_80_TCP", "tcp://10.96.0.18:80"),
            ("ACGS_SERVICE_PORT_SERVICE_PORT", "80"),
            ("ACGS_2_SERVICE_HOST", "10.96.0.18"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn a_name_or_a_value_of_another_form_is_none() {
        for (name, value) in [
            ("ACGS_PORT", "8080"),
            ("ACGS_PORT", ""),
            ("ACGS_PORT", "tcp://10.96.0.17"),
            ("ACGS_PORT", "tcp://10.96.0.17:0"),
            ("ACGS_PORT", "tcp://10.96.0.17:65536"),
            ("ACGS_PORT", "tcp://acgs.example:8080"),
            ("ACGS_PORT", "tcp://[10.96.0.17]:8080"),
            ("ACGS_PORT", "http://10.96.0.17:8080"),
            ("ACGS_PORT", "tcp://10.96.0.17:8080/path"),
            ("ACGS_PORT", " tcp://10.96.0.17:8080"),
            ("ACGS_HTTP_PORT", "8080"),
            ("ACGS_SERVICE_HOST", "acgs.example"),
            ("ACGS_SERVICE_HOST", "10.96.0.17:80"),
            ("ACGS_SERVICE_HOST", ""),
            ("ACGS_SERVICE_PORT", "http"),
            ("ACGS_SERVICE_PORT", "+80"),
            ("ACGS_SERVICE_PORT_", "80"),
            ("ACGS_SERVICE_PORT_HTTP", "tcp://10.96.0.17:80"),
            ("ACGS_PORT_8080", "tcp://10.96.0.17:8080"),
            ("ACGS_PORT_8080_TCP", "tcp://10.96.0.17:8081"),
            ("ACGS_PORT_8080_TCP", "udp://10.96.0.17:8080"),
            ("ACGS_PORT_8080_TCP", "8080"),
            ("ACGS_PORT_8080_HTTP", "http://10.96.0.17:8080"),
            ("ACGS_PORT_8080_TCP_PROTO", "TCP"),
            ("ACGS_PORT_8080_TCP_PORT", "80"),
            ("ACGS_PORT_8080_TCP_ADDR", "localhost"),
            ("ACGS_PORT_8080_TCP_HOST", "10.96.0.17"),
            ("ACGS_PORT_X_TCP_ADDR", "10.96.0.17"),
            ("ACGS_HTTP_BIND", "10.96.0.17:8080"),
            ("ACGS_HTTP__PORT_", "80"),
            ("ACGS_Http_SERVICE_HOST", "10.96.0.17"),
            ("ACGS_HOST", "10.96.0.17"),
            ("ACGSX_SERVICE_HOST", "10.96.0.17"),
            ("ACGS", "10.96.0.17"),
            ("SERVICE_HOST", "10.96.0.17"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
