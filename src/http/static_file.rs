//! Files that are answered as they are, with an entity tag.

use actix_web::http::header::{self, ContentType};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

/// A file.
#[derive(Debug)]
pub struct StaticFile {
    text: Bytes,
    /// With quotes.
    etag: String,
}

impl StaticFile {
    /// A file with this text.
    pub fn new(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let digest = data_encoding::HEXLOWER.encode(Sha256::digest(&text).as_ref());
        let etag = format!("\"{}\"", digest.get(..16).unwrap_or_default());
        Self { text, etag }
    }
}

/// Answers with a file, or with 304 if the caller knows it.
pub fn answer(request: &HttpRequest, file: &StaticFile, content_type: ContentType) -> HttpResponse {
    let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|tags| tags.to_str().ok());
    let is_known = known
        .flat_map(|tags| tags.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == file.etag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, &*file.etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if is_known { response.finish() } else { response.insert_header(content_type).body(file.text.clone()) }
}
