//! Entities as callers write them: Cedar's entity JSON, read so that every fault is named and nothing is guessed.

use super::problem::{BAD_REQUEST, Problem};
use crate::domain::{Entity, EntityUid, InputFault, Json, MAX_FAULTS, MAX_NAME, Object, step};

/// Reads the entity that a path names; the body may repeat the name.
pub fn named(body: &Json, uid: &EntityUid) -> Result<Entity, Problem> {
    let mut reader = Reader::default();
    let entity = reader.entity("", body, Some(uid));
    reader.finish(entity)
}

/// Reads an array of entities.
pub fn many(body: &Json) -> Result<Vec<Entity>, Problem> {
    let mut reader = Reader::default();
    let entities = reader.array("", body, |reader, pointer, item| reader.entity(pointer, item, None));
    reader.finish(entities)
}

/// Parses members, and collects their faults.
#[derive(Default)]
struct Reader {
    faults: Vec<InputFault>,
}

impl Reader {
    fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            _ => Err(Problem::faults(&BAD_REQUEST, self.faults)),
        }
    }

    /// A body may have more faults than it has bytes, so that not all can be told.
    fn tell(&mut self, pointer: &str, detail: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(InputFault::new(pointer, detail));
        }
    }

    fn fault<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.tell(pointer, detail);
        None
    }

    fn entity(&mut self, pointer: &str, value: &Json, named: Option<&EntityUid>) -> Option<Entity> {
        let object = self.object(pointer, value, &["uid", "attrs", "parents", "tags"])?;
        let at = |member| step(pointer, member);
        let uid = match (object.get("uid"), named) {
            (None, None) => self.fault(&at("uid"), "is required"),
            (None, Some(named)) => Some(named.clone()),
            (Some(value), _) => self.uid(&at("uid"), value),
        };
        if let (Some(uid), Some(named)) = (&uid, named)
            && uid != named
        {
            self.fault(&at("uid"), format!("is not `{named}`, which the path names"))?;
        }
        let attrs = self.optional(&at("attrs"), object.get("attrs"));
        let parents = match object.get("parents") {
            None => Some(Vec::new()),
            Some(parents) => self.array(&at("parents"), parents, Self::uid),
        };
        let tags = self.optional(&at("tags"), object.get("tags"));
        Some(Entity { uid: uid?, attrs: attrs?, parents: parents?, tags: tags? })
    }

    /// A name, bare or in Cedar's `__entity` escape.
    fn uid(&mut self, pointer: &str, value: &Json) -> Option<EntityUid> {
        let escaped = value.as_object().and_then(|object| object.get("__entity"));
        if let Some(inner) = escaped {
            self.object(pointer, value, &["__entity"])?;
            return self.uid(&step(pointer, "__entity"), inner);
        }
        let object = self.object(pointer, value, &["type", "id"])?;
        let kind = self.text(&step(pointer, "type"), object.get("type"));
        let id = self.text(&step(pointer, "id"), object.get("id"));
        Some(EntityUid::new(kind?, id?))
    }

    fn text<'a>(&mut self, pointer: &str, value: Option<&'a Json>) -> Option<&'a str> {
        match value {
            None => self.fault(pointer, "is required"),
            Some(Json::Str(text)) if text.is_empty() => self.fault(pointer, "must not be empty"),
            Some(Json::Str(text)) if text.len() > MAX_NAME => {
                self.fault(pointer, format!("must have at most {MAX_NAME} bytes"))
            }
            Some(Json::Str(text)) => Some(text),
            Some(other) => self.fault(pointer, format!("must be a string, not {}", other.type_name())),
        }
    }

    fn optional(&mut self, pointer: &str, value: Option<&Json>) -> Option<Object> {
        match value {
            None => Some(Object::default()),
            Some(value @ Json::Object(object)) => {
                self.values(pointer, value);
                Some(object.clone())
            }
            Some(other) => self.fault(pointer, format!("must be an object, not {}", other.type_name())),
        }
    }

    /// Refuses the values that Cedar does not have, at any depth.
    fn values(&mut self, pointer: &str, value: &Json) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        match value {
            Json::Null | Json::Float(_) => {
                let allowed = "must be a boolean, a 64-bit integer, a string, an array or an object";
                self.tell(pointer, format!("{allowed}, not {}", value.type_name()));
            }
            Json::Bool(_) | Json::Int(_) | Json::Str(_) => {}
            Json::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    self.values(&step(pointer, &nth.to_string()), item);
                }
            }
            Json::Object(object) => {
                for (key, item) in object.iter() {
                    self.values(&step(pointer, key), item);
                }
            }
        }
    }

    fn object<'a>(&mut self, pointer: &str, value: &'a Json, known: &[&str]) -> Option<&'a Object> {
        let Json::Object(object) = value else {
            return self.fault(pointer, format!("must be an object, not {}", value.type_name()));
        };
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(key)) {
            self.tell(&step(pointer, key), "is not a member of an entity");
        }
        Some(object)
    }

    fn array<T>(
        &mut self,
        pointer: &str,
        value: &Json,
        read: impl Fn(&mut Self, &str, &Json) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Json::Array(items) = value else {
            return self.fault(pointer, format!("must be an array, not {}", value.type_name()));
        };
        let read = items.iter().enumerate().map(|(nth, item)| read(self, &step(pointer, &nth.to_string()), item));
        // All of them, so that every fault is found.
        read.collect::<Vec<_>>().into_iter().collect()
    }
}
