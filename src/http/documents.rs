//! The API document and the schema of the vocabulary: made on the first request for them, and kept.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::static_file::StaticFile;
use crate::domain::ConstitutionDigest;
use crate::settings::RequestProperties;

/// The documents about the daemon, shared by all workers.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Kept>);

/// The inputs of a vocabulary's schema: a constitution, and the treatment of properties in requests.
type SchemaKey = (ConstitutionDigest, RequestProperties);

#[derive(Debug, Default)]
struct Kept {
    api: OnceLock<StaticFile>,
    /// The schema of the vocabulary, and the inputs that it was made from.
    schema: Mutex<Option<(SchemaKey, Arc<StaticFile>)>>,
}

impl Documents {
    /// The API document, which is made by `make` if it was not made before.
    pub(super) fn api(&self, make: impl FnOnce() -> StaticFile) -> &StaticFile {
        self.0.api.get_or_init(make)
    }

    /// The schema of a constitution's vocabulary, which is made by `make` if that of another one is kept.
    pub(super) fn schema(&self, key: SchemaKey, make: impl FnOnce() -> StaticFile) -> Arc<StaticFile> {
        let mut kept = self.0.schema.lock();
        match &*kept {
            Some((of, schema)) if *of == key => Arc::clone(schema),
            _ => {
                let schema = Arc::new(make());
                *kept = Some((key, Arc::clone(&schema)));
                schema
            }
        }
    }
}
