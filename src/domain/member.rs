//! A value with its canonical JSON text, computed once and shared by all questions that contain it.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::json::write_json;
use super::{Action, Object, Party};

/// A value and its canonical JSON text. Cloning is cheap, and clones share both.
#[derive(Debug)]
pub struct Member<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    value: T,
    text: Box<str>,
    digest: OnceLock<[u8; 32]>,
}

/// The most bytes that a thread keeps for writing texts.
const MAX_BUFFER: usize = 64 << 10;

thread_local! {
    /// Texts are written here before their length is known, so that each is allocated once.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A value with a canonical JSON text, which is the same for every value of the same meaning.
pub trait Canonical {
    /// Appends the canonical text.
    fn write(&self, text: &mut Vec<u8>);
}

impl<T: Canonical> Member<T> {
    /// A member that is not shared yet.
    #[must_use]
    pub fn new(value: T) -> Self {
        let text = BUFFER.with_borrow_mut(|text| {
            value.write(text);
            // JSON text is always UTF-8, so the lossy conversion never applies.
            let written = Box::from(String::from_utf8_lossy(text));
            text.clear();
            text.shrink_to(MAX_BUFFER);
            written
        });
        Self(Arc::new(Shared { value, text, digest: OnceLock::new() }))
    }
}

impl<T> Member<T> {
    /// The canonical JSON text of the value.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The SHA-256 of the text, computed once for all clones.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        self.0.digest.get_or_init(|| Sha256::digest(self.0.text.as_bytes()).into())
    }

    /// Whether two members are clones of each other.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Identifies the clones of this member, as long as one of them exists.
    #[must_use]
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl<T> Clone for Member<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Member<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> PartialEq for Member<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.0.text == other.0.text
    }
}

impl Canonical for Object {
    fn write(&self, text: &mut Vec<u8>) {
        write_json(text, self);
    }
}

impl Canonical for Party {
    fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"type\":");
        write_json(text, &self.uid.kind);
        text.extend_from_slice(b",\"id\":");
        write_json(text, &self.uid.id);
        write_properties(text, &self.properties);
        text.push(b'}');
    }
}

impl Canonical for Action {
    fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"name\":");
        write_json(text, &self.name);
        write_properties(text, &self.properties);
        text.push(b'}');
    }
}

fn write_properties(text: &mut Vec<u8>, properties: &Object) {
    if !properties.is_empty() {
        text.extend_from_slice(b",\"properties\":");
        write_json(text, properties);
    }
}
