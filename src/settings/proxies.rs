//! The reverse proxies that are trusted to name a client's address.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    networks::{Networks, NetworksError},
    rule::TextSetting,
};

/// Stands for every peer on the Unix socket.
const UNIX: &str = "unix";

/// Networks of trusted proxies, and whether peers on the Unix socket are trusted. As text: `10.0.0.0/8, unix`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Networks,
    unix: bool,
}

impl TrustedProxies {
    /// Whether an address is that of a trusted proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.contains(address)
    }

    /// Whether peers on the Unix socket are trusted proxies.
    #[must_use]
    pub const fn contains_unix(&self) -> bool {
        self.unix
    }

    /// Whether no TCP peer is a trusted proxy.
    #[must_use]
    pub fn has_no_network(&self) -> bool {
        self.networks.is_empty()
    }
}

impl FromStr for TrustedProxies {
    type Err = NetworksError;

    fn from_str(text: &str) -> Result<Self, NetworksError> {
        let (unix, networks): (Vec<&str>, Vec<&str>) = text.split(',').partition(|part| part.trim() == UNIX);
        Ok(Self { networks: networks.join(",").parse()?, unix: !unix.is_empty() })
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.networks.fmt(f)?;
        match (self.unix, self.networks.is_empty()) {
            (false, _) => Ok(()),
            (true, true) => f.write_str(UNIX),
            (true, false) => write!(f, ", {UNIX}"),
        }
    }
}

impl TextSetting for TrustedProxies {
    fn allowed() -> String {
        format!("networks and addresses like `10.0.0.0/8, ::1`, and `{UNIX}`, separated by commas, or nothing")
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|error: NetworksError| error.wrong())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_networks_and_the_peers_of_the_unix_socket() {
        for (text, written, unix, inside) in [
            ("", "", false, false),
            ("unix", "unix", true, false),
            (" unix , 10.0.0.0/8", "10.0.0.0/8, unix", true, true),
            ("10.0.0.0/8,::1", "10.0.0.0/8, ::1", false, true),
        ] {
            let proxies = TrustedProxies::read(text).unwrap();
            let found = (proxies.to_string(), proxies.contains_unix(), proxies.contains([10, 1, 2, 3].into()));
            assert_eq!(found, (written.to_owned(), unix, inside), "{text}");
            assert_eq!(TrustedProxies::read(written), Ok(proxies), "{text}");
        }
        for text in ["unix:", "Unix", "unix /run", "unix,,", "proxy.example", "10.0.0.1/8", "unix,10.0.0.1/8"] {
            assert!(TrustedProxies::read(text).is_err(), "{text}");
        }
    }
}
