//! Networks that addresses are in.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};

use super::rule::TextSetting;

/// The prefix of an IPv4 address written as an IPv6 address, in bits (RFC 4291, section 2.5.5.2).
const MAPPED: u8 = 96;

/// Networks and single addresses, perhaps none. As text they are separated by commas: `10.0.0.0/8, ::1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// Why a text is not a list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// Neither an address nor an address with the length of a prefix.
    #[error("`{0}` is not a network")]
    NoNetwork(String),
    /// An address that is in the network, but does not begin it: perhaps only the address was meant.
    #[error("`{0}` has bits beyond its prefix")]
    BitsBeyond(String),
}

impl NetworksError {
    /// The fault of a setting, in words.
    pub(super) const fn wrong(&self) -> &'static str {
        match self {
            Self::NoNetwork(_) => "not a list of networks",
            Self::BitsBeyond(_) => "but a network in it has bits beyond its prefix",
        }
    }
}

impl Networks {
    /// Whether an address is in one of them. An IPv4 address in IPv6 form is that IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether every address of the other networks is in one of these.
    #[must_use]
    pub fn contains_all(&self, others: &Self) -> bool {
        let whole = IpNet::aggregate(&self.0);
        others.0.iter().all(|other| whole.iter().any(|network| network.contains(other)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    fn from_str(text: &str) -> Result<Self, NetworksError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| network(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().fmt(f)?;
            } else {
                network.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl TextSetting for Networks {
    fn allowed() -> String {
        "networks and addresses like `10.0.0.0/8, ::1`, separated by commas, or nothing".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|error: NetworksError| error.wrong())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn network(text: &str) -> Result<IpNet, NetworksError> {
    let wrong = || NetworksError::NoNetwork(text.to_owned());
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| wrong())?,
    };
    if network.addr() != network.network() {
        return Err(NetworksError::BitsBeyond(text.to_owned()));
    }
    let (IpAddr::V4(address), Some(length)) = (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED))
    else {
        return Ok(network);
    };
    // Addresses are compared in their IPv4 form, and so must this network be; IPv4 networks stay as they are.
    if network.addr().is_ipv4() { Ok(network) } else { mapped(address, length).ok_or_else(wrong) }
}

fn mapped(address: Ipv4Addr, length: u8) -> Option<IpNet> {
    Ipv4Net::new(address, length).ok().map(IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_in_whichever_form_it_comes() {
        for (networks, address, expected) in [
            ("", "127.0.0.1", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::1", "::1", true),
            ("::1", "::2", false),
            ("192.0.2.1 ,2001:db8::/32", "2001:db8:1::1", true),
            ("192.0.2.1 ,2001:db8::/32", "192.0.2.1", true),
            ("192.0.2.1 ,2001:db8::/32", "192.0.2.2", false),
            // All of one family is not all of the other.
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "192.0.2.1", false),
        ] {
            let networks: Networks = networks.parse().unwrap();
            assert_eq!(networks.contains(address.parse().unwrap()), expected, "{networks} {address}");
        }
    }

    #[test]
    fn networks_are_in_others_where_all_their_addresses_are() {
        for (networks, others, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.1.0.0/16, 10.2.3.4", true),
            ("10.0.0.0/8", "10.1.0.0/16, 11.2.3.4", false),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/9, 10.128.0.0/9", "10.0.0.0/8", true),
            ("10.0.0.0/8", "::ffff:10.1.0.0/112", true),
            ("::/0", "10.0.0.1", false),
            ("0.0.0.0/0, ::/0", "10.0.0.1, ::1", true),
            ("10.0.0.1", "10.0.0.1, 10.0.0.1", true),
            ("", "10.0.0.1", false),
        ] {
            let [own, other]: [Networks; 2] = [networks, others].map(|text| text.parse().unwrap());
            assert_eq!(own.contains_all(&other), expected, "{networks} {others}");
        }
    }

    #[test]
    fn networks_are_written_as_they_are_read() {
        for (text, expected) in [
            ("", ""),
            ("  ", ""),
            ("10.0.0.0/8,::1", "10.0.0.0/8, ::1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            let networks: Networks = text.parse().unwrap();
            assert_eq!(networks.to_string(), expected, "{text}");
            assert_eq!(expected.parse(), Ok(networks), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            [",", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/8 ::1", "::/129", "10.0.0.0/"]
        {
            assert!(matches!(text.parse::<Networks>(), Err(NetworksError::NoNetwork(_))), "{text}");
            assert_eq!(Networks::read(text), Err("not a list of networks"), "{text}");
        }
        for text in ["10.0.0.1/8", "::1/64"] {
            assert_eq!(text.parse::<Networks>(), Err(NetworksError::BitsBeyond(text.to_owned())), "{text}");
        }
    }
}
