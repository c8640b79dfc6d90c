//! Where a daemon listens, and the bytes of requests to it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use super::error::BenchError;
use crate::settings::Bind;

/// A place that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address with its port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A daemon as a client reaches it: without TLS, since this client speaks HTTP/1.1 itself.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// The value of `Host`.
    host: String,
    /// The path before that of each route, without a slash at its end; mostly empty.
    path: String,
}

impl Endpoint {
    /// Reads `http://HOST[:PORT][/PATH]` or `unix:PATH`.
    pub fn from_url(url: &str) -> Result<Self, BenchError> {
        let wrong = |why: &str| BenchError::Refused(format!("`{url}` cannot be measured: {why}"));
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self::unix(path.into()));
        }
        if url.starts_with("https://") {
            return Err(wrong(
                "the client speaks no TLS; name the daemon's own address, such as `http://127.0.0.1:8080`",
            ));
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("it begins with neither `http://` nor `unix:`"))?;
        let (host, path) =
            rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
        let has_port =
            host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut found =
            with_port.to_socket_addrs().map_err(|error| wrong(&format!("its host is unknown ({error})")))?;
        let address = found.next().ok_or_else(|| wrong("its host has no address"))?;
        Ok(Self { address: Address::Tcp(address), host: host.to_owned(), path: path.trim_end_matches('/').to_owned() })
    }

    /// The daemon whose settings bind it there.
    pub fn from_bind(bind: &Bind) -> Result<Self, BenchError> {
        match bind {
            Bind::Unix(path) => Ok(Self::unix(path.clone())),
            Bind::Tcp(address) if address.port() == 0 => Err(BenchError::Refused(
                "`http.bind` has port 0, so the daemon's port is not known: give its address with `--url`".to_owned(),
            )),
            Bind::Tcp(address) => {
                let mut address = *address;
                if address.ip().is_unspecified() {
                    address.set_ip(if address.is_ipv4() {
                        [127, 0, 0, 1].into()
                    } else {
                        [0, 0, 0, 0, 0, 0, 0, 1].into()
                    });
                }
                Ok(Self { address: Address::Tcp(address), host: address.to_string(), path: String::new() })
            }
        }
    }

    /// A Unix socket.
    #[must_use]
    pub fn unix(path: PathBuf) -> Self {
        Self { address: Address::Unix(path), host: "localhost".to_owned(), path: String::new() }
    }

    /// Whether only processes of this host can be asked there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.address {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// The line and headers of a request, without `Content-Length` and the end; `headers` are lines with their ends.
    #[must_use]
    pub fn head(&self, method: &str, path: &str, headers: &str) -> String {
        format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n{headers}", self.path, self.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(_) => write!(f, "http://{}{}", self.host, self.path),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_address_a_host_and_a_path() {
        let read = |url: &str| {
            let endpoint = Endpoint::from_url(url).unwrap();
            (endpoint.to_string(), endpoint.is_local(), endpoint.head("GET", "/livez", ""))
        };
        let head = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n".to_owned();
        assert_eq!(read("http://127.0.0.1:8080/"), ("http://127.0.0.1:8080".to_owned(), true, head));
        let head = "GET /acgs/livez HTTP/1.1\r\nHost: 192.0.2.1\r\n".to_owned();
        assert_eq!(read("http://192.0.2.1/acgs"), ("http://192.0.2.1/acgs".to_owned(), false, head));
        let head = "GET /livez HTTP/1.1\r\nHost: [::1]:9\r\n".to_owned();
        assert_eq!(read("http://[::1]:9"), ("http://[::1]:9".to_owned(), true, head));
        let head = "GET /livez HTTP/1.1\r\nHost: localhost\r\n".to_owned();
        assert_eq!(read("unix:/run/acgs.sock"), ("unix:/run/acgs.sock".to_owned(), true, head));
        for wrong in ["https://127.0.0.1", "127.0.0.1:8080", "http://", "http://[::1", "ftp://127.0.0.1"] {
            assert!(Endpoint::from_url(wrong).is_err(), "{wrong}");
        }
    }
}
