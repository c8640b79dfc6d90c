//! Files that are answered as they are, with an entity tag.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::precondition::is_held;

/// A file.
#[derive(Debug)]
pub struct StaticFile {
    body: Bytes,
    media_type: &'static str,
    /// The opaque entity tag: a digest, so it changes only with the body.
    tag: String,
}

impl StaticFile {
    /// A file of this media type.
    pub fn new(body: impl Into<Bytes>, media_type: &'static str) -> Self {
        let body = body.into();
        let tag = HEXLOWER.encode(Sha256::digest(&body).get(..12).unwrap_or_default());
        Self { body, media_type, tag }
    }

    /// Answers a request that has these headers: with the file, or with 304 if the caller has it already.
    #[must_use]
    pub fn answer(&self, headers: &HeaderMap) -> HttpResponse {
        let is_held = is_held(headers, &self.tag);
        let mut response = HttpResponse::build(if is_held { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        response.insert_header((header::ETAG, format!("\"{}\"", self.tag)));
        response.insert_header((header::CACHE_CONTROL, "no-cache"));
        if is_held {
            return response.finish();
        }
        response.insert_header((header::CONTENT_TYPE, self.media_type)).body(self.body.clone())
    }
}
