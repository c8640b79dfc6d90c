//! The PROXY protocol, version 2: the header with which a proxy begins a connection that it forwards.
//!
//! The format is specified in `HAProxy`'s `proxy-protocol.txt`, section 2.2: 12 bytes of signature, a byte with version
//! and command, a byte with family and transport, a big-endian length in two bytes, and as many bytes of addresses and
//! extensions.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::auth::network::ClientAddress;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the fixed part, in bytes.
const HEAD: usize = 16;
/// The type of the extension with a CRC32C of the whole header.
const CRC32C: u8 = 3;

/// Why a connection from a proxy is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The connection begins with other bytes.
    #[error("the connection does not begin with a PROXY protocol header of version 2")]
    Signature,
    /// The header contradicts itself or the specification.
    #[error("the PROXY protocol header is malformed")]
    Malformed,
    /// The header's checksum is wrong.
    #[error("the checksum of the PROXY protocol header is wrong")]
    Checksum,
    /// The header did not arrive in time.
    #[error("the PROXY protocol header did not arrive in time")]
    Late,
    /// The connection was closed or failed.
    #[error("the PROXY protocol header cannot be read: {0}")]
    Unread(#[from] io::Error),
}

/// Reads the header of a connection from a trusted proxy, and returns the client's address. It is `peer`, the proxy
/// itself, for connections of its own, such as health checks.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    peer: ClientAddress,
    time: Duration,
) -> Result<ClientAddress, ProxyHeaderError> {
    let header = tokio::time::timeout(time, read_header(stream)).await.map_err(|_| ProxyHeaderError::Late)??;
    parse(&header, peer)
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ProxyHeaderError> {
    let mut head = [0; HEAD];
    // An HTTP client may have sent less than a header's fixed part, and waits for an answer.
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => filled += more,
        }
        let signed = filled.min(SIGNATURE.len());
        if head.get(..signed) != SIGNATURE.get(..signed) {
            return Err(ProxyHeaderError::Signature);
        }
    }
    let [.., high, low] = head;
    let mut header = head.to_vec();
    header.resize(HEAD + usize::from(u16::from_be_bytes([high, low])), 0);
    stream.read_exact(header.get_mut(HEAD..).unwrap_or_default()).await?;
    Ok(header)
}

/// The client's address in a complete header.
fn parse(header: &[u8], peer: ClientAddress) -> Result<ClientAddress, ProxyHeaderError> {
    let malformed = ProxyHeaderError::Malformed;
    let Some((head, body)) = header.split_first_chunk::<HEAD>() else { return Err(malformed) };
    let [signature @ .., command, family, high, low] = head;
    if signature != SIGNATURE {
        return Err(ProxyHeaderError::Signature);
    }
    if body.len() != usize::from(u16::from_be_bytes([*high, *low])) {
        return Err(malformed);
    }
    let (address, extensions) = match (command, family) {
        // `LOCAL`: a connection of the proxy itself. The rest of the header is skipped, whatever it contains.
        (0x20, _) => return Ok(peer),
        (0x21, 0x11) => {
            let (address, rest) = body.split_first_chunk::<4>().ok_or(ProxyHeaderError::Malformed)?;
            (ClientAddress::Ip(Ipv4Addr::from(*address).into()), rest.get(8..))
        }
        (0x21, 0x21) => {
            let (address, rest) = body.split_first_chunk::<16>().ok_or(ProxyHeaderError::Malformed)?;
            (ClientAddress::Ip(Ipv6Addr::from(*address).to_canonical()), rest.get(20..))
        }
        (0x21, 0x31) => (ClientAddress::Unknown, body.get(216..)),
        (0x21, 0x00) => (ClientAddress::Unknown, Some(body)),
        _ => return Err(malformed),
    };
    check_extensions(header, extensions.ok_or(ProxyHeaderError::Malformed)?)?;
    Ok(address)
}

