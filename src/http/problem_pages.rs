//! `/problems/<slug>`: the meaning and the remedy of each kind of problem.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Path;

use super::problem::{KINDS, NOT_FOUND, Problem};

/// Explain a kind of problem
///
/// The page that the `type` of a problem refers to.
#[utoipa::path(
    get, path = "/problems/{slug}", operation_id = "explainProblem", tag = "documents",
    params(("slug" = String, Path, description = "The last part of the problem's `type`.", example = "stale")),
    responses((status = 200, description = "Meaning and remedy.", body = String, content_type = "text/html")),
    extensions(("x-problems" = json!([NOT_FOUND.slug]))),
)]
pub async fn show(slug: Path<String>) -> Result<HttpResponse, Problem> {
    let kind = KINDS.iter().find(|kind| kind.slug == *slug);
    let kind = kind.ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no problem type `{slug}`")))?;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<p>Status {status}.</p>\n<p>{meaning}</p>\n</html>\n",
        title = kind.title,
        status = kind.status,
        meaning = kind.meaning
    );
    Ok(HttpResponse::Ok().insert_header(ContentType::html()).body(page))
}
