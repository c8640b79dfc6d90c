//! `Forwarded` (RFC 7239) and `X-Forwarded-For`: client addresses named by reverse proxies.
//!
//! Each proxy appends the address of its own peer, so the lists are read from the right, as long as the hops are
//! trusted proxies. The text left of these comes from the client and may be anything: none of it affects how the right
//! end is parsed. A hop with an unreadable address ends the walk, and the client's address is then unknown.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;

use super::connection::Peer;
use super::worker_state::WorkerState;
use crate::auth::network::ClientAddress;
use crate::settings::TrustedProxies;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address. Addresses named by a proxy count only if it is one of `http.trusted_proxies`.
pub(super) fn address(request: &HttpRequest) -> ClientAddress {
    let (Some(peer), Some(state)) = (request.conn_data::<Peer>(), request.app_data::<Data<WorkerState>>()) else {
        return ClientAddress::Unknown;
    };
    if !peer.is_proxy {
        return peer.address;
    }
    client_address(request.headers(), peer.address, &state.app.settings.http.trusted_proxies)
}

/// Whether the request came through a proxy that says so.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(&FORWARDED) || headers.contains_key(&X_FORWARDED_FOR)
}

/// The address of the client for which a trusted peer speaks; `peer` if it names none.
///
/// A proxy appends to the header that it knows, and passes the other one on as the client sent it. So if both headers
/// are present and differ, neither is trusted.
fn client_address(headers: &HeaderMap, peer: ClientAddress, proxies: &TrustedProxies) -> ClientAddress {
    let standard = walk(hops(headers, &FORWARDED, split_element, forwarded_hop), proxies);
    let customary = walk(hops(headers, &X_FORWARDED_FOR, split_item, node), proxies);
    match (standard, customary) {
        (None, None) => peer,
        (Some(address), None) | (None, Some(address)) => address,
        (Some(one), Some(other)) if one == other => one,
        (Some(_), Some(_)) => ClientAddress::Unknown,
    }
}

/// The first hop, from the nearest outwards, that is no trusted proxy; `None` if there is no hop.
fn walk(hops: impl Iterator<Item = Option<IpAddr>>, proxies: &TrustedProxies) -> Option<ClientAddress> {
    let mut client = None;
    for hop in hops {
        let Some(address) = hop else { return Some(ClientAddress::Unknown) };
        client = Some(ClientAddress::Ip(address));
        if !proxies.contains(address) {
            break;
        }
    }
    client
}

/// Splits a list into everything before its last element, if there is anything, and that element.
type SplitLast = fn(&[u8]) -> (Option<&[u8]>, &[u8]);

/// The hops in all lines of a header, the nearest first. Empty list elements are skipped (RFC 9110, section 5.6.1.2).
fn hops<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    split_last: SplitLast,
    read: fn(&[u8]) -> Option<IpAddr>,
) -> impl Iterator<Item = Option<IpAddr>> + use<'h> {
    let lines: Vec<&[u8]> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
    lines.into_iter().rev().flat_map(move |line| {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            loop {
                let (before, last) = split_last(rest?);
                rest = before;
                let last = last.trim_ascii();
                if !last.is_empty() {
                    return Some(read(last));
                }
            }
        })
    })
}

/// Splits a list at its last comma.
fn split_item(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match list.iter().rposition(|byte| *byte == b',') {
        Some(comma) => (list.get(..comma), list.get(comma + 1..).unwrap_or_default()),
        None => (None, list),
    }
}

