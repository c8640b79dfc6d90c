//! One layer of values, and the merge of layers; the file `mod.rs` has their order.

use std::collections::BTreeMap;

use config::{Config, ConfigError, Source, Value, ValueKind};

use super::{
    fault::{Fault, FaultKind, SourceLocation},
    raw_value::RawValue,
    section::Key,
};
use crate::domain::nearest;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: RawValue,
    pub(super) place: SourceLocation,
}

/// The valid values of one source.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    name: String,
    entries: BTreeMap<&'static str, Entry>,
}

impl Layer {
    /// A layer without values. No two layers may have the same name.
    pub(super) fn new(name: String) -> Self {
        Self { name, entries: BTreeMap::new() }
    }

    /// The layer below all others, with a value for every key.
    pub(super) fn defaults(keys: &[Key]) -> Self {
        let mut layer = Self::new("default".to_owned());
        for key in keys {
            if let Some(default) = &key.default {
                layer.insert(key.name, Entry { value: default.clone(), place: SourceLocation::Default });
            }
        }
        layer
    }

    /// Takes one value.
    pub(super) fn insert(&mut self, key: &'static str, entry: Entry) {
        self.entries.insert(key, entry);
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, ConfigError> {
        let value = |entry: &Entry| match &entry.value {
            RawValue::Text(text) | RawValue::Huge(text) => ValueKind::String(text.clone()),
            RawValue::Integer(number) => ValueKind::I64(*number),
            RawValue::Float(number) => ValueKind::Float(*number),
            RawValue::Bool(whether) => ValueKind::Boolean(*whether),
            // A list wins or loses as a whole, like any other value.
            RawValue::List(_) | RawValue::Table(_) => ValueKind::String(entry.value.to_toml()),
            RawValue::Other(_) => ValueKind::Nil,
        };
        let tagged = |(key, entry): (&&str, &Entry)| ((*key).to_owned(), Value::new(Some(&self.name), value(entry)));
        Ok(self.entries.iter().map(tagged).collect())
    }
}

/// The winning value of every key, with the number of its layer.
///
/// `config` decides which layer wins. Its own values are not used: they have no line and column, and they convert types
/// silently, such as the text `"1"` to a number.
#[derive(Debug)]
pub(super) struct Merged(BTreeMap<&'static str, (usize, Entry)>);

impl Merged {
    /// Merges layers, later ones over earlier ones.
    pub(super) fn new(keys: &[Key], layers: &[Layer]) -> Result<Self, ConfigError> {
        let builder = layers.iter().fold(Config::builder(), |builder, layer| builder.add_source(layer.clone()));
        let tree = Value::new(None, builder.build()?.collect()?);
        let mut winners = BTreeMap::new();
        for key in keys {
            let Some(value) = at(&tree, key.name) else { continue };
            let mut numbered = layers.iter().enumerate();
            let layer = numbered.find(|(_, layer)| Some(layer.name.as_str()) == value.origin());
            if let Some((number, entry)) =
                layer.and_then(|(number, layer)| Some((number, layer.entries.get(key.name)?)))
            {
                winners.insert(key.name, (number, entry.clone()));
            }
        }
        Ok(Self(winners))
    }

    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<RawValue> {
        self.0.get(key).map(|(_, entry)| entry.value.clone())
    }

    /// Where the value of a key came from.
    pub(super) fn place(&self, key: &str) -> SourceLocation {
        self.0.get(key).map_or(SourceLocation::Default, |(_, entry)| entry.place.clone())
    }

    /// The number of the layer that the value of a key came from; later layers have larger ones.
    pub(super) fn layer(&self, key: &str) -> usize {
        self.0.get(key).map_or(0, |(number, _)| *number)
    }

    /// Puts a value there that no layer has, as if it came from the same one.
    pub(super) fn replace(&mut self, key: &'static str, entry: Entry) {
        self.0.insert(key, (self.layer(key), entry));
    }
}

fn at<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(tree, |value, part| match &value.kind {
        ValueKind::Table(table) => table.get(part),
        _ => None,
    })
}

impl Fault {
    /// The fault of a key's value, if it has one.
    pub(super) fn of_value(key: &Key, written: &RawValue, place: SourceLocation) -> Option<Self> {
        let why = (key.check)(written).err()?;
        let suggestion = match written {
            RawValue::Text(text) => nearest(text, key.choices.iter().copied()).map(str::to_owned),
            _ => None,
        };
        Some(Self {
            wrong: FaultKind::Value { key: key.name.to_owned(), value: written.quoted(), why },
            place,
            key: Some(key.name.to_owned()),
            allowed: Some(key.allowed.clone()),
            suggestion,
        })
    }
}
