//! The HTTP service of a worker for one listener, from accepted connections to answers.

use std::rc::Rc;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Service as _};
use actix_web::http::Method;
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::web::Data;
use futures_util::future::{Either, ready};

use super::app_state::AppState;
use super::connection::{Connection, HEAD_TIMEOUT, KEEP_ALIVE};
use super::current_request;
use super::entrance::{AdmissionError, Entrance};
use super::middleware::RequestGuard;
use super::routes::routes;
use super::worker_state::WorkerState;

/// The service for TCP connections.
pub(super) fn tcp(
    entrance: &Entrance,
    app_state: &AppState,
    ending: &GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()> + use<> {
    let entrance = entrance.clone();
    let enter = move |stream: TcpStream| {
        let entrance = entrance.clone();
        async move { entrance.tcp(stream).await.map_err(|cause| note_refusal(&cause)) }
    };
    fn_service(enter).and_then(http(app_state, ending))
}

/// The service for connections on a Unix socket.
pub(super) fn unix(
    entrance: &Entrance,
    app_state: &AppState,
    ending: &GracefulShutdownSignal,
) -> impl ServiceFactory<UnixStream, Config = (), Response = (), Error = (), InitError = ()> + use<> {
    let entrance = entrance.clone();
    let enter = move |stream: UnixStream| {
        let entrance = entrance.clone();
        async move { entrance.unix(stream).await.map_err(|cause| note_refusal(&cause)) }
    };
    fn_service(enter).and_then(http(app_state, ending))
}

/// Clients without a credential can cause refused connections, so these are logged at the level `debug` only.
fn note_refusal(cause: &AdmissionError) {
    tracing::debug!(%cause, "connection refused");
}

/// Serves HTTP/1.1 on admitted connections.
fn http(
    app_state: &AppState,
    ending: &GracefulShutdownSignal,
) -> impl ServiceFactory<Connection, Config = (), Response = (), Error = (), InitError = ()> + use<> {
    let (app, ending) = (app(app_state), ending.clone());
    let service = HttpService::build()
        .graceful_shutdown_signal(move || {
            let ending = ending.clone();
            async move { ending.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .on_connect_ext(|connection: &Connection, data: &mut actix_http::Extensions| {
            data.insert(connection.peer().clone());
        })
        .finish(map_config(app, |()| AppConfig::default()));
    fn_service(|connection: Connection| {
        let address = connection.peer().address.ip().map(|address| (address, 0).into());
        ready(Ok::<_, DispatchError>((connection, Protocol::Http1, address)))
    })
    .and_then(service)
    // The reason for which a connection ended early concerns only its client.
    .map_err(|_| ())
}

/// The path of a URL: empty, or beginning with a slash.
fn path_of(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.find('/').and_then(|slash| host.get(slash..)).unwrap_or_default()
}

/// The application: every request passes through [`RequestGuard`].
fn app(
    app_state: &AppState,
) -> impl ServiceFactory<
    Request,
    Config = AppConfig,
    Response = actix_web::dev::ServiceResponse<BoxBody>,
    Error = actix_web::HttpResponse,
    InitError = (),
> + use<> {
    let state = WorkerState::here(app_state);
    let (settings, public_url) = (Arc::clone(&app_state.settings), Arc::clone(&app_state.public_url));
    let at_door = Rc::new(state.clone());
    let app = App::new().app_data(Data::new(state));
    let app = app.configure(|config| routes(config, &settings, path_of(&public_url)));
    let app = app.wrap_fn(move |mut request, next| {
        // HEAD is handled like GET (RFC 9110, section 9.3.2); the body is dropped when the answer is written.
        if request.method() == Method::HEAD {
            request.head_mut().method = Method::GET;
        }
        let (guard, context, answered) = RequestGuard::enter(&at_door, &mut request);
        let answer = match answered {
            Some(answer) => Either::Left(ready(Ok(request.into_response(answer)))),
            None => Either::Right(next.call(request)),
        };
        current_request::within(context, async move { Ok(guard.leave(answer.await?)) })
    });
    app.into_factory().map_err(|error: actix_web::Error| error.error_response())
}
