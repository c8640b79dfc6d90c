//! The route table.

use actix_web::Route;
use actix_web::error::QueryPayloadError;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};

use super::authorization;
use super::authorization::Access::{self, Authenticated, OptionalAuth, Public, RateLimited, Requires};
use super::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};
use super::route_table::{RouteTable, Routed};
use super::{
    alerts, api_keys, audit, audit_search, authzen, bench_results, browser_session, cache, clients, constitution,
    dashboard, denials, docs, entities, explain, health, log_level, login, metrics, oauth, openapi, performance,
    performance_stream, pool, problem_pages, second_factor, status, token_keys, users, validate, vocabulary, writes,
};
use crate::auth::scope::Scope;
use crate::settings::{DecisionAccess, MetricsAccess, Settings};

/// All routes, with their authorization. They are matched in this order, so the most frequent come first.
///
/// `path` is the path of the public URL.
pub(super) fn routes(config: &mut ServiceConfig, settings: &Settings, path: &str) {
    let mut table = RouteTable::new(config);
    add_routes(&mut table, settings, path);
    table.publish();
}

/// All routes; those of the API document are compared with them.
pub(super) fn add_routes(config: &mut RouteTable<'_>, settings: &Settings, path: &str) {
    let metrics_access = metrics_access(settings);
    decision_routes(config, settings.auth.decisions);
    auth_routes(config, path);
    operation_routes(config, metrics_access);
    page_routes(config);
    config
        .app_data(PathConfig::default().error_handler(|error, _| Problem::fault("", error.to_string()).into()))
        .app_data(QueryConfig::default().error_handler(|error, _| malformed_query(&error).into()))
        .service(at_each(
            well_known("authzen-configuration", path),
            [(Method::GET, Public, web::get().to(authzen::configuration))],
        ))
        .service(at("/v1/constitution", [(Method::GET, Requires(Scope::Read), web::get().to(constitution::show))]))
        .service(at(
            "/v1/constitution/policies",
            [(Method::GET, Requires(Scope::Read), web::get().to(constitution::policies))],
        ))
        .service(at(
            "/v1/constitution/policies/{id}",
            [(Method::GET, Requires(Scope::Read), web::get().to(constitution::policy))],
        ))
        .service(at(
            "/v1/constitution/reload",
            [(Method::POST, Requires(Scope::ConstitutionWrite), web::post().to(constitution::reload))],
        ))
        .service(at("/v1/schema", [(Method::GET, Requires(Scope::Read), web::get().to(vocabulary::show))]))
        .service(at("/v1/entities", [(Method::GET, Requires(Scope::EntitiesRead), web::get().to(entities::list))]))
        .service(at(
            "/v1/entities/batch",
            [(Method::POST, Requires(Scope::EntitiesWrite), web::post().to(entities::put_batch))],
        ))
        .service(at(
            "/v1/entities/{type}/{id}",
            [
                (Method::GET, Requires(Scope::EntitiesRead), web::get().to(entities::show)),
                (Method::PUT, Requires(Scope::EntitiesWrite), web::put().to(entities::put)),
                (Method::DELETE, Requires(Scope::EntitiesWrite), web::delete().to(entities::remove)),
            ],
        ))
        .service(at("/v1/explain", [(Method::POST, Requires(Scope::Read), web::post().to(explain::explain))]))
        .service(at("/v1/writes/{id}", [(Method::GET, Authenticated, web::get().to(writes::show))]))
        .service(at("/v1/audit", [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::status))]))
        .service(at(
            "/v1/audit/entries",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit_search::search))],
        ))
        .service(at("/v1/audit/denials", [(Method::GET, Requires(Scope::AuditRead), web::get().to(denials::count))]))
        .service(at(
            "/v1/decisions/{id}",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit_search::decision))],
        ))
        .service(at(
            "/v1/audit/log/checkpoint",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::checkpoint))],
        ))
        .service(at(
            "/v1/audit/log/checkpoint/witnessed",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::witnessed))],
        ))
        .service(at(
            "/v1/audit/log/tile/{name:.*}",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::tile))],
        ))
        .service(at(
            "/v1/audit/entries/{index}",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::entry))],
        ))
        .service(at(
            "/v1/audit/entries/{index}/proof",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::proof))],
        ))
        .service(at(
            "/v1/audit/consistency",
            [(Method::GET, Requires(Scope::AuditRead), web::get().to(audit::consistency))],
        ))
        .default_service(web::to(|| async { Err::<String, _>(Problem::new(&NOT_FOUND, "there is no such route")) }));
}

/// The authorization that `/metrics` requires.
fn metrics_access(settings: &Settings) -> Access {
    match settings.monitor.metrics {
        MetricsAccess::Open if settings.http.is_for_this_host() => Public,
        MetricsAccess::Open | MetricsAccess::Token => Requires(Scope::Read),
    }
}

