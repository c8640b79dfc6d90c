//! A key whose value is a list of URLs, like `database.replicas`.

use std::ops::Range;

use super::{
    fault::{Fault, FaultKind, SourceLocation},
    raw_value::RawValue,
    rule::{Rule, TextSetting},
    section::{Key, List},
};

/// Different URLs of one kind, at most this many.
pub(super) struct Urls(pub(super) usize);

impl<T: TextSetting> Rule<Vec<T>> for Urls {
    fn allowed(&self) -> String {
        format!("an array of at most {} strings like {}", self.0, T::allowed())
    }

    fn list(&self) -> Option<List> {
        Some(List::Urls { check: |text| T::read(text).map(drop), most: self.0 })
    }

    fn read(&self, written: &RawValue) -> Result<Vec<T>, &'static str> {
        let RawValue::List(items) = written else { return Err("not an array of strings") };
        if items.len() > self.0 {
            return Err("too long");
        }
        items.iter().map(|item| T::read(item.text()?)).collect()
    }

    fn write(&self, value: &Vec<T>) -> RawValue {
        RawValue::List(value.iter().map(|url| RawValue::Text(url.write())).collect())
    }

    fn show(&self, value: &Vec<T>) -> RawValue {
        RawValue::List(value.iter().map(|url| RawValue::Text(url.show())).collect())
    }
}

/// The list with the place of each item, or every fault in it with the offset of its first byte.
pub(super) fn check(
    key: &Key,
    check: fn(&str) -> Result<(), &'static str>,
    most: usize,
    items: Vec<(RawValue, Range<usize>)>,
    place: &dyn Fn(&Range<usize>) -> SourceLocation,
) -> Result<RawValue, Vec<(usize, Fault)>> {
    let mut faults = Vec::new();
    let mut fault = |span: &Range<usize>, wrong| {
        let (name, allowed) = (Some(key.name.to_owned()), Some(key.allowed.clone()));
        faults.push((span.start, Fault { key: name, allowed, ..Fault::at(place(span), wrong) }));
    };
    if let Some((_, span)) = items.get(most) {
        let value = format!("an array of {}", items.len());
        fault(span, FaultKind::Value { key: key.name.to_owned(), value, why: "too long" });
    }
    let mut urls: Vec<RawValue> = Vec::new();
    for (item, span) in items {
        let is_again = urls.contains(&item);
        let wrong = item.text().and_then(check).err().or(is_again.then_some("the same as one before it"));
        if let Some(why) = wrong {
            fault(&span, FaultKind::Item { key: key.name.to_owned(), value: item.quoted(), why });
        }
        urls.push(item);
    }
    if faults.is_empty() { Ok(RawValue::List(urls)) } else { Err(faults) }
}

/// URLs with commas between them, or on lines of their own.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        // A comma may also separate the hosts of one URL.
        while let Some((at, _)) = rest.match_indices(',').find(|(at, _)| starts_url(rest.get(at + 1..))) {
            urls.push(rest.get(..at).unwrap_or_default().trim());
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        urls.push(rest.trim());
    }
    urls.retain(|url| !url.is_empty());
    urls
}

/// Whether the text begins with a scheme.
fn starts_url(text: Option<&str>) -> bool {
    let scheme = text.and_then(|text| text.split_once("://")).map(|(scheme, _)| scheme.trim_start());
    scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_before_a_scheme_or_a_new_line_starts_the_next_url() {
        for (text, urls) in [
            ("", &[][..]),
            (" \n\n", &[]),
            ("postgres://a,b:1/d", &["postgres://a,b:1/d"]),
            ("postgres://a,b/d, postgresql://c/d", &["postgres://a,b/d", "postgresql://c/d"]),
            (
                "postgres://a/d\n\n postgres://b/d,postgres://c/d \r\n",
                &["postgres://a/d", "postgres://b/d", "postgres://c/d"],
            ),
            ("x, y", &["x, y"]),
        ] {
            assert_eq!(split(text), urls, "{text:?}");
        }
    }
}
