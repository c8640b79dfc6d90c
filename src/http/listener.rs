//! The daemon's listeners: the public address or socket, and the socket for this host's administrator.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::available_parallelism;

use actix_web::dev::Server;

use super::app_state::AppState;
use super::connections::{ConnectionLimits, Connections};
use super::entrance::Entrance;
use super::service;
use crate::settings::{Bind, Http};

/// How many connections wait to be accepted.
const BACKLOG: u32 = 4096;

/// A listener that has its address, before anything is served.
#[derive(Debug)]
pub enum Bound {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Takes the address that the settings name.
pub fn bind(bind: &Bind) -> io::Result<Bound> {
    match bind {
        Bind::Tcp(address) => {
            let socket = socket2::Socket::new(socket2::Domain::for_address(*address), socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG.cast_signed())?;
            Ok(Bound::Tcp(socket.into()))
        }
        Bind::Unix(path) => {
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            // A socket left over by a process that is gone. Any other file is not ours to remove.
            if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
                fs::remove_file(path)?;
            }
            UnixListener::bind(path).map(Bound::Unix)
        }
    }
}

impl Bound {
    /// The URL that reaches this listener from the same host.
    pub fn url(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Self::Unix(_) => Ok("http://localhost".to_owned()),
        }
    }
}

/// The open listeners.
#[derive(Debug)]
pub struct Listeners {
    /// The public listener; `None` if only this host's administrator is served.
    pub public: Option<Bound>,
    /// For this host's administrator.
    pub admin: Option<UnixListener>,
}

/// Takes the admin socket, for the daemon's user and root alone.
pub fn bind_admin(path: &Path) -> io::Result<UnixListener> {
    match bind(&Bind::Unix(path.to_owned()))? {
        Bound::Unix(listener) => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            Ok(listener)
        }
        Bound::Tcp(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The limits for connections on the admin socket, which do not count among the others.
const ADMIN: ConnectionLimits = ConnectionLimits { total: 32, per_address: 32 };

/// The most connections that are evicted or refused, but not closed yet.
const CLOSING: usize = 64;

/// The most connections beyond [`ConnectionLimits`].
pub const BEYOND_LIMITS: usize = ADMIN.total + CLOSING;

/// The number of threads that serve requests.
#[must_use]
pub fn workers(http: &Http) -> usize {
    http.workers.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

impl Listeners {
    /// Starts serving.
    pub fn serve(self, app_state: AppState, limits: ConnectionLimits) -> io::Result<Server> {
        let http = &app_state.settings.http;
        let workers = workers(http);
        let server = Server::build()
            .workers(workers)
            // The entrances evict and refuse connections beyond their limits. This bounds those that are not closed
            // yet, and with them the open file descriptors: further ones wait to be accepted.
            .max_concurrent_connections((limits.total + BEYOND_LIMITS).div_ceil(workers))
            .shutdown_timeout(http.shutdown_timeout.as_secs())
            .disable_signals();
        let ending = server.graceful_shutdown_signal();
        let public = Entrance::public(&app_state.settings.http, Connections::new(limits));
        let admin = Entrance::admin(Connections::new(ADMIN));
        let server = match self.public {
            Some(Bound::Tcp(listener)) => {
                let (app_state, ending) = (app_state.clone(), ending.clone());
                server.listen("public", listener, move || service::tcp(&public, &app_state, &ending))?
            }
            Some(Bound::Unix(listener)) => {
                let (app_state, ending) = (app_state.clone(), ending.clone());
                server.listen_uds("public", listener, move || service::unix(&public, &app_state, &ending))?
            }
            None => server,
        };
        let server = match self.admin {
            Some(listener) => {
                server.listen_uds("admin", listener, move || service::unix(&admin, &app_state, &ending))?
            }
            None => server,
        };
        Ok(server.run())
    }
}
