//! `X-ACGS-Bench`: marks decisions as those of a run of `acgs bench`, so that their records name it.

use actix_web::http::header::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::domain::BenchRun;

/// A request header: the name of the run.
const BENCH: HeaderName = HeaderName::from_static("x-acgs-bench");

/// The run that the request belongs to, if it names one.
pub(super) fn bench_run(headers: &HeaderMap) -> Result<Option<BenchRun<'_>>, Problem> {
    if !headers.contains_key(&BENCH) {
        return Ok(None);
    }
    let mut names = headers.get_all(&BENCH);
    match (names.next().and_then(|name| name.to_str().ok()), names.next()) {
        (Some(name), None) => BenchRun::new(name).map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn wrong() -> Problem {
    Problem::fault(
        "",
        "`X-ACGS-Bench` must occur once, with 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_request_names_one_run_or_none() {
        let run = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(BENCH, HeaderValue::from_bytes(value).unwrap());
            }
            bench_run(&headers).map(|run| run.map(|run| run.as_str().to_owned())).ok()
        };
        assert_eq!(run(&[]), Some(None));
        assert_eq!(run(&[b"load-1"]), Some(Some("load-1".to_owned())));
        let wrong: [&[&[u8]]; 5] = [&[b"a", b"a"], &[b""], &[b"a b"], &[b"\xff"], &[b"a", b"\xff"]];
        for wrong in wrong {
            assert_eq!(run(wrong), None, "{wrong:?}");
        }
    }
}
