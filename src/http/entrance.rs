//! Which connections are let in, and whose they are.

use std::io;

use actix_web::rt::net::{TcpStream, UnixStream};

use super::connection::{Connection, HEAD_TIMEOUT, Peer, Stream};
use super::connections::{Bounds, Connections};
use super::local_admin::LocalAdmin;
use super::proxy_protocol::{self, ProxyHeaderError};
use crate::auth::network::ClientAddress;
use crate::settings::{Http, ProxyProtocol, TrustedProxies};

/// One listener's rules for connections; shared by all workers.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    connections: Connections,
    proxies: TrustedProxies,
    protocol: ProxyProtocol,
    is_admin: bool,
}

/// Why a connection is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NotLetIn {
    /// All places are taken by connections with requests in progress.
    #[error("too many connections are open")]
    Full,
    /// Only trusted proxies may connect.
    #[error("`{0}` is none of `http.trusted_proxies`, and only these may speak the PROXY protocol")]
    NoProxy(ClientAddress),
    /// It does not say as it must where its client is.
    #[error("{0}")]
    Header(#[from] ProxyHeaderError),
    /// It is gone already.
    #[error("{0}")]
    Gone(#[from] io::Error),
    /// Only root and the daemon's own user are let in.
    #[error("the peer on the admin socket is neither root nor the daemon's user")]
    NotAdmin,
}

impl Entrance {
    /// The entrance for everybody.
    pub(super) fn public(http: &Http, connections: Connections) -> Self {
        Self { connections, proxies: http.trusted_proxies.clone(), protocol: http.proxy_protocol, is_admin: false }
    }

    /// The entrance for this host's administrator.
    pub(super) fn admin(connections: Connections) -> Self {
        Self { connections, proxies: TrustedProxies::default(), protocol: ProxyProtocol::Off, is_admin: true }
    }

    /// A TCP connection.
    pub(super) async fn tcp(&self, stream: TcpStream) -> Result<Connection, NotLetIn> {
        let peer = ClientAddress::Ip(stream.peer_addr()?.ip().to_canonical());
        self.enter(Stream::Tcp(stream), peer, None).await
    }

    /// A connection on a Unix socket.
    pub(super) async fn unix(&self, stream: UnixStream) -> Result<Connection, NotLetIn> {
        let admin = if self.is_admin { Some(LocalAdmin::at(&stream).ok_or(NotLetIn::NotAdmin)?) } else { None };
        self.enter(Stream::Unix(stream), ClientAddress::Unix, admin).await
    }

    async fn enter(
        &self,
        mut stream: Stream,
        peer: ClientAddress,
        admin: Option<LocalAdmin>,
    ) -> Result<Connection, NotLetIn> {
        // The place first: whoever sends no header has one, too. A proxy has the connections of many.
        let is_proxy = self.is_proxy(peer);
        let bounds = if is_proxy || peer == ClientAddress::Unix { Bounds::OfAll } else { Bounds::OfAddress };
        let place = self.connections.enter(peer, bounds).ok_or(NotLetIn::Full)?;
        let address = match self.protocol {
            ProxyProtocol::Off => peer,
            ProxyProtocol::V2 if !is_proxy => return Err(NotLetIn::NoProxy(peer)),
            ProxyProtocol::V2 => match &mut stream {
                Stream::Tcp(stream) => proxy_protocol::read(stream, peer, HEAD_TIMEOUT).await?,
                Stream::Unix(stream) => proxy_protocol::read(stream, peer, HEAD_TIMEOUT).await?,
            },
        };
        Ok(Connection::new(stream, Peer::new(address, self.is_proxy(address), admin, place)))
    }

    /// Whether what this peer says of its clients' addresses is believed.
    fn is_proxy(&self, peer: ClientAddress) -> bool {
        match peer {
            ClientAddress::Ip(address) => self.proxies.contains(address),
            ClientAddress::Unix => self.proxies.contains_unix(),
            ClientAddress::Unknown => false,
        }
    }
}
