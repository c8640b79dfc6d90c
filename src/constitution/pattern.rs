//! Patterns of `like`, matched in time linear in the text. Cedar's own matcher may take the product of both lengths,
//! and the text may come from a caller.

use cedar_policy_core::ast::{Pattern as CedarPattern, PatternElem};

/// A pattern as the literals between its wildcards; the first and the last may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Box<str>>);

impl From<&CedarPattern> for Pattern {
    fn from(pattern: &CedarPattern) -> Self {
        let mut texts = vec![String::new()];
        for element in pattern.get_elems() {
            match element {
                PatternElem::Wildcard => texts.push(String::new()),
                PatternElem::Char(letter) => texts.last_mut().into_iter().for_each(|text| text.push(*letter)),
            }
        }
        Self(texts.into_iter().map(String::into_boxed_str).collect())
    }
}

impl Pattern {
    /// Whether the pattern matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|only| **only == *text);
        };
        let Some(mut rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        // The earliest match of each literal leaves the most text for the others.
        middle.iter().all(|part| match rest.find(&**part) {
            Some(at) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text with `length` of these letters.
    fn texts(letters: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        for _ in 0..length {
            let longer = all.iter().flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}")));
            all = longer.collect::<Vec<_>>();
        }
        all
    }

    #[test]
    fn a_pattern_matches_what_it_does_in_cedar() {
        let mut checked = 0;
        for pattern in (0..=5).flat_map(|length| texts(&['a', 'é', '*'], length)) {
            let elements = pattern.chars().map(|letter| match letter {
                '*' => PatternElem::Wildcard,
                letter => PatternElem::Char(letter),
            });
            let cedar = CedarPattern::from(elements.collect::<Vec<_>>());
            let ours = Pattern::from(&cedar);
            for text in (0..=6).flat_map(|length| texts(&['a', 'é'], length)) {
                assert_eq!(ours.matches(&text), cedar.wildcard_match(&text), "`{text}` like `{pattern}`");
                checked += 1;
            }
        }
        assert!(checked > 40_000, "{checked}");
    }

    #[test]
    fn a_long_text_and_a_long_pattern_cost_their_sum() {
        let letters = |count: usize| "a".repeat(count).chars().map(PatternElem::Char).collect::<Vec<_>>();
        let mut elements = vec![PatternElem::Wildcard];
        elements.extend(letters(500_000));
        elements.extend([PatternElem::Char('b'), PatternElem::Wildcard]);
        // In the product of both lengths, this would take minutes.
        assert!(!Pattern::from(&CedarPattern::from(elements)).matches(&"a".repeat(1_000_000)));
    }
}
