//! `GET /docs`: a page that renders the API document. All of it is in the binary.

use std::sync::LazyLock;

use actix_web::http::header::{self, ContentType};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use super::problem::{NOT_FOUND, Problem};
use super::static_file::{StaticFile, answer};

/// Only the page's own files are loaded, and nothing runs that is written into the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static PAGE: LazyLock<StaticFile> = LazyLock::new(|| StaticFile::new(include_str!("assets/index.html")));
static SCRIPT: LazyLock<StaticFile> = LazyLock::new(|| StaticFile::new(include_str!("assets/docs.js")));
static STYLE: LazyLock<StaticFile> = LazyLock::new(|| StaticFile::new(include_str!("assets/docs.css")));

/// The API as a page
///
/// Renders `/openapi.json` in a browser.
#[utoipa::path(
    get, path = "/docs", operation_id = "showDocs", tag = "documents",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html",
         headers(("ETag" = String, description = "The entity tag of the page."))),
        (status = 304, description = "The caller knows the page.",
         headers(("ETag" = String, description = "The entity tag of the page."))),
    ),
)]
pub async fn page(request: HttpRequest) -> HttpResponse {
    guarded(answer(&request, &PAGE, ContentType::html()))
}

/// A file of the page
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "showDocsFile", tag = "documents",
    params(
        ("file" = String, Path, description = "`docs.js` or `docs.css`.", example = "docs.js"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version."),
    ),
    responses(
        (status = 200, description = "The file.", content((String = "text/javascript"), (String = "text/css")),
         headers(("ETag" = String, description = "The entity tag of the file."))),
        (status = 304, description = "The caller knows the file.",
         headers(("ETag" = String, description = "The entity tag of the file."))),
    ),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    let (file, kind) = match name.as_str() {
        "docs.js" => (&SCRIPT, "text/javascript; charset=utf-8"),
        "docs.css" => (&STYLE, "text/css; charset=utf-8"),
        other => return Err(Problem::new(&NOT_FOUND, format!("the page has no file `{other}`"))),
    };
    let kind = kind.parse().map_or_else(|_| ContentType::plaintext(), ContentType);
    Ok(guarded(answer(&request, file, kind)))
}

/// Adds the headers that bound what a browser does with an answer.
fn guarded(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}
