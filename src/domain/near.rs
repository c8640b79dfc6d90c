//! Suggestions for misspelt names.

/// The longest name, in bytes, for which a suggestion to a caller is computed.
const MAX_SUGGESTED: usize = 64;
/// The most candidates that are compared for a caller.
const MAX_CANDIDATES: usize = 256;

/// The candidate with the smallest edit distance to `name`, if that is at most a third of the name's length.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let (distance, found) = candidates
        .into_iter()
        // The difference in length is a lower bound of the distance, and cheap.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= length / 3)
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
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

/// The Damerau-Levenshtein distance: insertions, deletions, replacements, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, letter) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        let mut last_b = None;
        for (j, other) in b.iter().copied().enumerate() {
            let replace = at(&above, j) + usize::from(letter != other);
            let mut best = replace.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if last_a == Some(other) && last_b == Some(letter) && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            last_b = Some(other);
        }
        before = std::mem::replace(&mut above, row);
        last_a = Some(letter);
    }
    at(&above, b.len())
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

    #[test]
    fn the_distance_counts_typing_errors() {
        for (a, b, errors) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(distance(a, b), errors, "{a} {b}");
        }
    }
}
