//! `/problems/<slug>`: the meaning and the remedy of each kind of problem.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::html_page::HtmlPage;
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
    let page = HtmlPage::new(kind.title).paragraph(&format!("Status {}.", kind.status)).paragraph(kind.meaning);
    Ok(page.answer())
}
