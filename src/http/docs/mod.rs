//! `GET /docs`: a page that renders the API document. All of it is in the binary.

use std::sync::LazyLock;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use super::html_page::with_page_headers;
use super::problem::{NOT_FOUND, Problem};
use super::static_file::StaticFile;

static PAGE: LazyLock<StaticFile> =
    LazyLock::new(|| StaticFile::new(include_str!("assets/index.html"), "text/html; charset=utf-8"));
static SCRIPT: LazyLock<StaticFile> =
    LazyLock::new(|| StaticFile::new(include_str!("assets/docs.js"), "text/javascript; charset=utf-8"));
static STYLE: LazyLock<StaticFile> =
    LazyLock::new(|| StaticFile::new(include_str!("assets/docs.css"), "text/css; charset=utf-8"));

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
    with_page_headers(PAGE.answer(request.headers()))
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
    let file = match name.as_str() {
        "docs.js" => &SCRIPT,
        "docs.css" => &STYLE,
        other => return Err(Problem::new(&NOT_FOUND, format!("the page has no file `{other}`"))),
    };
    Ok(with_page_headers(file.answer(request.headers())))
}
