//! Validates the `Host` of a request: it must be well-formed, and on a loopback address one of this host's names.
//!
//! A web page can let its own host name resolve to 127.0.0.1 (DNS rebinding); its requests then have the same origin as
//! the page. Only their `Host` gives them away.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::dev::RequestHead;
use actix_web::http::Version;
use actix_web::http::header;

use super::problem::{BAD_REQUEST, MISDIRECTED, Problem};
use crate::settings::{Bind, Http, HttpUrl};

/// The most characters of a refused host that are shown.
const SHOWN: usize = 255;

/// The hosts that requests may name.
#[derive(Debug)]
pub struct AcceptedHosts {
    /// Any host is accepted on addresses that other hosts can reach, and on Unix sockets, which browsers cannot use.
    is_any: bool,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl AcceptedHosts {
    /// The hosts according to the settings.
    #[must_use]
    pub fn of(http: &Http) -> Self {
        let mut accepted = Self {
            is_any: !matches!(http.bind, Bind::Tcp(_)) || !http.bind.is_local(),
            names: vec!["localhost".to_owned()],
            addresses: Vec::new(),
        };
        for host in http.public_url.iter().map(HttpUrl::host).chain(http.allowed_hosts.iter()) {
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => accepted.addresses.push(address.to_canonical()),
                Err(_) => accepted.names.push(host.to_owned()),
            }
        }
        accepted
    }

    /// Checks the host of a request. The problem is 400 for a missing or malformed host, 421 for another host.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        let mut hosts = head.headers().get_all(header::HOST);
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host.as_bytes()),
            (None, _) if head.version < Version::HTTP_11 => None,
            (None, _) => return Err(Problem::new(&BAD_REQUEST, "the header `Host` is missing")),
            (Some(_), Some(_)) => return Err(Problem::new(&BAD_REQUEST, "there is more than one header `Host`")),
        };
        // A request target with an authority takes precedence over `Host` (RFC 9112, section 3.2.2).
        let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        for authority in [host, target].into_iter().flatten() {
            let malformed =
                || Problem::new(&BAD_REQUEST, "the request's host is not a host name or address with an optional port");
            let host = host_of(authority).ok_or_else(malformed)?;
            if !self.is_any && !self.has(host) {
                let shown: String = host.chars().take(SHOWN).collect();
                let detail =
                    format!("the request is for the host `{shown}`; see `http.public_url` and `http.allowed_hosts`");
                return Err(Problem::new(&MISDIRECTED, detail));
            }
        }
        Ok(())
    }

    fn has(&self, host: &str) -> bool {
        let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical()),
            None => host.parse().ok().filter(IpAddr::is_ipv4),
        };
        if let Some(address) = address {
            return address.is_loopback() || self.addresses.contains(&address);
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().any(|accepted| accepted.eq_ignore_ascii_case(name))
    }
}

/// The host in `host [":" port]` (RFC 9110, section 7.2; RFC 3986, section 3.2), which may be empty; `None` if
/// malformed.
fn host_of(authority: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authority).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest.get(..end)?.parse::<Ipv6Addr>().ok()?;
            text.split_at_checked(end + 2)?
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
        None => port.is_empty(),
    };
    let is_host = host.starts_with('[') || host.bytes().all(is_name_byte);
    (is_port && is_host).then_some(host)
}

/// Unreserved characters, sub-delimiters, and those of percent-encoding (RFC 3986, section 3.2.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for (text, host) in [
            ("localhost", Some("localhost")),
            ("localhost:8080", Some("localhost")),
            ("LOCALHOST:", Some("LOCALHOST")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("[::1]:8080", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("", Some("")),
            ("a b", None),
            ("localhost :80", None),
            ("localhost: 80", None),
            ("localhost:80 ", None),
            ("localhost\t", None),
            ("localhost:http", None),
            ("localhost:65536", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[localhost]", None),
            ("user@localhost", None),
            ("localhost/x", None),
            ("localhost?x", None),
            ("h\u{f6}st", None),
            ("a,b", Some("a,b")),
        ] {
            assert_eq!(host_of(text.as_bytes()), host, "{text:?}");
        }
        assert_eq!(host_of(b"\xff"), None);
    }

    #[test]
    fn on_loopback_only_names_of_this_host_are_accepted() {
        let names = vec!["localhost".to_owned(), "acgs.example".to_owned()];
        let accepted = AcceptedHosts { is_any: false, names, addresses: vec!["192.0.2.1".parse().unwrap()] };
        for host in ["localhost", "LocalHost.", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "192.0.2.1"] {
            assert!(accepted.has(host), "{host}");
        }
        assert!(accepted.has("ACGS.example") && accepted.has("[::ffff:192.0.2.1]"));
        for host in
            ["", "evil.example", "localhost.evil.example", "evil.localhost", "127.1", "0.0.0.0", "[::]", "[::2]"]
        {
            assert!(!accepted.has(host), "{host}");
        }
    }
}
