//! The host names under which clients reach the daemon, and the origins of web pages that may call it.

use std::{fmt, net::IpAddr};

use super::rule::TextSetting;

/// Host names and IP addresses without ports, in lower case. As text they are separated by commas; the list may be
/// empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNames(Vec<String>);

/// Origins of web pages (RFC 6454), in lower case. As text they are separated by commas; the list may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl HostNames {
    /// The names and addresses; IPv6 addresses have no brackets.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Origins {
    /// Whether pages of this origin may call.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

impl fmt::Display for HostNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl TextSetting for HostNames {
    fn allowed() -> String {
        "names and addresses of hosts without ports, separated by commas, or nothing".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        parts(text).map(host).collect::<Option<_>>().map(Self).ok_or("not a list of hosts")
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl TextSetting for Origins {
    fn allowed() -> String {
        "origins like `https://console.example` or `http://localhost:3000`, separated by commas, or nothing".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        parts(text).map(origin).collect::<Option<_>>().map(Self).ok_or("not a list of origins")
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    let is_empty = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !is_empty)
}

fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    is_name(text).then(|| text.to_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && !text.starts_with('.') && !text.ends_with('.') && text.bytes().all(plain)
}

fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = inside.map_or_else(|| is_name(host), |address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    (is_host && is_port).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_no_ports_and_origins_have_a_scheme() {
        for (text, written) in [
            ("", ""),
            ("ACGS.example", "acgs.example"),
            ("acgs , 192.0.2.1,[2001:DB8::1]", "acgs, 192.0.2.1, 2001:db8::1"),
        ] {
            let hosts = HostNames::read(text).unwrap();
            assert_eq!(hosts.to_string(), written, "{text}");
            assert_eq!(HostNames::read(written), Ok(hosts));
        }
        for text in [",", "a b", "acgs:8080", "http://acgs", "*", "[acgs]", "acgs/", ".example"] {
            assert!(HostNames::read(text).is_err(), "{text}");
        }
        let origins = Origins::read("https://Console.example,http://localhost:3000, http://[::1]:80").unwrap();
        assert_eq!(origins.to_string(), "https://console.example, http://localhost:3000, http://[::1]:80");
        assert!(origins.contains("https://CONSOLE.example") && !origins.contains("http://console.example"));
        for text in ["*", "null", "console.example", "https://a/", "https://a:0", "https://u@a", "ftp://a", "https://"]
        {
            assert!(Origins::read(text).is_err(), "{text}");
        }
    }
}
