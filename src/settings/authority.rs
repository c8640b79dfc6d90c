//! The part of a service's URL between `//` and the path: user, password and hosts.

use std::net::Ipv6Addr;

use crate::domain::percent_decode;

/// Replaces a password in a displayed URL.
const STARS: &str = "***";

/// The fault of a URL whose parts are ambiguous.
const RESERVED: &str = "but `@`, `/`, `?` and `#` in a user or password must be percent-encoded";

/// A user and a password, either of which may be missing.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The displayed form: without the password, and with the `@`.
    pub(super) shown: String,
}

impl Login {
    fn read(text: &str) -> Result<Self, &'static str> {
        let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
        if password == Some(STARS) {
            return Err("but `***` only stands for its password");
        }
        let shown = if password.is_some() { format!("{user}:{STARS}@") } else { format!("{user}@") };
        let part = |text: &str| if text.is_empty() { Ok(None) } else { decoded(text).map(Some) };
        Ok(Self { user: part(user)?, password: part(password.unwrap_or_default())?, shown })
    }
}

/// A URL after its scheme, cut into parts: the login, the hosts, and the rest from the `/` or `?` on.
pub(super) fn cut(text: &str) -> Result<(Login, &str, &str), &'static str> {
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')) {
        return Err("but it has characters that must be percent-encoded");
    }
    let (authority, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    if rest.contains(['@', '#']) {
        return Err(RESERVED);
    }
    match authority.split_once('@') {
        None => Ok((Login::default(), authority, rest)),
        Some((_, hosts)) if hosts.contains('@') => Err(RESERVED),
        Some((login, hosts)) => Ok((Login::read(login)?, hosts, rest)),
    }
}

/// A host's name or address, without brackets, and its port.
pub(super) fn host(text: &str, default_port: u16) -> Option<(String, u16)> {
    // A bracket ends an IPv6 address, whose own colons are not the port's.
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None => default_port,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port: &u16| *port != 0)?
        }
        Some(_) => return None,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|_| (address.to_owned(), port));
    }
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    is_name.then(|| (name.to_owned(), port))
}

/// The text that was percent-encoded.
pub(super) fn decoded(text: &str) -> Result<String, &'static str> {
    let wrong = "but its percent-encoding is wrong";
    // No server has such a name, and C ends its texts there.
    percent_decode(text).filter(|text| !text.contains('\0')).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port() {
        for (text, expected) in [
            ("db", Some(("db", 7))),
            ("db_1.example:80", Some(("db_1.example", 80))),
            ("10.0.0.1:65535", Some(("10.0.0.1", 65_535))),
            ("[::1]", Some(("::1", 7))),
            ("[2001:db8::1]:80", Some(("2001:db8::1", 80))),
            ("", None),
            (":80", None),
            ("db:", None),
            ("db:0", None),
            ("db:65536", None),
            ("db:+80", None),
            ("::1", None),
            ("[::1", None),
            ("[db]", None),
            ("d b", None),
        ] {
            let found = host(text, 7);
            let found = found.as_ref().map(|(name, port)| (name.as_str(), *port));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        for (text, expected) in [("", ""), ("a%40b", "a@b"), ("%2Frun%2f", "/run/"), ("%C3%BC+", "\u{fc}+")] {
            assert_eq!(decoded(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["%", "%4", "%4g", "%+4", "%ff", "%00", "a%"] {
            assert_eq!(decoded(text), Err("but its percent-encoding is wrong"), "{text}");
        }
    }

    #[test]
    fn the_password_is_not_in_what_is_shown() {
        for (text, user, password, shown) in [
            ("h", None, None, ""),
            ("me@h", Some("me"), None, "me@"),
            ("me:p%40%3A@h", Some("me"), Some("p@:"), "me:***@"),
            ("me:a:b@h", Some("me"), Some("a:b"), "me:***@"),
            (":secret@h", None, Some("secret"), ":***@"),
            ("m%2Fe:@h", Some("m/e"), None, "m%2Fe:***@"),
        ] {
            let (login, hosts, rest) = cut(text).unwrap();
            assert_eq!((login.user.as_deref(), login.password.as_deref(), &*login.shown), (user, password, shown));
            assert_eq!((hosts, rest), ("h", ""), "{text}");
        }
    }

    #[test]
    fn what_could_be_part_of_a_password_is_not_guessed() {
        for text in ["me:p@ss@h", "me:p/ss@h", "me:p?ss@h", "me:p#ss@h", "h#x", "h/d?a=b@c"] {
            assert_eq!(cut(text).err(), Some(RESERVED), "{text}");
        }
        for text in ["me:\u{fc}@h", "me:a b@h", "h\n", "me:\"@h", "me:a\\b@h"] {
            assert_eq!(cut(text).err(), Some("but it has characters that must be percent-encoded"), "{text}");
        }
        assert_eq!(cut("me:***@h").err(), Some("but `***` only stands for its password"));
    }
}
