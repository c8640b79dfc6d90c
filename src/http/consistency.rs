//! `X-Consistency` and `X-Consistency-Token`: how new the data must be that is answered with, and how new it is.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use crate::domain::Consistency;

/// What a caller demands: `full`, or `at-least` with a token that a write was answered with.
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consistency");

/// Names the version of a write.
const TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");

/// What a request demands.
pub fn demanded(headers: &HeaderMap) -> Result<Consistency, Problem> {
    let mut demands = headers.get_all(&CONSISTENCY);
    let (demand, more) = (demands.next(), demands.next());
    let read = |demand: &HeaderValue| {
        let demand = demand.to_str().ok()?.trim();
        if demand == "full" {
            return Some(Consistency::Full);
        }
        let token = demand.strip_prefix("at-least")?.strip_prefix([' ', '\t'])?.trim();
        let version = token.parse().ok().filter(|_| token.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Consistency::AtLeast(version))
    };
    match (demand, more) {
        (None, _) => Ok(Consistency::Usual),
        (Some(demand), None) => read(demand).ok_or_else(wrong),
        (Some(_), Some(_)) => Err(wrong()),
    }
}

/// The header that says how new what was written is.
pub fn token(version: i64) -> (HeaderName, HeaderValue) {
    (TOKEN, HeaderValue::from(version))
}

fn wrong() -> Problem {
    Problem::fault(
        "",
        "`X-Consistency` must be `full`, or `at-least` with the `X-Consistency-Token` of a write".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_full_or_at_least_a_token() {
        let demand = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONSISTENCY, HeaderValue::from_str(value).unwrap());
            }
            demanded(&headers).ok()
        };
        assert_eq!(demand(&[]), Some(Consistency::Usual));
        assert_eq!(demand(&["full"]), Some(Consistency::Full));
        assert_eq!(demand(&[" at-least  17 "]), Some(Consistency::AtLeast(17)));
        for wrong in ["", "none", "at-least", "at-least17", "at-least -1", "at-least 1 2", "FULL", "at-least x"] {
            assert_eq!(demand(&[wrong]), None, "{wrong}");
        }
        assert_eq!(demand(&["full", "full"]), None);
        assert_eq!(demand(&["at-least 9223372036854775808"]), None);
    }
}
