//! Where the daemon listens: an address or a socket for everybody, and a socket for this host's administrator.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::dev::{Server, Service};
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{App, HttpServer, ResponseError};
use futures_util::future::{Either, ready};

use super::door::Visit;
use super::front::{Front, Shared};
use super::local_admin::LocalAdmin;
use super::routes::routes;
use crate::settings::Bind;

/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

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
            // A socket left over by a process that is gone. Whatever else is there is not ours to remove.
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

/// What is listened on.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody; none where only this host's administrator is to be served.
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

impl Listeners {
    /// Starts serving.
    pub fn serve(self, shared: Shared) -> io::Result<Server> {
        let http = &shared.settings.http;
        let workers = http.workers.or_else(|| available_parallelism().ok()).map_or(1, std::num::NonZeroUsize::get);
        let grace = http.shutdown_timeout.as_secs();
        let admin = self.admin.as_ref().and_then(|admin| Some(admin.local_addr().ok()?.as_pathname()?.to_owned()));
        let server = HttpServer::new(move || {
            let front = Front::here(&shared);
            let decisions = shared.settings.auth.decisions;
            let at_door = Rc::new(front.clone());
            let app = App::new().app_data(Data::new(front)).configure(|config| routes(config, decisions));
            app.wrap_fn(move |mut request, next| {
                // RFC 9110, section 9.3.2: as GET; the body is left out where the answer is written.
                if request.method() == Method::HEAD {
                    request.head_mut().method = Method::GET;
                }
                let (visit, refused) = Visit::enter(&at_door, &request);
                let answer = match refused {
                    Some(problem) => Either::Left(ready(Ok(request.into_response(problem.error_response())))),
                    None => Either::Right(next.call(request)),
                };
                async move { Ok(visit.leave(answer.await?)) }
            })
        })
        .workers(workers)
        .shutdown_timeout(grace)
        .disable_signals()
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .on_connect(move |connection, data| {
            if let Some(admin) = admin.as_deref().and_then(|path| LocalAdmin::at(connection, path)) {
                data.insert(admin);
            }
        });
        let server = match self.public {
            Some(Bound::Tcp(listener)) => server.listen(listener)?,
            Some(Bound::Unix(listener)) => server.listen_uds(listener)?,
            None => server,
        };
        let server = match self.admin {
            Some(listener) => server.listen_uds(listener)?,
            None => server,
        };
        Ok(server.run())
    }
}
