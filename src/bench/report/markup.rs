//! Text as HTML.

/// The text with everything escaped that could be markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A table: its head, and its rows, whose cells are markup already.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<div class=\"scroll\"><table><thead><tr>");
    for name in head {
        text.extend(["<th scope=\"col\">", &escaped(name), "</th>"]);
    }
    text.push_str("</tr></thead><tbody>");
    for cells in rows {
        text.extend(["<tr>", &cells.concat(), "</tr>"]);
    }
    text + "</tbody></table></div>"
}

/// A cell with text.
#[must_use]
pub fn cell(text: &str) -> String {
    format!("<td>{}</td>", escaped(text))
}

/// A list of terms and their descriptions, which are markup already.
#[must_use]
pub fn facts(facts: &[(&str, String)]) -> String {
    let mut text = String::from("<dl>");
    for (term, description) in facts {
        text.extend(["<dt>", &escaped(term), "</dt><dd>", description, "</dd>"]);
    }
    text + "</dl>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        assert_eq!(escaped("<a href='x\"'>&"), "&lt;a href=&#39;x&quot;&#39;&gt;&amp;");
        assert_eq!(cell("<b>"), "<td>&lt;b&gt;</td>");
    }
}