/// The routes by which the daemon is watched and operated.
fn operation_routes(config: &mut RouteTable<'_>, metrics_access: Access) {
    config
        .service(at(
            "/v1/cache",
            [
                (Method::GET, Requires(Scope::Read), web::get().to(cache::show)),
                (Method::DELETE, Requires(Scope::Ops), web::delete().to(cache::clear)),
            ],
        ))
        .service(at("/v1/status", [(Method::GET, Requires(Scope::Read), web::get().to(status::show))]))
        .service(at(
            "/v1/log-level",
            [
                (Method::GET, Requires(Scope::Ops), web::get().to(log_level::show)),
                (Method::PUT, Requires(Scope::Ops), web::put().to(log_level::put)),
            ],
        ))
        .service(at("/v1/bench-results", [(Method::POST, Requires(Scope::Ops), web::post().to(bench_results::record))]))
        .service(at("/v1/pool", [(Method::GET, Requires(Scope::Read), web::get().to(pool::show))]))
        .service(at("/v1/performance", [(Method::GET, Requires(Scope::Read), web::get().to(performance::show))]))
        .service(at(
            "/v1/performance/history",
            [(Method::GET, Requires(Scope::Read), web::get().to(performance::history))],
        ))
        .service(at(
            "/v1/performance/stream",
            [(Method::GET, Requires(Scope::Read), web::get().to(performance_stream::stream))],
        ))
        .service(at("/v1/alerts", [(Method::GET, Requires(Scope::Read), web::get().to(alerts::list))]))
        .service(at("/metrics", [(Method::GET, metrics_access, web::get().to(metrics::show))]))
        .service(at("/livez", [(Method::GET, Public, web::get().to(health::livez))]))
        .service(at("/readyz", [(Method::GET, Public, web::get().to(health::readyz))]));
}

/// The pages for people.
fn page_routes(config: &mut RouteTable<'_>) {
    config
        .service(at("/alerts/{name}", [(Method::GET, Public, web::get().to(alerts::page))]))
        .service(at("/", [(Method::GET, Public, web::get().to(dashboard::root))]))
        .service(at("/dashboard", [(Method::GET, Public, web::get().to(dashboard::without_slash))]))
        .service(at("/dashboard/", [(Method::GET, Public, web::get().to(dashboard::page))]))
        .service(at("/dashboard/{file}", [(Method::GET, Public, web::get().to(dashboard::file))]))
        .service(at("/openapi.json", [(Method::GET, Public, web::get().to(openapi::show))]))
        .service(at("/docs", [(Method::GET, Public, web::get().to(docs::page))]))
        .service(at("/docs/{file}", [(Method::GET, Public, web::get().to(docs::file))]))
        .service(at("/problems/{slug}", [(Method::GET, Public, web::get().to(problem_pages::show))]));
}

/// The routes that decide.
fn decision_routes(config: &mut RouteTable<'_>, decisions: DecisionAccess) {
    let decide = match decisions {
        DecisionAccess::Open => OptionalAuth,
        DecisionAccess::Token => Requires(Scope::Decide),
    };
    config
        .service(at("/access/v1/evaluation", [(Method::POST, decide, web::post().to(authzen::evaluation))]))
        .service(at("/access/v1/evaluations", [(Method::POST, decide, web::post().to(authzen::evaluations))]))
        .service(at("/v1/validate", [(Method::POST, decide, web::post().to(validate::validate))]));
}

/// The paths of a metadata document. Clients of a URL with a path insert the well-known name before that path (RFC
/// 8414, section 3.1; `AuthZEN` 1.0, section 9.2.1), unless a proxy strips the path.
fn well_known(name: &str, path: &str) -> Vec<String> {
    let root = format!("/.well-known/{name}");
    if path.is_empty() { vec![root] } else { vec![format!("{root}{path}"), root] }
}

