//! `/dashboard/`: the page on which people see what the daemon does, and its files.
//!
//! All links are relative, also those of redirects, so that the page works behind a proxy that strips a prefix from the
//! path: it is at `dashboard/`, and reaches the API at `../v1/…`.

mod assets;

use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use super::html_page::with_page_headers;
use super::problem::{NOT_FOUND, Problem};

/// Go to the dashboard
///
/// Browsers, which take `text/html`, are sent to the dashboard; for other callers there is nothing here.
#[utoipa::path(
    get, path = "/", operation_id = "goToDashboard", tag = "documents",
    params(("Accept" = Option<String>, Header, description = "The media types that the caller takes.")),
    responses((status = 302, description = "The dashboard is at `Location`.", headers(
        ("Location" = String, description = "The dashboard, with the query of the request."),
        ("Vary" = String, description = "Other callers get another answer."),
    ))),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn root(request: HttpRequest) -> Result<HttpResponse, Problem> {
    if accepts_html(request.headers()) {
        return Ok(to_page(request.uri()));
    }
    Err(Problem::new(&NOT_FOUND, "there is no such route")
        .with_header(header::VARY, HeaderValue::from_static("Accept")))
}

/// Go to the dashboard from its path without a slash
///
/// The page's links resolve against the path with a slash at its end.
#[utoipa::path(
    get, path = "/dashboard", operation_id = "goToDashboardPath", tag = "documents",
    responses((status = 302, description = "The dashboard is at `Location`.", headers(
        ("Location" = String, description = "The dashboard, with the query of the request."),
    ))),
)]
pub async fn without_slash(request: HttpRequest) -> HttpResponse {
    to_page(request.uri())
}

/// The dashboard
///
/// The page that shows the state and the decisions of the daemon. It reads them with the credential of its user.
#[utoipa::path(
    get, path = "/dashboard/", operation_id = "showDashboard", tag = "documents",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html",
         headers(("ETag" = String, description = "The entity tag of the page."))),
        (status = 304, description = "The caller knows the page.",
         headers(("ETag" = String, description = "The entity tag of the page."))),
    ),
)]
pub async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&request, assets::INDEX)
}

/// A file of the dashboard
#[utoipa::path(
    get, path = "/dashboard/{file}", operation_id = "showDashboardFile", tag = "documents",
    params(
        ("file" = String, Path, description = "The file's name.", example = "style.css"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version."),
    ),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript"), (String = "text/css"), (String = "text/html"), (String = "image/svg+xml"),
            (String = "text/plain")
        ), headers(("ETag" = String, description = "The entity tag of the file."))),
        (status = 304, description = "The caller knows the file.",
         headers(("ETag" = String, description = "The entity tag of the file."))),
    ),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    serve(&request, &name)
}

fn serve(request: &HttpRequest, name: &str) -> Result<HttpResponse, Problem> {
    let file = assets::find(name).ok_or_else(|| Problem::new(&NOT_FOUND, "the dashboard has no file of this name"))?;
    Ok(with_page_headers(file.answer(request.headers())))
}

/// Both `/` and `/dashboard` are in the folder of the page.
fn to_page(uri: &Uri) -> HttpResponse {
    let location = uri.query().map_or_else(|| "dashboard/".to_owned(), |query| format!("dashboard/?{query}"));
    let mut response = HttpResponse::Found();
    response.insert_header((header::LOCATION, location)).insert_header((header::VARY, "Accept")).finish()
}

/// Whether the caller names HTML among the media types that it takes, as browsers do when they navigate.
fn accepts_html(headers: &HeaderMap) -> bool {
    let types =
        headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    types.filter_map(|item| item.split(';').next()).any(|media| media.trim().eq_ignore_ascii_case("text/html"))
}