/// Checks the extensions, each with a type, a length and a value. The checksum is computed with zeros in its own place.
fn check_extensions(header: &[u8], mut extensions: &[u8]) -> Result<(), ProxyHeaderError> {
    while let Some((kind, rest)) = extensions.split_first() {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(ProxyHeaderError::Malformed)?;
        let (value, rest) =
            rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(ProxyHeaderError::Malformed)?;
        extensions = rest;
        if *kind == CRC32C {
            let stated: [u8; 4] = value.try_into().map_err(|_| ProxyHeaderError::Malformed)?;
            let before = header.len() - rest.len() - value.len();
            let crc = crc32c::crc32c(header.get(..before).unwrap_or_default());
            let crc = crc32c::crc32c_append(crc, &[0; 4]);
            if crc32c::crc32c_append(crc, rest) != u32::from_be_bytes(stated) {
                return Err(ProxyHeaderError::Checksum);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ClientAddress = ClientAddress::Unix;

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, [command, family].as_slice(), &length, body].concat()
    }

    fn v4() -> Vec<u8> {
        [[192, 0, 2, 7].as_slice(), &[10, 0, 0, 1], &[0x12, 0x34, 0, 80]].concat()
    }

    fn v6() -> Vec<u8> {
        let client: Ipv6Addr = "2001:db8::7".parse().unwrap();
        [client.octets().as_slice(), &[0; 16], &[0x12, 0x34, 0, 80]].concat()
    }

    fn ip(text: &str) -> ClientAddress {
        ClientAddress::Ip(text.parse().unwrap())
    }

    #[test]
    fn a_header_says_where_the_client_is() {
        let mapped = [Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets().as_slice(), &[0; 20]].concat();
        for (header, expected) in [
            (header(0x21, 0x11, &v4()), ip("192.0.2.7")),
            (header(0x21, 0x21, &v6()), ip("2001:db8::7")),
            (header(0x21, 0x21, &mapped), ip("192.0.2.7")),
            (header(0x21, 0x11, &[v4(), vec![0x04, 0, 2, 9, 9]].concat()), ip("192.0.2.7")),
            (header(0x21, 0x31, &[0; 216]), ClientAddress::Unknown),
            (header(0x21, 0x00, &[]), ClientAddress::Unknown),
            (header(0x20, 0x00, &[]), PEER),
            (header(0x20, 0x11, &v4()), PEER),
            (header(0x20, 0xff, b"anything"), PEER),
        ] {
            assert_eq!(parse(&header, PEER).unwrap(), expected, "{header:?}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        for (command, family, body) in [
            (0x11, 0x11, v4()),
            (0x22, 0x11, v4()),
            (0x21, 0x12, v4()),
            (0x21, 0x41, v4()),
            (0x21, 0x11, v4()[..11].to_vec()),
            (0x21, 0x21, v4()),
            (0x21, 0x31, vec![0; 215]),
            (0x21, 0x11, [v4(), vec![0x04, 0, 3, 9, 9]].concat()),
            (0x21, 0x11, [v4(), vec![0x04]].concat()),
            (0x21, 0x11, [v4(), vec![CRC32C, 0, 3, 0, 0, 0]].concat()),
        ] {
            let refused = parse(&header(command, family, &body), PEER);
            assert!(matches!(refused, Err(ProxyHeaderError::Malformed)), "{command:x} {family:x} {body:?}");
        }
    }

    #[test]
    fn a_checksum_is_compared() {
        let body = |crc: [u8; 4]| [v4(), vec![CRC32C, 0, 4], crc.to_vec(), vec![0x04, 0, 1, 0]].concat();
        let crc = crc32c::crc32c(&header(0x21, 0x11, &body([0; 4])));
        assert_eq!(parse(&header(0x21, 0x11, &body(crc.to_be_bytes())), PEER).unwrap(), ip("192.0.2.7"));
        let refused = parse(&header(0x21, 0x11, &body((crc ^ 1).to_be_bytes())), PEER);
        assert!(matches!(refused, Err(ProxyHeaderError::Checksum)));
    }

    #[actix_web::test]
    async fn the_header_is_read_off_and_nothing_behind_it() {
        let bytes = [header(0x21, 0x11, &v4()), b"GET /".to_vec()].concat();
        let mut stream = bytes.as_slice();
        let found = read(&mut stream, PEER, Duration::from_mins(1)).await.unwrap();
        assert_eq!((found, stream), (ip("192.0.2.7"), b"GET /".as_slice()));
        for short in ["GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "\r\n\r\n\0x"] {
            let refused = read(&mut short.as_bytes(), PEER, Duration::from_mins(1)).await;
            assert!(matches!(refused, Err(ProxyHeaderError::Signature)), "{short:?}");
        }
        for cut in [0, 5, 15, 20] {
            let refused = read(&mut &bytes[..cut], PEER, Duration::from_mins(1)).await;
            assert!(matches!(refused, Err(ProxyHeaderError::Unread(_))), "{cut}");
        }
    }
}