/// Splits a list at its last comma outside of quoted strings, as seen from the right.
fn split_element(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(list, at) => quoted = !quoted,
            b',' if !quoted => return (list.get(..at), list.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (None, list)
}

/// Whether the byte is preceded by an odd number of backslashes.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The address in the parameter `for` of one element (RFC 7239, section 4).
fn forwarded_hop(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(pairs) = rest {
        let (before, pair) = split_pair(pairs);
        rest = before;
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let value = unquoted(pair.get(equals + 1..)?)?;
        if pair.get(..equals)?.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    // RFC 7239, section 6, requires brackets around an IPv6 address.
    if is_bare_v6(&value) { None } else { node(&value) }
}

fn split_pair(pairs: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in pairs.iter().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(pairs, at) => quoted = !quoted,
            b';' if !quoted => return (pairs.get(..at), pairs.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (None, pairs)
}

/// A token as it is, or the unescaped text of a quoted string (RFC 9110, section 5.6.4); `None` if malformed.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(inside) = value.strip_prefix(b"\"") else {
        let is_token = !value.is_empty() && !value.iter().any(|byte| b"\"\\ \t".contains(byte));
        return is_token.then_some(Cow::Borrowed(value));
    };
    let (mut text, mut bytes) = (Vec::new(), inside.iter());
    loop {
        match bytes.next()? {
            b'"' => return bytes.as_slice().is_empty().then_some(Cow::Owned(text)),
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(*byte),
        }
    }
}

fn is_bare_v6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// The address of a node with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, and `2001:db8::1`.
/// `None` for `unknown`, obfuscated identifiers such as `_hidden`, and malformed text.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (IpAddr::V6(address.parse().ok()?), port)
    } else if let Ok(address) = text.parse::<Ipv6Addr>() {
        (IpAddr::V6(address), "")
    } else {
        let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
}

