//! Where Redis is, and how one gets a connection: to one server, to the master that sentinels know, or to a cluster.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Pipeline,
    RedisConnectionInfo, RedisError, RedisResult, Value,
};

/// How long opening a connection may take, with logging in.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The most commands queued on one connection before senders wait.
const QUEUE: usize = 256;

/// The servers, and the user on them.
///
/// The user needs `+get +mget +set ~acgs:v1:*` for verdicts, `+unlink +scan` for leases and clearing, `+publish
/// +subscribe +ping &acgs:v1:*` for messages, `+info` for the memory that is reported, with Sentinels `+role`, and in a
/// cluster `+cluster|slots`. All but the first are optional.
#[derive(Clone)]
pub struct Server {
    /// The topology of the servers.
    pub kind: ServerKind,
    /// Their hosts and ports: of the server, of some nodes of the cluster, or of the sentinels. At least one.
    pub hosts: Vec<(String, u16)>,
    /// Whether TLS is spoken; certificates are checked against those of the system.
    pub tls: bool,
    /// The user of the access list; none for `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The number of the database; a cluster has only 0.
    pub db: i64,
}

/// The topology of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerKind {
    /// One server.
    Standalone,
    /// A cluster.
    Cluster,
    /// Sentinels, which know the current master.
    Sentinel {
        /// The master's name.
        master: String,
    },
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        let mut shown = f.debug_struct("Server");
        shown.field("kind", &self.kind).field("hosts", &self.hosts).field("tls", &self.tls).field("user", &self.user);
        shown.field("password", &password).field("db", &self.db).finish()
    }
}

/// A connection, on which many ask at once. Clones are the same connection; the last one closes it.
#[derive(Clone)]
pub enum Link {
    /// To one server.
    Single(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

/// A request that is sent as one.
#[derive(Debug, Clone)]
pub enum Request {
    /// One command.
    One(Cmd),
    /// Commands that are independent of each other.
    Many(Vec<Cmd>),
}

impl Server {
    /// Opens a connection.
    pub async fn open(&self) -> RedisResult<Link> {
        if self.kind == ServerKind::Cluster {
            return Ok(Link::Cluster(self.cluster()?.get_async_connection().await?));
        }
        let connection = self.client().await?.get_multiplexed_async_connection_with_config(&config()).await?;
        Ok(Link::Single(connection))
    }

    /// Opens a connection that receives messages. In a cluster any node will do: each passes the messages on to all.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        if self.kind != ServerKind::Cluster {
            return subscribed(&self.client().await?, channel).await;
        }
        let mut outcome = Err(no_host());
        for host in &self.hosts {
            outcome = match Client::open(self.at(host, self.access())?) {
                Ok(client) => subscribed(&client, channel).await,
                Err(error) => Err(error),
            };
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let nodes = self.hosts.iter().map(|host| self.at(host, self.access())).collect::<RedisResult<Vec<_>>>()?;
        // Retries follow moved slots; the caller has a deadline of its own.
        let client = ClusterClient::builder(nodes).retries(3).min_retry_wait(1).max_retry_wait(20);
        client.tcp_settings(tcp()).connection_timeout(CONNECT_TIMEOUT).response_timeout(CONNECT_TIMEOUT).build()
    }

    async fn client(&self) -> RedisResult<Client> {
        let ServerKind::Sentinel { master } = &self.kind else {
            return Client::open(self.at(self.hosts.first().ok_or_else(no_host)?, self.access())?);
        };
        let client = Client::open(self.at(&self.master(master).await?, self.access())?)?;
        // A former master that the Sentinels have not demoted yet refuses writes.
        let mut link = client.get_multiplexed_async_connection_with_config(&config()).await?;
        match redis::cmd("ROLE").query_async::<Vec<Value>>(&mut link).await?.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(client),
            _ => Err((ErrorKind::MasterNameNotFoundBySentinel, "the server that sentinels name is no master").into()),
        }
    }

    /// Where the master is, from the first sentinel that knows. Sentinels often ask for no password though the servers
    /// do, and refuse one then.
    async fn master(&self, name: &str) -> RedisResult<(String, u16)> {
        let mut failure = no_host();
        for host in &self.hosts {
            for access in [RedisConnectionInfo::default(), self.access().set_db(0)] {
                match asked(self.at(host, access)?, name).await {
                    Ok(Some(address)) => return Ok(address),
                    Ok(None) => {
                        failure = (ErrorKind::MasterNameNotFoundBySentinel, "sentinels do not know the master").into();
                    }
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    fn access(&self) -> RedisConnectionInfo {
        let mut access = RedisConnectionInfo::default().set_db(self.db);
        if let Some(user) = &self.user {
            access = access.set_username(user);
        }
        if let Some(password) = &self.password {
            access = access.set_password(password);
        }
        access
    }

    fn at(&self, (host, port): &(String, u16), access: RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
        let (host, port) = (host.clone(), *port);
        let address = if self.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let access = access.set_lib_name("acgs", env!("CARGO_PKG_VERSION"));
        Ok(address.into_connection_info()?.set_tcp_settings(tcp()).set_redis_settings(access))
    }
}

/// Every ask has a deadline of its own, so connections need none.
fn config() -> AsyncConnectionConfig {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT));
    config.set_response_timeout(None).set_pipeline_buffer_size(QUEUE)
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn no_host() -> RedisError {
    (ErrorKind::InvalidClientConfig, "there is no host").into()
}

async fn subscribed(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut messages = client.get_async_pubsub().await?;
    messages.subscribe(channel).await?;
    Ok(messages)
}

/// A Sentinel's address of a master.
async fn asked(sentinel: ConnectionInfo, name: &str) -> RedisResult<Option<(String, u16)>> {
    let config = config().set_response_timeout(Some(CONNECT_TIMEOUT));
    let mut link = Client::open(sentinel)?.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).query_async(&mut link).await
}

impl Link {
    /// Asks, and gives an answer for each command; an error where the connection gave none.
    pub async fn ask(&mut self, request: &Request) -> RedisResult<Vec<RedisResult<Value>>> {
        match (self, request) {
            (Self::Single(link), Request::One(command)) => single(link.req_packed_command(command).await),
            (Self::Cluster(link), Request::One(command)) => single(link.req_packed_command(command).await),
            (Self::Single(link), Request::Many(commands)) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                let answers = link.req_packed_commands(&pipeline, 0, commands.len()).await?;
                Ok(answers.into_iter().map(Value::extract_error).collect())
            }
            (Self::Cluster(link), Request::Many(commands)) => {
                // They go to different nodes.
                let ask = |command| {
                    let mut link = link.clone();
                    async move { single(link.req_packed_command(command).await) }
                };
                let answers = join_all(commands.iter().map(ask)).await;
                Ok(answers.into_iter().collect::<RedisResult<Vec<_>>>()?.into_iter().flatten().collect())
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Cluster(_) => "Cluster",
        })
    }
}

/// An answer that is an error is still an answer of the server.
fn single(answer: RedisResult<Value>) -> RedisResult<Vec<RedisResult<Value>>> {
    match answer {
        Ok(value) => Ok(vec![value.extract_error()]),
        Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => Ok(vec![Err(error)]),
        Err(error) => Err(error),
    }
}
