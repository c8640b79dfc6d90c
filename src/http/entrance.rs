//! Accepts or refuses new connections, and determines their clients' addresses.

use std::io;

use actix_web::rt::net::{TcpStream, UnixStream};

use super::connection::{Connection, HEAD_TIMEOUT, Peer, Stream};
use super::connections::{Bounds, Connections};
use super::local_admin::LocalAdmin;
use super::proxy_protocol::{self, ProxyHeaderError};
use crate::auth::network::ClientAddress;
use crate::settings::{Http, ProxyProtocol, TrustedProxies};

/// The rules for the connections of one listener; shared by all workers.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    connections: Connections,
    proxies: TrustedProxies,
    protocol: ProxyProtocol,
    is_admin: bool,
}

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// All slots are taken by connections with requests in progress.
    #[error("too many connections are open")]
    Full,
    /// The PROXY protocol is on, and the peer is no trusted proxy.
    #[error("`{0}` is not in `http.trusted_proxies`; with `http.proxy_protocol` only these may connect")]
    NoProxy(ClientAddress),
    /// The PROXY protocol header is missing or invalid.
    #[error("{0}")]
    Header(#[from] ProxyHeaderError),
    /// The connection was closed or failed.
    #[error("{0}")]
    Gone(#[from] io::Error),
    /// The peer on the admin socket is neither root nor the daemon's own user.
    #[error("the peer on the admin socket is neither root nor the daemon's user")]
    NotAdmin,
}

impl Entrance {
    /// The rules of the public listener.
    pub(super) fn public(http: &Http, connections: Connections) -> Self {
        Self { connections, proxies: http.trusted_proxies.clone(), protocol: http.proxy_protocol, is_admin: false }
    }

    /// The rules of the admin socket.
    pub(super) fn admin(connections: Connections) -> Self {
        Self { connections, proxies: TrustedProxies::default(), protocol: ProxyProtocol::Off, is_admin: true }
    }

    /// Admits a TCP connection.
    pub(super) async fn tcp(&self, stream: TcpStream) -> Result<Connection, AdmissionError> {
        let peer = ClientAddress::Ip(stream.peer_addr()?.ip().to_canonical());
        self.enter(Stream::Tcp(stream), peer, None).await
    }

    /// Admits a connection on a Unix socket.
    pub(super) async fn unix(&self, stream: UnixStream) -> Result<Connection, AdmissionError> {
        let admin = if self.is_admin { Some(LocalAdmin::at(&stream).ok_or(AdmissionError::NotAdmin)?) } else { None };
        self.enter(Stream::Unix(stream), ClientAddress::Unix, admin).await
    }

    async fn enter(
        &self,
        mut stream: Stream,
        peer: ClientAddress,
        admin: Option<LocalAdmin>,
    ) -> Result<Connection, AdmissionError> {
        // The slot is taken first, so that a peer which sends no header occupies one, too. A proxy counts only in the
        // total.
        let is_proxy = self.is_proxy(peer);
        let bounds = if is_proxy || peer == ClientAddress::Unix { Bounds::OfAll } else { Bounds::OfAddress };
        let place = self.connections.enter(peer, bounds).ok_or(AdmissionError::Full)?;
        let address = match self.protocol {
            ProxyProtocol::Off => peer,
            ProxyProtocol::V2 if !is_proxy => return Err(AdmissionError::NoProxy(peer)),
            ProxyProtocol::V2 => match &mut stream {
                Stream::Tcp(stream) => proxy_protocol::read(stream, peer, HEAD_TIMEOUT).await?,
                Stream::Unix(stream) => proxy_protocol::read(stream, peer, HEAD_TIMEOUT).await?,
            },
        };
        Ok(Connection::new(stream, Peer::new(address, self.is_proxy(address), admin, place)))
    }

    /// Whether the peer is a trusted proxy.
    fn is_proxy(&self, peer: ClientAddress) -> bool {
        match peer {
            ClientAddress::Ip(address) => self.proxies.contains(address),
            ClientAddress::Unix => self.proxies.contains_unix(),
            ClientAddress::Unknown => false,
        }
    }
}
