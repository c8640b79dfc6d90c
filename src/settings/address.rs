//! Settings that say where something is: the socket, a URL, the database.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use super::{
    postgres_url::{PostgresUrl, is_postgres},
    rule::TextSetting,
};
use crate::domain::{ConstitutionDigest, ConstitutionalHash};

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// An address and port; port 0 is any free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket, at most 107 bytes. A relative one starts at the settings folder.
    Unix(PathBuf),
}

impl Bind {
    /// Whether only callers on this host can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TextSetting for Bind {
    fn allowed() -> String {
        "an IP address with a port like `127.0.0.1:8080` or `[::1]:8080`, or `unix:` with a path".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("unix:") {
            Some(path) => PathBuf::read(path).map(Self::Unix),
            None => text.parse().map(Self::Tcp).map_err(|_| "not an address with a port"),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// An `http` or `https` URL, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// The URL; a path can be appended to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: the URL without its path.
    #[must_use]
    pub fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0.get(host..).and_then(|rest| rest.find('/')).map_or(self.0.len(), |path| host + path);
        self.0.get(..end).unwrap_or(&self.0)
    }

    /// The host; an IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.origin().split_once("://").map_or(self.origin(), |(_, authority)| authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => authority,
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TextSetting for HttpUrl {
    fn allowed() -> String {
        "an `http` or `https` URL with a host, without user, query and fragment".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let wrong = "not such a URL";
        let text = text.trim_end_matches('/');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(wrong)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // A bracket ends an IPv6 address, whose own colons are not the port's.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let is_v6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        let is_port = port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        let is_path = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b));
        if (is_name || is_v6) && is_port && is_path { Ok(Self(text.to_owned())) } else { Err(wrong) }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// The database to use. As text it has no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The file of an SQLite database.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresUrl),
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl TextSetting for DatabaseUrl {
    fn allowed() -> String {
        format!("`sqlite:` with the path of a file, or {}", PostgresUrl::allowed())
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if is_postgres(text) {
            return PostgresUrl::read(text).map(Self::Postgres);
        }
        let path = text.strip_prefix("sqlite:").ok_or("not a database")?;
        // `sqlite://acgs.db` means the same file as `sqlite:acgs.db`, not one at the root.
        let path = path.strip_prefix("//").unwrap_or(path);
        // In memory every connection would get a database of its own; options would become part of the file's name.
        if path.starts_with(':') || path.starts_with("file:") || path.contains('?') {
            Err("not the path of a file")
        } else {
            PathBuf::read(path).map(Self::Sqlite)
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Sqlite(_) => self.to_string(),
            Self::Postgres(url) => url.write(),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl TextSetting for ConstitutionalHash {
    fn allowed() -> String {
        "16 lower-case hex digits".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "not a constitutional hash")
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl TextSetting for ConstitutionDigest {
    fn allowed() -> String {
        "64 lower-case hex digits".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "not a digest")
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for (text, local) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:0", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("unix:/run/acgs/acgs.sock", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.0.2.1:80", false),
        ] {
            let bind = Bind::read(text).unwrap();
            assert_eq!((bind.is_local(), bind.write().as_str()), (local, text));
        }
        for text in ["", "8080", "localhost:8080", "127.0.0.1", "127.0.0.1:65536", "unix:", "/run/acgs.sock", ":8080"] {
            assert!(Bind::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for (text, url) in [
            ("https://acgs.example", "https://acgs.example"),
            ("https://acgs.example/", "https://acgs.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://10.0.0.1:80/acgs/", "http://10.0.0.1:80/acgs"),
        ] {
            assert_eq!(HttpUrl::read(text).unwrap().as_str(), url);
        }
        for (text, origin, host) in [
            ("https://acgs.example", "https://acgs.example", "acgs.example"),
            ("https://acgs.example:8443/a/b", "https://acgs.example:8443", "acgs.example"),
            ("http://[::1]:8080/x", "http://[::1]:8080", "[::1]"),
            ("http://[::1]", "http://[::1]", "[::1]"),
        ] {
            let url = HttpUrl::read(text).unwrap();
            assert_eq!((url.origin(), url.host()), (origin, host), "{text}");
        }
        for text in [
            "acgs.example",
            "ftp://acgs.example",
            "https://",
            "https:///path",
            "https://a.example:port",
            "https://a.example:0",
            "https://a.example:",
            "https://user@a.example",
            "https://a.example?x=1",
            "https://a.example/#x",
            "https://a b.example",
            "https://[::1",
            "https://a.example/a b",
        ] {
            assert_eq!(HttpUrl::read(text), Err("not such a URL"), "{text}");
        }
    }

    #[test]
    fn a_database_is_a_file_or_at_a_url() {
        for (text, path) in [
            ("sqlite:acgs.db", "acgs.db"),
            ("sqlite://acgs.db", "acgs.db"),
            ("sqlite:/var/lib/acgs.db", "/var/lib/acgs.db"),
            ("sqlite:///var/lib/acgs.db", "/var/lib/acgs.db"),
        ] {
            assert_eq!(DatabaseUrl::read(text), Ok(DatabaseUrl::Sqlite(path.into())));
        }
        let text = "postgres://me:secret@db/acgs";
        let url = DatabaseUrl::read(text).unwrap();
        assert_eq!((url.write().as_str(), url.to_string()), (text, "postgres://me:***@db/acgs".to_owned()));
        assert_eq!(DatabaseUrl::read("postgres:db"), Err("not a PostgreSQL URL"));
        for text in
            ["", "acgs.db", "sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro", "sqlite:file:a.db", "mysql://h/d"]
        {
            assert!(DatabaseUrl::read(text).is_err(), "{text}");
        }
    }
}
