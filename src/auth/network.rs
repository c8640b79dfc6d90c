//! Client addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

pub use crate::settings::{Networks, NetworksError};

/// The bits of an IPv6 address that one customer of a provider cannot choose.
const SUBNET: u128 = !0 << 64;

/// The network by which an address is counted: an IPv4 address alone, and the /64 of an IPv6 address.
///
/// A subscriber with one address of a /64 usually has all of them (RFC 6177).
#[must_use]
pub fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SUBNET)),
        address @ IpAddr::V4(_) => address,
    }
}

/// The address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// A peer on a Unix socket.
    Unix,
    /// An IP address.
    Ip(IpAddr),
    /// Unknown: a trusted proxy names no readable address.
    Unknown,
}

impl ClientAddress {
    /// The IP address, if there is one and it is known.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Unix | Self::Unknown => None,
        }
    }

    /// The key for limits: see [`bucket`]. All unknown addresses share one bucket, and all Unix sockets another.
    #[must_use]
    pub fn bucket(self) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(bucket(address)),
            other @ (Self::Unix | Self::Unknown) => other,
        }
    }
}

/// The form in records; empty for a Unix socket.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => Ok(()),
            Self::Ip(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_one_caller() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(bucket(address.parse().unwrap()).to_string(), expected, "{address}");
        }
    }
}
