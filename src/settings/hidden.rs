//! Hides passwords in messages, in whatever form they were written.

/// Replaces hidden text.
const ELLIPSIS: &str = "…";

/// The text of a line or of a value, with an ellipsis for whatever may be a password in it.
///
/// The text may be wrong in any way, so that in doubt more is hidden than had to be.
pub(super) fn without_password(text: &str) -> String {
    without_parameters(&without_logins(text))
}

/// The text with an ellipsis for the part of each URL before the `@`.
fn without_logins(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = next_url(rest) {
        let end = opening(before).and_then(|quote| closing(quote, after)).unwrap_or(after.len());
        let (url, following) = after.split_at(end);
        shown.push_str(before);
        match url.rsplit_once('@') {
            Some((_, hosts)) => {
                shown.push_str(ELLIPSIS);
                shown.push('@');
                shown.push_str(hosts);
            }
            // A password without the host that should follow it.
            None if has_strange_port(url) => shown.push_str(ELLIPSIS),
            None => shown.push_str(url),
        }
        rest = following;
    }
    shown + rest
}

/// Splits a text at the end of the next URL scheme.
fn next_url(text: &str) -> Option<(&str, &str)> {
    // A URL without its slashes is invalid, but may contain a password all the same.
    const SCHEMES: [&str; 6] = ["postgres", "postgresql", "redis", "rediss", "+cluster", "+sentinel"];
    text.match_indices(':').find_map(|(at, _)| {
        let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
        let slashes = rest.len() - rest.trim_start_matches('/').len();
        let is_scheme = slashes >= 2 || SCHEMES.iter().any(|scheme| before.ends_with(scheme));
        is_scheme.then(|| text.split_at(at + 1 + slashes.min(2)))
    })
}

/// The opening quote of a URL, given the text before it, up to the end of its scheme.
fn opening(before: &str) -> Option<&str> {
    let before = before.trim_end_matches(|letter: char| letter.is_ascii_alphanumeric() || "+-.:/".contains(letter));
    ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| before.ends_with(quote))
}

/// Where a string ends that began with these quotes.
fn closing(quote: &str, text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let ends = !is_escaped && text.get(at..)?.starts_with(quote);
        is_escaped = !is_escaped && letter == '\\' && quote.starts_with('"');
        ends.then_some(at)
    })
}

/// Whether the URL has something else than a port where a port should be.
fn has_strange_port(url: &str) -> bool {
    let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
    let is_strange = |host: &str| {
        let port = host.rsplit_once(':').map(|(_, port)| port.trim_end_matches(['"', '\'']));
        !host.starts_with('[') && port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()))
    };
    authority.split(',').any(is_strange)
}

/// The text with an ellipsis for the value of each password, and of the URL of a webhook, whose path may be a token.
fn without_parameters(text: &str) -> String {
    ["password", "webhook_url"].into_iter().fold(text.to_owned(), |text, name| without_values_of(name, &text))
}

/// The text with an ellipsis for each value whose name has `name` in it.
fn without_values_of(name: &str, text: &str) -> String {
    // Letter for letter of the same length.
    let lower = text.to_ascii_lowercase();
    let mut shown = String::new();
    let mut done = 0;
    for (at, _) in lower.match_indices(name) {
        let Some(value) = value_at(text, at + name.len()).filter(|_| at >= done) else { continue };
        shown.push_str(text.get(done..value.start).unwrap_or_default());
        shown.push_str(ELLIPSIS);
        done = value.end;
    }
    shown + text.get(done..).unwrap_or_default()
}

/// The range of the value that belongs to a name which ends at `end`; `None` if there is no value.
fn value_at(text: &str, end: usize) -> Option<std::ops::Range<usize>> {
    // A name may itself be in quotes, or end in something else.
    let rest = text.get(end..)?;
    let value = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"' | '\''));
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let (value, length) = match ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| value.starts_with(quote)) {
        Some(quote) => {
            let inner = value.strip_prefix(quote)?;
            (inner, closing(quote, inner).unwrap_or(inner.len()))
        }
        None => (value, value.find(|c: char| c.is_whitespace() || "&\"',".contains(c)).unwrap_or(value.len())),
    };
    let start = text.len() - value.len();
    (length > 0).then_some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (text, shown) in [
            (r#"url = "postgres://me:secret@host/db" # a@b"#, r#"url = "postgres://…@host/db" # a@b"#),
            ("postgres://me:p@ss/w@host/db", "postgres://…@host/db"),
            (r#"["https://a", "https://b:c@d", 'https://e@f']"#, r#"["https://a", "https://…@d", 'https://…@f']"#),
            (r#""postgres://me:s'ec"#, r#""postgres://…"#),
            (r#""postgres://me:s'ecret@host/db""#, r#""postgres://…@host/db""#),
            (r#""postgres://me:s\"ecret@host/db""#, r#""postgres://…@host/db""#),
            (r#"'postgres://me:s"ecret@host/db'"#, "'postgres://…@host/db'"),
            (r#""""postgres://me:s"ecret@host/db""""#, r#""""postgres://…@host/db""""#),
            (r#""x postgres://me:s"ecret@host/db""#, r#""x postgres://…@host/db""#),
            ("'postgres:me:secret@host'", "'postgres:…@host'"),
            ("'redis+cluster:/me:secret@a,b'", "'redis+cluster:/…@a,b'"),
            ("'redis://me:secret'", "'redis://…'"),
            ("redis+cluster://r1:1,r2:2", "redis+cluster://r1:1,r2:2"),
            ("url = 'http://[::1]/x'", "url = 'http://[::1]/x'"),
            ("https://host/path", "https://host/path"),
            ("nothing@all", "nothing@all"),
            ("http.bind = '[::1]:8080'", "http.bind = '[::1]:8080'"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn a_password_in_a_parameter_is_not_shown() {
        for (text, shown) in [
            ("'host=db password=secret user=me'", "'host=db password=… user=me'"),
            ("'postgres://h/d?password=secret&x=y'", "'postgres://h/d?password=…&x=y'"),
            ("\"host=db password='a b' user=me\"", "\"host=db password='…' user=me\""),
            (r#"Password = "a\"b" # c"#, r#"Password = "…" # c"#),
            (r#"{ "db_password2" = 'x', y = 1 }"#, r#"{ "db_password2" = '…', y = 1 }"#),
            ("password = 'unfinished", "password = '…"),
            ("webhook_url = 'https://h/token'", "webhook_url = '…'"),
            ("sslpassword=a,password=b", "sslpassword=…,password=…"),
            ("password=password=x", "password=…"),
            ("password = ''", "password = ''"),
            ("the password is = to", "the password is = to"),
            ("pass\u{fc}word \u{130}password=x", "pass\u{fc}word \u{130}password=…"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