/// The routes of the Auth service.
fn auth_routes(config: &mut RouteTable<'_>, path: &str) {
    config
        .service(at("/oauth2/token", [(Method::POST, RateLimited, web::post().to(oauth::token))]))
        .service(at("/oauth2/introspect", [(Method::POST, OptionalAuth, web::post().to(oauth::introspect))]))
        .service(at("/oauth2/revoke", [(Method::POST, RateLimited, web::post().to(oauth::revoke))]))
        .service(at("/.well-known/jwks.json", [(Method::GET, Public, web::get().to(oauth::jwks))]))
        .service(at_each(
            well_known("oauth-authorization-server", path),
            [(Method::GET, Public, web::get().to(oauth::metadata))],
        ))
        .service(at("/v1/auth/login", [(Method::POST, RateLimited, web::post().to(login::login))]))
        .service(at(
            "/v1/auth/session",
            [
                (Method::POST, RateLimited, web::post().to(browser_session::sign_in)),
                (Method::GET, OptionalAuth, web::get().to(browser_session::show)),
                (Method::DELETE, Authenticated, web::delete().to(browser_session::sign_out)),
            ],
        ))
        .service(at("/v1/auth/refresh", [(Method::POST, RateLimited, web::post().to(login::refresh))]))
        .service(at("/v1/auth/logout", [(Method::POST, Authenticated, web::post().to(login::logout))]))
        .service(at("/v1/auth/logout-all", [(Method::POST, Authenticated, web::post().to(login::logout_all))]))
        .service(at("/v1/auth/password", [(Method::POST, Authenticated, web::post().to(login::change_password))]))
        .service(at(
            "/v1/auth/totp",
            [
                (Method::POST, Authenticated, web::post().to(second_factor::enrol)),
                (Method::DELETE, Authenticated, web::delete().to(second_factor::remove)),
            ],
        ))
        .service(at("/v1/auth/totp/confirm", [(Method::POST, Authenticated, web::post().to(second_factor::confirm))]))
        .service(at("/v1/auth/me", [(Method::GET, Authenticated, web::get().to(login::me))]))
        .service(at("/v1/auth/sessions", [(Method::GET, Authenticated, web::get().to(login::sessions))]))
        .service(at("/v1/auth/sessions/{id}", [(Method::DELETE, Authenticated, web::delete().to(login::end_session))]))
        .service(at(
            "/v1/auth/keys/rotate",
            [(Method::POST, Requires(Scope::AuthWrite), web::post().to(token_keys::rotate))],
        ))
        .service(at(
            "/v1/users",
            [
                (Method::GET, Requires(Scope::AuthWrite), web::get().to(users::list)),
                (Method::POST, Requires(Scope::AuthWrite), web::post().to(users::add)),
            ],
        ))
        .service(at(
            "/v1/users/{name}",
            [
                (Method::GET, Requires(Scope::AuthWrite), web::get().to(users::show)),
                (Method::PATCH, Requires(Scope::AuthWrite), web::patch().to(users::change)),
                (Method::DELETE, Requires(Scope::AuthWrite), web::delete().to(users::remove)),
            ],
        ))
        .service(at(
            "/v1/clients",
            [
                (Method::GET, Requires(Scope::AuthWrite), web::get().to(clients::list)),
                (Method::POST, Requires(Scope::AuthWrite), web::post().to(clients::add)),
            ],
        ))
        .service(at(
            "/v1/clients/{id}",
            [
                (Method::PATCH, Requires(Scope::AuthWrite), web::patch().to(clients::change)),
                (Method::DELETE, Requires(Scope::AuthWrite), web::delete().to(clients::remove)),
            ],
        ))
        .service(at(
            "/v1/api-keys",
            [
                (Method::GET, Requires(Scope::AuthWrite), web::get().to(api_keys::list)),
                (Method::POST, Requires(Scope::AuthWrite), web::post().to(api_keys::add)),
            ],
        ))
        .service(at(
            "/v1/api-keys/{id}",
            [(Method::DELETE, Requires(Scope::AuthWrite), web::delete().to(api_keys::revoke))],
        ));
}

/// A route with its methods; any other method is answered with those it has.
fn at<const N: usize>(path: &str, methods: [(Method, Access, Route); N]) -> Routed {
    at_each(vec![path.to_owned()], methods)
}

/// A resource with several paths.
fn at_each<const N: usize>(paths: Vec<String>, methods: [(Method, Access, Route); N]) -> Routed {
    let names = methods.iter().map(|(method, _, _)| if *method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allowed = names.collect::<Vec<_>>().join(", ");
    let listed = methods.iter().map(|(method, access, _)| (method.clone(), *access)).collect();
    let described = paths.clone();
    let resource = methods.into_iter().fold(web::resource(paths), |resource, (_, access, route)| {
        resource.route(match access {
            Public => route,
            asked => route.wrap(from_fn(move |request, next| authorization::pass(asked, request, next))),
        })
    });
    let resource = resource.default_service(web::to(move || {
        let allowed = allowed.clone();
        async move {
            let problem = Problem::new(&METHOD_NOT_ALLOWED, format!("the route takes {allowed}"));
            let allow = HeaderValue::from_str(&allowed).unwrap_or_else(|_| HeaderValue::from_static(""));
            Err::<String, _>(problem.with_header(header::ALLOW, allow))
        }
    }));
    Routed { resource, paths: described, methods: listed }
}

fn malformed_query(error: &QueryPayloadError) -> Problem {
    match error {
        QueryPayloadError::Deserialize(cause) => Problem::fault("", format!("the query cannot be read: {cause}")),
        other => Problem::fault("", other.to_string()),
    }
}