/// Whether the text is a port of one to five digits, or an obfuscated one (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let is_hidden = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    match text.strip_prefix('_') {
        Some(name) => is_hidden(name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::auth::network::ClientAddress::{Ip, Unix, Unknown};

    fn proxies() -> TrustedProxies {
        "10.0.0.0/8, 2001:db8:ffff::/48, unix".parse().unwrap()
    }

    #[track_caller]
    fn check(lines: &[(&str, &[u8])], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(line).unwrap());
        }
        let expected = match expected {
            "unknown" => Unknown,
            "peer" => Unix,
            address => Ip(address.parse().unwrap()),
        };
        let shown: Vec<_> = lines.iter().map(|(name, line)| format!("{name}: {}", line.escape_ascii())).collect();
        assert_eq!(client_address(&headers, Unix, &proxies()), expected, "{shown:?}");
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right_up_to_the_first_stranger() {
        for (line, expected) in [
            (&b"192.0.2.7"[..], "192.0.2.7"),
            (b"192.0.2.7:4711", "192.0.2.7"),
            (b"2001:db8::7", "2001:db8::7"),
            (b"[2001:db8::7]", "2001:db8::7"),
            (b"[2001:db8::7]:4711", "2001:db8::7"),
            (b"::ffff:192.0.2.7", "192.0.2.7"),
            (b"203.0.113.1, 192.0.2.7", "192.0.2.7"),
            (b"203.0.113.1,192.0.2.7 , 10.1.1.1:80,10.2.2.2", "192.0.2.7"),
            (b"192.0.2.7, [2001:db8:ffff::1]:80", "192.0.2.7"),
            (b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
            (b"\xff\xfe, 192.0.2.7", "192.0.2.7"),
            (b"192.0.2.7,, ,", "192.0.2.7"),
            (b"", "peer"),
            (b" , ,", "peer"),
            (b"unknown", "unknown"),
            (b"203.0.113.1, unknown, 10.1.1.1", "unknown"),
            (b"203.0.113.1, \xff", "unknown"),
            (b"192.0.2.7:", "unknown"),
            (b"192.0.2.7:http", "unknown"),
            (b"192.0.2.7:123456", "unknown"),
            (b"192.0.2.07", "unknown"),
            (b"192.0.2", "unknown"),
            (b"192.0.2.7 203.0.113.1", "unknown"),
            (b"\"192.0.2.7\"", "unknown"),
            (b"[2001:db8::7", "unknown"),
            (b"[2001:db8::7]4711", "unknown"),
            (b"[192.0.2.7]:80", "unknown"),
            (b"fe80::1%eth0", "unknown"),
            (b"unix:", "unknown"),
            (b"client.example", "unknown"),
            (b"203.0.113.1, _hidden, 10.1.1.1", "unknown"),
        ] {
            check(&[("x-forwarded-for", line)], expected);
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        for (line, expected) in [
            (&b"for=192.0.2.7"[..], "192.0.2.7"),
            (b"For=192.0.2.7;proto=http;by=203.0.113.43", "192.0.2.7"),
            (b"by=203.0.113.43 ; FOR=\"192.0.2.7:4711\"", "192.0.2.7"),
            (b"for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            (b"for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            (b"for=\"192.0.2.7:_http\"", "192.0.2.7"),
            (b"for=\"19\\2.0.2.7\"", "192.0.2.7"),
            (b"for=203.0.113.1, for=192.0.2.7, for=10.1.1.1", "192.0.2.7"),
            (b"for=203.0.113.1, for=192.0.2.7;ext=\"a, for=198.51.100.1; b\"", "192.0.2.7"),
            // A quoted string that the client left open does not reach into the text that a proxy appended.
            (b"for=\"203.0.113.1, for=192.0.2.7", "192.0.2.7"),
            (b"x=\"\\, for=192.0.2.7", "192.0.2.7"),
            (b"x=\"\\\\\\\", for=\"192.0.2.7\"", "192.0.2.7"),
            (b"\xff\xff, for=192.0.2.7", "192.0.2.7"),
            (b"", "peer"),
            (b",", "peer"),
            (b"for=unknown", "unknown"),
            (b"for=_hidden, for=10.1.1.1", "unknown"),
            (b"for=\"_SEVKISEK\"", "unknown"),
            (b"for=\"2001:db8::7\"", "unknown"),
            (b"proto=https", "unknown"),
            (b"for=192.0.2.7;for=10.0.0.1", "unknown"),
            (b"for=", "unknown"),
            (b"for", "unknown"),
            (b"192.0.2.7", "unknown"),
            (b"for = 192.0.2.7", "unknown"),
            (b"for=\"192.0.2.7", "unknown"),
            (b"for=192.0.2.7\"", "unknown"),
            (b"for=\"\xff\"", "unknown"),
            (b"for=\"192.0.2.7\"x", "unknown"),
        ] {
            check(&[("forwarded", line)], expected);
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        check(&[("x-forwarded-for", b"203.0.113.1"), ("x-forwarded-for", b"192.0.2.7, 10.1.1.1")], "192.0.2.7");
        check(&[("x-forwarded-for", b"192.0.2.7"), ("x-forwarded-for", b"10.1.1.1")], "192.0.2.7");
        check(&[("forwarded", b"for=192.0.2.7"), ("forwarded", b"for=\"10.1.1.1\"")], "192.0.2.7");
        check(&[("forwarded", b"for=\"192.0.2.7"), ("forwarded", b"for=10.1.1.1")], "unknown");
    }

    #[test]
    fn two_headers_that_differ_are_not_believed() {
        for (customary, standard, expected) in [
            (&b"192.0.2.7"[..], &b"for=192.0.2.7"[..], "192.0.2.7"),
            (b"203.0.113.1, 192.0.2.7", b"for=192.0.2.7", "192.0.2.7"),
            (b"192.0.2.7", b"for=10.0.0.1", "unknown"),
            (b"10.0.0.1", b"for=192.0.2.7", "unknown"),
            (b"192.0.2.7", b"nonsense", "unknown"),
            (b"192.0.2.7", b"", "192.0.2.7"),
            (b"", b"for=192.0.2.7", "192.0.2.7"),
        ] {
            check(&[("x-forwarded-for", customary), ("forwarded", standard)], expected);
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_a_client_moves_what_a_proxy_appends(
            claimed in vec(prop_oneof![select(b"\"\\,;= ".to_vec()), 0x20_u8..=0x7e, 0x80_u8..=0xff], 0..48)
        ) {
            let appended = |hop: &[u8]| [&claimed, b", ".as_slice(), hop].concat();
            check(&[("x-forwarded-for", &appended(b"192.0.2.7:80"))], "192.0.2.7");
            check(&[("forwarded", &appended(b"for=\"[2001:db8::7]:80\";proto=http"))], "2001:db8::7");
            check(&[("forwarded", &appended(b"for=unknown"))], "unknown");
            check(&[("x-forwarded-for", &claimed), ("x-forwarded-for", b"192.0.2.7, 10.1.1.1")], "192.0.2.7");
        }
    }
}
