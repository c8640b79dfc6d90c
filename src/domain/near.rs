//! Suggestions for misspelt names.

use strsim::osa_distance;

/// The longest name, in bytes, for which a suggestion to a caller is computed.
const MAX_SUGGESTED: usize = 64;
/// The most candidates that are compared for a caller.
const MAX_CANDIDATES: usize = 256;

/// The candidate with the smallest distance to `name` (insertions, deletions, replacements, swaps of neighbours), if
/// that is at most a third of the name's length.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let (distance, found) = candidates
        .into_iter()
        // The difference in length is a lower bound of the distance, and cheap.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= length / 3)
        .map(|candidate| (osa_distance(&wanted, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, candidate)| (*distance, *candidate))?;
    // One error per three letters: for shorter names, any other name would be a suggestion.
    (distance <= length / 3).then_some(found)
}

/// A suggestion for a name from a request, with bounded work.
pub(crate) fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    if name.len() > MAX_SUGGESTED {
        return String::new();
    }
    let near = nearest(name, candidates.into_iter().take(MAX_CANDIDATES));
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_missing_and_wrong_letters_are_near() {
        for (name, found) in [
            ("prot", Some("port")),
            ("pot", Some("port")),
            ("Port", Some("port")),
            ("workes", Some("workers")),
            ("wxrkxrs", Some("workers")),
            ("address", None),
            ("l2", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, ["port", "workers", "l1"]), found, "{name}");
        }
    }

    #[test]
    fn a_suggestion_is_for_short_names_and_among_so_many_only() {
        assert_eq!(suggestion("raed", ["write", "read"]), "; did you mean `read`?");
        assert_eq!(suggestion("delete", ["write", "read"]), "");
        let long = "x".repeat(MAX_SUGGESTED + 1);
        assert_eq!(suggestion(&long, [&*long]), "");
        let many = std::iter::repeat_n("unlike", MAX_CANDIDATES).chain(["read"]);
        assert_eq!(suggestion("raed", many), "");
    }
}
