//! Reads a request's body: bounded in size and time, JSON, or a form where OAuth wants one.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload, Query};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::current_request;
use super::problem::{Problem, TIMEOUT, TOO_LARGE, UNSUPPORTED};
use crate::domain::{MAX_JSON_NESTING, is_json_too_deep};
use crate::trace::Phase;

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most bytes.
    pub bytes: usize,
    /// The longest time it may take to arrive.
    pub time: Duration,
}

/// Reads and parses a JSON body.
pub async fn json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload, bounds: Bounds) -> Result<T, Problem> {
    let body = read(request, payload, bounds).await?;
    let parsed = parse_json(request, &body)?;
    current_request::end(Phase::Decode);
    Ok(parsed)
}

/// Reads and parses a JSON body that must be an object: a struct would also be read from an array of its fields.
pub async fn object<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    bounds: Bounds,
) -> Result<T, Problem> {
    let body = read(request, payload, bounds).await?;
    let parsed = parse_json(request, &body)?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::fault("", "the body must be a JSON object"));
    }
    current_request::end(Phase::Decode);
    Ok(parsed)
}

/// Parses a request's JSON body.
pub fn parse_json<T: DeserializeOwned>(request: &HttpRequest, body: &Bytes) -> Result<T, Problem> {
    if !is_of_type(request, "application/json") {
        return Err(Problem::new(&UNSUPPORTED, "the content type must be `application/json`"));
    }
    if body.is_empty() {
        return Err(Problem::fault("", "the body is empty"));
    }
    if is_json_too_deep(body) {
        let detail = format!("the body nests deeper than {MAX_JSON_NESTING} arrays and objects");
        return Err(Problem::fault("", detail));
    }
    serde_json::from_slice(body).map_err(|error| Problem::fault("", format!("the body cannot be read: {error}")))
}

/// Reads and parses a form (RFC 6749, appendix B). Faults of its parameters are left to the caller: OAuth has errors of
/// its own.
pub async fn form<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    bounds: Bounds,
) -> Result<Result<T, String>, Problem> {
    let body = read(request, payload, bounds).await?;
    if !is_of_type(request, "application/x-www-form-urlencoded") {
        return Err(Problem::new(&UNSUPPORTED, "the content type must be `application/x-www-form-urlencoded`"));
    }
    let Ok(text) = std::str::from_utf8(&body) else { return Ok(Err("the body is not UTF-8".to_owned())) };
    Ok(Query::<T>::from_query(text).map(Query::into_inner).map_err(|error| error.to_string()))
}

/// Reads a body that is neither too large nor too slow nor encoded.
pub async fn read(request: &HttpRequest, payload: Payload, bounds: Bounds) -> Result<Bytes, Problem> {
    current_request::begin(Phase::Decode);
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > bounds.bytes as u64) {
        return Err(too_large(bounds));
    }
    let body = tokio::time::timeout(bounds.time, collect(payload, bounds));
    let body = body.await.map_err(|_| Problem::new(&TIMEOUT, "the body did not arrive in time"))??;
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::new(&UNSUPPORTED, "the body must come without a content encoding"));
    }
    current_request::end(Phase::Decode);
    Ok(body)
}

async fn collect(mut payload: Payload, bounds: Bounds) -> Result<Bytes, Problem> {
    let mut body: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => too_large(bounds),
            PayloadError::Incomplete(_) => Problem::fault("", "the body is cut short, or its chunks are malformed"),
            other => Problem::fault("", format!("the body cannot be read: {other}")),
        })?;
        if first.len() + body.as_ref().map_or(0, BytesMut::len) + chunk.len() > bounds.bytes {
            return Err(too_large(bounds));
        }
        // Most bodies come in one piece, which needs no copy.
        match &mut body {
            None if first.is_empty() => first = chunk,
            None => body = Some([std::mem::take(&mut first), chunk].concat().as_slice().into()),
            Some(body) => body.extend_from_slice(&chunk),
        }
    }
    Ok(body.map_or(first, BytesMut::freeze))
}

fn is_of_type(request: &HttpRequest, wanted: &str) -> bool {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
}

fn too_large(bounds: Bounds) -> Problem {
    Problem::new(&TOO_LARGE, format!("the body has more than {} bytes", bounds.bytes))
}
