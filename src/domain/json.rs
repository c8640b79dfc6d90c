//! JSON from callers: parsed strictly, with members in order, and with the same canonical text for the same meaning.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Deserializer};

/// One JSON value. Objects are kept in the order of their keys, so that equal values have equal text.
///
/// Duplicate keys are refused (RFC 7493, section 2.3): two readers of one document must not see two requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number that fits 64 signed bits.
    Int(i64),
    /// Any other number; digits beyond a double's are lost.
    Float(f64),
    /// Text.
    Str(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A JSON object: unique keys, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(Box<str>, Json)>);

/// Appends a value, whose keys are all text, as JSON.
pub(crate) fn write_json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(text, value);
}

/// The deepest nesting of arrays and objects in JSON from outside. Records nest it further, and parsers stop at 128.
pub const MAX_JSON_NESTING: usize = 64;

/// Whether a JSON text nests too deep. Malformed JSON is scanned, too.
#[must_use]
pub fn is_json_too_deep(text: &[u8]) -> bool {
    // Counting is many times quicker than the scan, and spares most requests it.
    let opened = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    opened > MAX_JSON_NESTING && nests_too_deep(text)
}

fn nests_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                if depth > MAX_JSON_NESTING {
                    return true;
                }
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

impl Json {
    /// The object, or `None` for a value of another type.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The text, or `None` for a value of another type.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let outside = match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Str(text) => text.len(),
            Self::Array(items) => items.iter().map(Self::bytes).sum(),
            Self::Object(object) => object.bytes(),
        };
        size_of::<Self>() + outside
    }

    /// The name of the value's type, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number that is no 64-bit integer",
            Self::Str(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl Object {
    /// The object without members.
    pub const NOTHING: Self = Self(Vec::new());

    /// Builds an object of members in any order; the first key that comes twice is the error.
    pub fn from_members(mut members: Vec<(Box<str>, Json)>) -> Result<Self, Box<str>> {
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            members.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some([twice, _]) = members.array_windows().find(|[a, b]| a.0 == b.0) {
                return Err(twice.0.clone());
            }
        }
        Ok(Self(members))
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// A mutable reference to the member of that name.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Takes the member of that name out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Puts a member in, in place of one of the same name.
    pub fn insert(&mut self, key: &str, value: Json) {
        match self.0.binary_search_by(|(k, _)| (**k).cmp(key)) {
            Ok(at) => {
                if let Some(member) = self.0.get_mut(at) {
                    member.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key.into(), value)),
        }
    }

    /// All members, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.0.iter().map(|(key, value)| size_of_val(key) + key.len() + value.bytes()).sum::<usize>()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Object(object) => Ok(object),
            other => Err(de::Error::custom(format_args!("must be an object, not {}", other.type_name()))),
        }
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        #[expect(clippy::cast_precision_loss, reason = "beyond 64 signed bits a number is only ever refused")]
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Str(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Str(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            members.push((key, map.next_value()?));
        }
        Object::from_members(members)
            .map(Json::Object)
            .map_err(|key| de::Error::custom(format_args!("duplicate key `{key}`")))
    }
}

/// Reads a key without going by way of an owned `String` where the text can be borrowed.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Box<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Box<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, value: &str) -> Result<Box<str>, E> {
        Ok(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        match serde_json::from_str::<Json>(input) {
            Ok(json) => serde_json::to_string(&json).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn equal_values_have_equal_text() {
        assert_eq!(text(r#" { "b" : 1, "a" : [ 1.50 , null, "\u0041" ] } "#), r#"{"a":[1.5,null,"A"],"b":1}"#);
        assert_eq!(text(r#"{"b":1,"a":2}"#), text(r#"{"a":2,"b":1}"#));
    }

    #[test]
    fn a_duplicate_key_is_refused_at_any_depth() {
        assert_eq!(text(r#"{"a":1,"a":1}"#), "duplicate key `a` at line 1 column 13");
        assert_eq!(text(r#"[{"b":{"c":1,"d":2,"c":3}}]"#), "duplicate key `c` at line 1 column 25");
    }

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for number in
            ["-933333332233372036854775832", "1.7976931348623157e308", "5e-324", "2.2250738585072014E-308", "0.1"]
        {
            let written = text(number);
            assert_eq!(text(&written), written, "{number}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_no_integers() {
        assert_eq!(serde_json::from_str::<Json>("9223372036854775807").unwrap(), Json::Int(i64::MAX));
        assert!(matches!(serde_json::from_str::<Json>("9223372036854775808").unwrap(), Json::Float(_)));
        assert!(matches!(serde_json::from_str::<Json>("1e3").unwrap(), Json::Float(_)));
        assert!(text("1e999").starts_with("number out of range"));
    }

    #[test]
    fn nesting_is_measured_without_parsing() {
        let nested = |depth: usize| format!("{}\"[[[\\\"{{\"{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2));
        assert!(!is_json_too_deep(nested(MAX_JSON_NESTING).as_bytes()));
        assert!(is_json_too_deep(nested(MAX_JSON_NESTING + 2).as_bytes()));
        assert!(!is_json_too_deep("[]".repeat(1_000).as_bytes()));
        assert!(is_json_too_deep("[".repeat(10_000_000).as_bytes()));
    }

    #[test]
    fn nesting_has_a_bound() {
        assert!(text(&"[".repeat(100_000)).starts_with("recursion limit exceeded"));
    }
}
