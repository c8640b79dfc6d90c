//! The metrics and labels that a `PromQL` expression names.

/// Words of the language that are not names of metrics.
const KEYWORDS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "inf", "nan"];

/// Words before a list of labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A metric with its matchers: label, operator, value.
#[derive(Debug, PartialEq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<(String, String, String)>,
}

/// What an expression names.
#[derive(Debug, Default, PartialEq)]
pub struct Expression {
    pub selectors: Vec<Selector>,
    /// Labels in `by (…)` and the like, and those of which Grafana lists the values.
    pub grouping: Vec<String>,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

impl Expression {
    /// Reads an expression, or a sample of the text format without its value.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '[' {
                rest = after(rest, ']');
            } else if first == '"' {
                rest = string(rest).1;
            } else if first.is_ascii_digit() {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            } else if is_name(first) {
                rest = parsed.word(rest);
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
        parsed
    }

    /// Reads what begins with a name; the rest.
    fn word<'a>(&mut self, text: &'a str) -> &'a str {
        let (name, rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
        let rest = rest.trim_start();
        if GROUPING.contains(&name) {
            let (labels, rest) = rest.trim_start_matches('(').split_once(')').unwrap();
            self.grouping.extend(labels.split(',').map(|label| label.trim().to_owned()));
            rest
        } else if name == "label_values" {
            let (label, is_last) = (rest.rsplit_once(',').unwrap().1, rest.ends_with(')'));
            assert!(is_last, "{text}");
            self.grouping.push(label.trim_end_matches(')').trim().to_owned());
            &rest[..rest.len() - label.len()]
        } else if KEYWORDS.contains(&name) || ["(", "by ", "without "].iter().any(|call| rest.starts_with(call)) {
            rest
        } else {
            let (matchers, rest) = matchers(rest);
            self.selectors.push(Selector { metric: name.to_owned(), matchers });
            rest
        }
    }
}

/// The matchers in braces, if there are any, and the rest.
fn matchers(text: &str) -> (Vec<(String, String, String)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return (found, rest);
        }
        let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap());
        let (operator, quoted) = after.split_at(after.find('"').unwrap());
        let (value, after) = string(quoted);
        found.push((name.to_owned(), operator.trim().to_owned(), value));
        rest = after;
    }
}

/// The content of the quoted string at the beginning, and the rest.
fn string(text: &str) -> (String, &str) {
    let (mut content, mut characters) = (String::new(), text.char_indices().skip(1));
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (content, &text[at + 1..]),
            '\\' => content.extend(characters.next().map(|(_, c)| c)),
            c => content.push(c),
        }
    }
    panic!("a string does not end: {text}");
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).unwrap_or_else(|| panic!("no `{end}` in {text}")).1
}

#[test]
fn metrics_matchers_and_groupings_are_found() {
    let text =
        "1 - sum by (job, le) (rate(a_bucket{x=\"1\", y!~\"a|\\\"b\"}[5m])) / on (job) b:c > 1.5e3 and d offset 15m";
    let parsed = Expression::parse(text);
    let matcher = |name: &str, operator: &str, value: &str| (name.to_owned(), operator.to_owned(), value.to_owned());
    let metrics: Vec<&str> = parsed.selectors.iter().map(|selector| &*selector.metric).collect();
    assert_eq!(metrics, ["a_bucket", "b:c", "d"]);
    assert_eq!(parsed.selectors[0].matchers, [matcher("x", "=", "1"), matcher("y", "!~", "a|\"b")]);
    assert_eq!(parsed.grouping, ["job", "le", "job"]);
    assert_eq!(Expression::parse("label_values(a{x=\"1\"}, job)").grouping, ["job"]);
}
