//! Pages for people: the headers of all of them, and the markup of those that explain something.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType, HeaderName, HeaderValue};

/// A page loads nothing from other hosts, runs no inline script, and is shown in no frame and by no other page.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the security headers, such as `Content-Security-Policy`, to the answer with a page or one of its files.
#[must_use]
pub(super) fn with_page_headers(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page of headings and paragraphs. All texts are escaped; in all but the title, backticks enclose code.
#[derive(Debug)]
pub(super) struct HtmlPage(String);

impl HtmlPage {
    /// A page with this title, which is its first heading, too.
    pub(super) fn new(title: &str) -> Self {
        let title = escaped(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<h1>{title}</h1>\n"
        ))
    }

    /// Adds a heading.
    #[must_use]
    pub(super) fn heading(self, text: &str) -> Self {
        self.add(format_args!("<h2>{}</h2>", prose(text)))
    }

    /// Adds a paragraph.
    #[must_use]
    pub(super) fn paragraph(self, text: &str) -> Self {
        self.add(format_args!("<p>{}</p>", prose(text)))
    }

    /// Adds a link to another page of the daemon, by a relative address.
    #[must_use]
    pub(super) fn link(self, address: &str, text: &str) -> Self {
        self.add(format_args!("<p><a href=\"{}\">{}</a></p>", escaped(address), prose(text)))
    }

    /// The page as an answer.
    #[must_use]
    pub(super) fn answer(self) -> HttpResponse {
        let body = self.0 + "</html>\n";
        with_page_headers(HttpResponse::Ok().insert_header(ContentType::html()).body(body))
    }

    fn add(mut self, element: std::fmt::Arguments<'_>) -> Self {
        let _ = writeln!(self.0, "{element}");
        self
    }
}

/// A text with code between backticks, as HTML. A backtick without another one stands for itself.
fn prose(text: &str) -> String {
    let (mut html, mut rest) = (String::new(), text);
    while let Some((before, code, after)) = rest.split_once('`').and_then(|(before, rest)| {
        let (code, after) = rest.split_once('`')?;
        Some((before, code, after))
    }) {
        let _ = write!(html, "{}<code>{}</code>", escaped(before), escaped(code));
        rest = after;
    }
    html + &escaped(rest)
}

/// A text without the characters that have a meaning in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_into_a_page_unescaped() {
        let hostile = "<b>&\"`<i>\"&`";
        let page = HtmlPage::new(hostile).heading(hostile).paragraph(hostile).link(hostile, hostile).0;
        let (title, prose) =
            ("&lt;b&gt;&amp;&quot;`&lt;i&gt;&quot;&amp;`", "&lt;b&gt;&amp;&quot;<code>&lt;i&gt;&quot;&amp;</code>");
        let expected = [
            format!("<title>{title}</title>"),
            format!("<h1>{title}</h1>"),
            format!("<h2>{prose}</h2>"),
            format!("<p>{prose}</p>"),
            format!("<p><a href=\"{title}\">{prose}</a></p>"),
        ];
        let lines: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("<title>")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn backticks_enclose_code() {
        for (text, html) in [
            ("see `cpu`", "see <code>cpu</code>"),
            ("`a` and `b<c`.", "<code>a</code> and <code>b&lt;c</code>."),
            ("a ` alone & <so>", "a ` alone &amp; &lt;so&gt;"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("", ""),
        ] {
            assert_eq!(prose(text), html);
        }
    }
}
