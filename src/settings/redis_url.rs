//! Where Redis is, and how to log in there.

use std::fmt;

use super::{
    authority::{cut, host},
    rule::TextSetting,
};

/// The URL of a Redis server, cluster, or of the Sentinels that know the server, perhaps with a password.
///
/// The scheme is `redis`, or `rediss` with TLS, and either of them with `+cluster` or `+sentinel`. As text and for
/// debugging the password is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    full: String,
    shown: String,
    tls: bool,
    kind: RedisKind,
    hosts: Vec<(String, u16)>,
    user: Option<String>,
    password: Option<String>,
    db: u16,
}

/// The topology behind the hosts of a [`RedisUrl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisKind {
    /// One server.
    Standalone,
    /// Servers of a cluster; they know the others.
    Cluster,
    /// Sentinels, which know where the server is.
    Sentinel {
        /// The Sentinels' name for the server.
        master: String,
    },
}

impl RedisUrl {
    /// All of the URL, with the password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// Whether connections are encrypted, also those to Sentinels.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The topology behind the hosts.
    #[must_use]
    pub fn kind(&self) -> &RedisKind {
        &self.kind
    }

    /// Name or address and port of each host, at least one; just one if the server is alone. An IPv6 address has no
    /// brackets.
    #[must_use]
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }

    /// The user of an access control list. None: `default`.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password. With a user there is always one.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The number of the database; 0 for a cluster.
    #[must_use]
    pub fn db(&self) -> u16 {
        self.db
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({:?})", self.shown)
    }
}

impl TextSetting for RedisUrl {
    fn allowed() -> String {
        "`redis://user:password@host:port/db`, `redis+cluster://host:port,…` or `redis+sentinel://host:port,…/master/db`, \
         each with `rediss` for TLS, percent-encoded"
            .to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("not a Redis URL")?;
        let (transport, mode) = scheme.split_once('+').map_or((scheme, None), |(first, mode)| (first, Some(mode)));
        let tls = match transport {
            "redis" => false,
            "rediss" => true,
            _ => return Err("not a Redis URL"),
        };
        let (login, names, path) = cut(rest)?;
        if login.user.is_some() && login.password.is_none() {
            return Err("but it has a user without a password; a password alone has a `:` before it");
        }
        let (kind, db) = match mode {
            None => (RedisKind::Standalone, path),
            Some("cluster") => (RedisKind::Cluster, path),
            Some("sentinel") => sentinel(path)?,
            Some(_) => return Err("not a Redis URL"),
        };
        let default_port = if matches!(kind, RedisKind::Sentinel { .. }) { 26_379 } else { 6_379 };
        let hosts: Option<Vec<_>> = names.split(',').map(|name| host(name, default_port)).collect();
        let hosts = hosts.ok_or("but has no valid host or port")?;
        if kind == RedisKind::Standalone && hosts.len() > 1 {
            return Err("but only a cluster and Sentinels have several hosts");
        }
        let db = database(db)?;
        if kind == RedisKind::Cluster && db != 0 {
            return Err("but a cluster has no databases with a number");
        }
        let shown = format!("{scheme}://{}{names}{path}", login.shown);
        let (user, password) = (login.user, login.password);
        Ok(Self { full: text.to_owned(), shown, tls, kind, hosts, user, password, db })
    }

    fn write(&self) -> String {
        self.full.clone()
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

/// The server's name, and the rest of the path.
fn sentinel(path: &str) -> Result<(RedisKind, &str), &'static str> {
    let path = path.strip_prefix('/').unwrap_or_default();
    let (master, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    // Those are the names that Sentinel takes.
    if master.is_empty() || !master.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err("but lacks the Sentinels' name of the server");
    }
    Ok((RedisKind::Sentinel { master: master.to_owned() }, rest))
}

fn database(path: &str) -> Result<u16, &'static str> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| "but the number of its database is too large")
        }
        _ => Err("but it has something else than the number of a database at its end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_servers_and_how() {
        let sentinel = || RedisKind::Sentinel { master: "my-master".to_owned() };
        for (text, shown, tls, kind, hosts, login, db) in [
            ("redis://r", "redis://r", false, RedisKind::Standalone, &[("r", 6379)][..], (None, None), 0),
            ("redis://r/", "redis://r/", false, RedisKind::Standalone, &[("r", 6379)], (None, None), 0),
            (
                "rediss://acgs:s%40cret@[::1]:7/3",
                "rediss://acgs:***@[::1]:7/3",
                true,
                RedisKind::Standalone,
                &[("::1", 7)],
                (Some("acgs"), Some("s@cret")),
                3,
            ),
            ("redis://:x@r", "redis://:***@r", false, RedisKind::Standalone, &[("r", 6379)], (None, Some("x")), 0),
            (
                "rediss+cluster://a:b@r1:1,r2",
                "rediss+cluster://a:***@r1:1,r2",
                true,
                RedisKind::Cluster,
                &[("r1", 1), ("r2", 6379)],
                (Some("a"), Some("b")),
                0,
            ),
            ("redis+cluster://r/0", "redis+cluster://r/0", false, RedisKind::Cluster, &[("r", 6379)], (None, None), 0),
            (
                "redis+sentinel://:x@s1,s2:1/my-master",
                "redis+sentinel://:***@s1,s2:1/my-master",
                false,
                sentinel(),
                &[("s1", 26379), ("s2", 1)],
                (None, Some("x")),
                0,
            ),
            (
                "rediss+sentinel://s/my-master/2",
                "rediss+sentinel://s/my-master/2",
                true,
                sentinel(),
                &[("s", 26379)],
                (None, None),
                2,
            ),
        ] {
            let url = RedisUrl::read(text).unwrap();
            let found: Vec<_> = url.hosts().iter().map(|(name, port)| (name.as_str(), *port)).collect();
            assert_eq!((url.as_str(), &*url.write()), (text, text));
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("RedisUrl({shown:?})")));
            assert_eq!((url.tls(), url.kind(), &*found, url.db()), (tls, &kind, hosts, db), "{text}");
            assert_eq!((url.user(), url.password()), login, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        let user = "but it has a user without a password; a password alone has a `:` before it";
        let end = "but it has something else than the number of a database at its end";
        let master = "but lacks the Sentinels' name of the server";
        for (text, wrong) in [
            ("", "not a Redis URL"),
            ("r:6379", "not a Redis URL"),
            ("http://r", "not a Redis URL"),
            ("redis+unix://r", "not a Redis URL"),
            ("valkey://r", "not a Redis URL"),
            ("redis://", "but has no valid host or port"),
            ("redis://r:x", "but has no valid host or port"),
            ("redis+cluster://a,", "but has no valid host or port"),
            ("redis://a,b", "but only a cluster and Sentinels have several hosts"),
            ("redis://me@r", user),
            ("redis://me:@r", user),
            ("redis://me:***@r", "but `***` only stands for its password"),
            ("redis://r/x", end),
            ("redis://r/-1", end),
            ("redis://r/1/2", end),
            ("redis://r?db=1", end),
            ("redis://r/65536", "but the number of its database is too large"),
            ("redis+cluster://r/1", "but a cluster has no databases with a number"),
            ("redis+sentinel://s", master),
            ("redis+sentinel://s//1", master),
            ("redis+sentinel://s/m%20/1", master),
            ("redis+sentinel://s/m/x", end),
        ] {
            assert_eq!(RedisUrl::read(text), Err(wrong), "{text}");
        }
    }
}
