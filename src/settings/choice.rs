//! Settings that are one of a few words.

use super::rule::TextSetting;

macro_rules! choice {
    ($( $(#[$about:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )* } )*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$doc])* #[doc = concat!("Written as `", $word, "`.")] $variant, )*
        }

        impl TextSetting for $name {
            const CHOICES: &'static [&'static str] = &[$($word),*];

            fn read(text: &str) -> Result<Self, &'static str> {
                match text {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err("not an allowed value"),
                }
            }

            fn write(&self) -> String {
                match self {
                    $( Self::$variant => $word.to_owned(), )*
                }
            }
        }
    )* };
}

choice! {
    /// The authorization that decisions require.
    DecisionAccess {
        /// None; every client that can connect may ask.
        Open = "open",
        /// A token or an API key with the scope `decide`.
        Token = "token",
    }

    /// The authorization that `/metrics` requires.
    MetricsAccess {
        /// None where `http.bind` is a loopback address or a Unix socket and no proxy is in front of it; elsewhere as
        /// `Token`.
        Open = "open",
        /// A token or an API key with the scope `read`.
        Token = "token",
    }

    /// The authorization that reading the dashboard's data requires.
    DashboardAccess {
        /// A login.
        Login = "login",
        /// None for browsers where `http.bind` is a loopback address or a Unix socket and no proxy is in front of it;
        /// elsewhere as `Login`.
        Open = "open",
    }

    /// Whether connections begin with a PROXY protocol header, which contains the client's address.
    ProxyProtocol {
        /// Connections begin with HTTP.
        Off = "off",
        /// Each connection begins with a header of the PROXY protocol, version 2, and only trusted proxies may connect.
        V2 = "v2",
    }

    /// Whether callers must claim the constitution in force.
    HashEnforcement {
        /// A hash is compared where a caller sends one.
        WhenPresent = "when_present",
        /// A caller that sends no hash is denied.
        Required = "required",
    }

    /// How properties in requests are treated.
    RequestProperties {
        /// They fill attributes that the stored entity does not have.
        Merge = "merge",
        /// They are dropped.
        Ignore = "ignore",
    }

    /// Whether an answer waits for its record.
    Durability {
        /// An answer leaves when its record is on disk.
        Durable = "durable",
        /// An answer may leave before that; a crash can lose records.
        Async = "async",
    }

    /// How much of a request is recorded.
    RequestRecord {
        /// All of it.
        Full = "full",
        /// Only a salted digest of its properties and context.
        Digest = "digest",
    }

    /// Which segments of the audit log are archived.
    Archiving {
        /// Those that are full, once they are signed and indexed.
        Closed = "closed",
        /// None.
        Never = "never",
    }

    /// The form of a log line.
    LogFormat {
        /// Journald under systemd, pretty on a terminal, JSON otherwise.
        Auto = "auto",
        /// Without time, with the level as journald's prefix.
        Journald = "journald",
        /// In colour, for people.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}
