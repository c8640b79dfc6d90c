//! Networks that addresses are in.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Some networks. As text: `10.0.0.0/8, ::1`, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network like `10.0.0.0/8`")]
pub struct NetworkError(String);

impl Networks {
    /// Whether an address is in one of them. An IPv4 address within IPv6 counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let network = part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map(|network| network.trunc()).map_err(|_| NetworkError(part.to_owned()))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if nth > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// What stands for all addresses that one caller easily has: an IPv4 address itself, of an IPv6 address its /64.
#[must_use]
pub fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks() {
        let networks: Networks = "10.0.0.0/8, ::1,192.168.1.7".parse().unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8,::1/128,192.168.1.7/32");
        assert_eq!(networks.to_string().parse::<Networks>().unwrap(), networks);
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.0", false),
            ("::1", true),
            ("::2", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!("".parse::<Networks>().unwrap().is_empty());
        for wrong in ["10.0.0.0/33", "host", "10.0.0", "1.2.3.4/x", "10.0.0.0/8;::1"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn neighbours_in_ipv6_share_a_bucket() {
        let of = |address: &str| bucket(address.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:ffff::1"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
        assert_eq!(of("::ffff:1.2.3.4"), "1.2.3.4");
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }
}
