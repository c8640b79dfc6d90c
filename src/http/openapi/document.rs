//! The API document as it is served: made on the first request for it, and kept.

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use sha2::{Digest, Sha256};

/// The API document of the daemon, shared by all workers.
#[derive(Debug, Clone, Default)]
pub struct ApiDocument(Arc<OnceLock<Served>>);

/// The text of a document.
#[derive(Debug)]
pub(in crate::http) struct Served {
    /// JSON.
    pub text: Bytes,
    /// Its entity tag, with quotes.
    pub etag: String,
}

impl ApiDocument {
    /// The document, which is made by `make` if it was not made before.
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> String) -> &Served {
        self.0.get_or_init(|| Served::new(make()))
    }
}

impl Served {
    pub(in crate::http) fn new(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let etag = etag(&text);
        Self { text, etag }
    }
}

/// The entity tag of a file.
pub(super) fn etag(text: &[u8]) -> String {
    let digest = data_encoding::HEXLOWER.encode(Sha256::digest(text).as_ref());
    format!("\"{}\"", digest.get(..16).unwrap_or_default())
}
