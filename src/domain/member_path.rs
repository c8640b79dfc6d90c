//! The path to a member of a question, displayed as a JSON pointer (RFC 6901).

use std::fmt;
use std::str::FromStr;

use super::fault::step;
use super::member::Member;
use super::{Evaluation, Json, Object};

/// The names from the question to a member of one of its objects, such as `context` and `approver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPath(Vec<Box<str>>);

impl MemberPath {
    /// The path with these names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The names, beginning with the question's own member.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// The path to the member `name` of the object at this path.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        Self(self.0.iter().map(|name| &**name).chain([name]).map(Into::into).collect())
    }

    /// Removes the member from an object of the question. The first `skipped` names of the path lead to that object.
    pub(super) fn take_from(&self, object: &mut Object, skipped: usize) -> Option<Json> {
        let (last, way) = self.0.get(skipped..)?.split_last()?;
        let mut object = object;
        for name in way {
            object = match object.get_mut(name)? {
                Json::Object(object) => object,
                _ => return None,
            };
        }
        object.remove(last)
    }
}

impl Evaluation {
    /// The question without some of its members, and the values of those that it had. Members that lose nothing stay
    /// clones of the same [`Member`].
    #[must_use]
    pub fn without<'p>(&self, paths: &'p [MemberPath]) -> (Self, Vec<(&'p MemberPath, Json)>) {
        let (mut subject, mut action, mut resource, mut context) = (None, None, None, None);
        let mut removed = Vec::new();
        for path in paths {
            let mut names = path.names();
            let value = match (names.next(), names.next()) {
                (Some("context"), _) => path.take_from(changed(&mut context, &self.context), 1),
                (Some("subject"), Some("properties")) => {
                    path.take_from(&mut changed(&mut subject, &self.subject).properties, 2)
                }
                (Some("action"), Some("properties")) => {
                    path.take_from(&mut changed(&mut action, &self.action).properties, 2)
                }
                (Some("resource"), Some("properties")) => {
                    path.take_from(&mut changed(&mut resource, &self.resource).properties, 2)
                }
                _ => None,
            };
            removed.extend(value.map(|value| (path, value)));
        }
        let mut rest = self.clone();
        if let Some(subject) = subject {
            rest.subject = Member::new(subject);
        }
        if let Some(action) = action {
            rest.action = Member::new(action);
        }
        if let Some(resource) = resource {
            rest.resource = Member::new(resource);
        }
        if let Some(context) = context {
            rest.context = Member::new(context);
        }
        (rest, removed)
    }
}

/// The copy of a member that is changed, made for the first change.
fn changed<'c, T: Clone>(copy: &'c mut Option<T>, member: &Member<T>) -> &'c mut T {
    copy.get_or_insert_with(|| (**member).clone())
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().fold(String::new(), |pointer, name| step(&pointer, name)))
    }
}

/// The text is not a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a JSON pointer")]
pub struct NoPath(String);

impl FromStr for MemberPath {
    type Err = NoPath;

    fn from_str(text: &str) -> Result<Self, NoPath> {
        let names = text.strip_prefix('/').ok_or_else(|| NoPath(text.to_owned()))?;
        Ok(Self(names.split('/').map(|name| name.replace("~1", "/").replace("~0", "~").into()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnknownMembers;

    #[test]
    fn a_path_reads_back_whatever_the_names_are() {
        for names in [&["context", "a"][..], &["context", "", "~", "/", "~1", "a/b~c"], &["subject", "properties", "é"]]
        {
            let path = MemberPath::new(names.iter().copied());
            assert_eq!(path.to_string().parse(), Ok(path.clone()), "{path}");
            assert_eq!(path.names().collect::<Vec<_>>(), names);
        }
        assert!("context".parse::<MemberPath>().is_err());
    }

    #[test]
    fn a_question_without_some_members_has_all_the_others() {
        let question = r#"{"subject":{"type":"User","id":"ann"},"action":{"name":"read"},
            "resource":{"type":"Document","id":"d","properties":{"b":1,"a":2}},"context":{"n":1}}"#;
        let question: Object = serde_json::from_str(question).unwrap();
        let evaluation = Evaluation::from_object(&question, UnknownMembers::Refused).unwrap();
        let paths = ["/context/n", "/resource/properties/a", "/subject/properties/x", "/context", "/context/n/deep"];
        let paths = paths.map(|path| path.parse::<MemberPath>().unwrap());
        let (rest, removed) = evaluation.without(&paths);
        assert!(rest.action.is_shared_with(&evaluation.action));
        assert_eq!(
            rest.canonical(),
            r#""subject":{"type":"User","id":"ann"},"action":{"name":"read"},"resource":{"type":"Document","id":"d","properties":{"b":1}},"context":{}"#
        );
        assert_eq!(removed, [(&paths[0], Json::Int(1)), (&paths[1], Json::Int(2))]);
    }
}
