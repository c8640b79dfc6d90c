//! `If-Match` and `If-None-Match`: entity tags, and the conditions that they set (RFC 9110, section 13).

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use crate::store::{Precondition, VersionSet};

/// The entity tag of a version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The conditions in a request's headers.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    Ok(Precondition {
        if_match: versions(headers, &header::IF_MATCH, Comparison::Strong)?,
        if_none_match: versions(headers, &header::IF_NONE_MATCH, Comparison::Weak)?,
    })
}

/// Whether the caller has a representation with this opaque tag already, according to `If-None-Match`. A malformed header
/// names none.
pub(super) fn is_held(headers: &HeaderMap, opaque: &str) -> bool {
    let lines: Vec<&[u8]> = headers.get_all(header::IF_NONE_MATCH).map(HeaderValue::as_bytes).collect();
    let list = lines.join(&b","[..]);
    let has_tag = || tags(&list).is_some_and(|tags| tags.iter().any(|tag| tag.opaque == opaque.as_bytes()));
    list.trim_ascii() == b"*" || has_tag()
}

/// The comparison functions of entity tags (RFC 9110, section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag matches nothing.
    Strong,
    /// A weak tag matches like a strong one.
    Weak,
}

/// The versions that a header names; `None` without the header. A tag that no version has matches nothing.
fn versions(headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> Result<Option<VersionSet>, Problem> {
    let lines: Vec<&[u8]> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let list = lines.join(&b","[..]);
    if list.trim_ascii() == b"*" {
        return Ok(Some(VersionSet::Any));
    }
    let malformed = || Problem::fault("", format!("`{name}` must be `*` or a list of entity tags like `\"6\"`"));
    let tags = tags(&list).ok_or_else(malformed)?;
    let counts = |tag: &&Tag<'_>| comparison == Comparison::Weak || !tag.is_weak;
    Ok(Some(VersionSet::Of(tags.iter().filter(counts).filter_map(Tag::version).collect())))
}

/// A parsed entity tag.
#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    is_weak: bool,
    /// The bytes between the quotes.
    opaque: &'a [u8],
}

impl Tag<'_> {
    /// The version with this tag. Tags are compared byte by byte, so `"06"` is not `"6"`.
    fn version(&self) -> Option<i64> {
        let text = std::str::from_utf8(self.opaque).ok()?;
        let version: i64 = text.parse().ok()?;
        (version.to_string() == text).then_some(version)
    }
}

/// The tags of a list; `None` unless there is at least one. Empty elements are skipped, and commas may occur in tags.
fn tags(list: &[u8]) -> Option<Vec<Tag<'_>>> {
    let (mut tags, mut rest) = (Vec::new(), list.trim_ascii_start());
    loop {
        rest = match rest.split_first() {
            None => return Some(tags).filter(|tags| !tags.is_empty()),
            Some((b',', rest)) => rest.trim_ascii_start(),
            Some(_) => {
                let (is_weak, quoted) = rest.strip_prefix(b"W/").map_or((false, rest), |rest| (true, rest));
                let inside = quoted.strip_prefix(b"\"")?;
                let end = inside.iter().position(|byte| *byte == b'"')?;
                let (opaque, after) = inside.split_at_checked(end)?;
                if !opaque.iter().all(|byte| matches!(byte, b'!' | b'#'..=b'~' | 0x80..)) {
                    return None;
                }
                tags.push(Tag { is_weak, opaque });
                let after = after.get(1..)?.trim_ascii_start();
                if !after.is_empty() && !after.starts_with(b",") {
                    return None;
                }
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition read from both headers; `None` if one is malformed.
    fn read(name: &HeaderName, lines: &[&str]) -> Option<Precondition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
        }
        precondition(&headers).ok()
    }

    #[test]
    fn tags_are_compared_letter_by_letter() {
        let of = |versions: &[i64]| Some(VersionSet::Of(versions.to_vec()));
        for (lines, strong, weak) in [
            (&["\"6\""][..], of(&[6]), of(&[6])),
            (&["W/\"6\""], of(&[]), of(&[6])),
            (&["\"06\""], of(&[]), of(&[])),
            (&["\"+6\",\"-6\""], of(&[-6]), of(&[-6])),
            (&["\"6\", W/\"7\" ,\"8\""], of(&[6, 8]), of(&[6, 7, 8])),
            (&["\"6\"", "\"7\""], of(&[6, 7]), of(&[6, 7])),
            (&[",, \"6\",,"], of(&[6]), of(&[6])),
            (&["\"a,b\", \"6\""], of(&[6]), of(&[6])),
            (&["\"\""], of(&[]), of(&[])),
            (&["\"99999999999999999999\""], of(&[]), of(&[])),
            (&["*"], Some(VersionSet::Any), Some(VersionSet::Any)),
            (&[" * "], Some(VersionSet::Any), Some(VersionSet::Any)),
            (&[], None, None),
        ] {
            let if_match = Precondition { if_match: strong, ..Precondition::default() };
            assert_eq!(read(&header::IF_MATCH, lines), Some(if_match), "If-Match {lines:?}");
            let if_none_match = Precondition { if_none_match: weak, ..Precondition::default() };
            assert_eq!(read(&header::IF_NONE_MATCH, lines), Some(if_none_match), "If-None-Match {lines:?}");
        }
        for lines in [
            &["\"+6\", \"-6\", \" 6\""][..],
            &[""],
            &[","],
            &["6"],
            &["\"6"],
            &["6\""],
            &["w/\"6\""],
            &["W/6"],
            &["\"6\" \"7\""],
            &["*, \"6\""],
            &["*", "*"],
            &["\"6\"x"],
        ] {
            for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
                assert_eq!(read(&name, lines), None, "{name} {lines:?}");
            }
        }
    }
}
