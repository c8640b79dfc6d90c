//! Networks that addresses are in.

use std::net::{IpAddr, Ipv6Addr};

pub use crate::settings::{Networks, NetworksError};

/// The bits of an IPv6 address that one customer of a provider cannot choose.
const SUBNET: u128 = !0 << 64;

/// Who is behind an address, as far as one can tell: an IPv4 address alone, of an IPv6 address its /64.
///
/// Whoever has one address of a /64 has them all (RFC 6177), so that limits count it as one.
#[must_use]
pub fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SUBNET)),
        address @ IpAddr::V4(_) => address,
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
