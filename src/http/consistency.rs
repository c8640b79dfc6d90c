//! `X-Consistency` and `X-Consistency-Token`: how new the data must be that is answered with, and how new it is.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{HeaderMap, HeaderName};

use super::problem::{LOST, Problem};
use crate::domain::{Consistency, Revision};

/// A request header: `full`, or `at-least` with the token of a write.
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consistency");

/// A response header that names the revision of a write; opaque to callers.
const TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");

/// The demand in a request's headers.
pub fn demanded(headers: &HeaderMap) -> Result<Consistency, Problem> {
    let mut demands = headers.get_all(&CONSISTENCY);
    let (demand, more) = (demands.next(), demands.next());
    match (demand, more) {
        (None, _) => Ok(Consistency::Usual),
        (Some(demand), None) => read(demand.to_str().map_err(|_| wrong())?.trim()),
        (Some(_), Some(_)) => Err(wrong()),
    }
}

fn read(demand: &str) -> Result<Consistency, Problem> {
    if demand == "full" {
        return Ok(Consistency::Full);
    }
    let token = demand.strip_prefix("at-least").and_then(|rest| rest.strip_prefix([' ', '\t'])).map(str::trim);
    let token = token.ok_or_else(wrong)?;
    // Daemons of earlier versions gave a bare version number.
    if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::new(
            &LOST,
            format!("the token `{token}` is of an earlier version of the daemon and does not name a database"),
        ));
    }
    token.parse().map(Consistency::AtLeast).map_err(|_| wrong())
}

/// Adds the header with the revision that was written.
pub fn add_token(response: &mut HttpResponseBuilder, revision: &Revision) {
    response.insert_header((TOKEN, revision.to_string()));
}

fn wrong() -> Problem {
    Problem::fault(
        "",
        "`X-Consistency` must be `full`, or `at-least` with the `X-Consistency-Token` of a write".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

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
        let revision = Revision { incarnation: 1, version: 17, nonce: -1 };
        let token = revision.to_string();
        assert_eq!(demand(&[]), Some(Consistency::Usual));
        assert_eq!(demand(&["full"]), Some(Consistency::Full));
        assert_eq!(demand(&[&format!(" at-least  {token} ")]), Some(Consistency::AtLeast(revision)));
        let twice = format!("at-least {token} {token}");
        let glued = format!("at-least{token}");
        for wrong in ["", "none", "at-least", &glued, "at-least -1", &twice, "FULL", "at-least x", "at-least 17"] {
            assert_eq!(demand(&[wrong]), None, "{wrong}");
        }
        assert_eq!(demand(&["full", "full"]), None);
    }
}
