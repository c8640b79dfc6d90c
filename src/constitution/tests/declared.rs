//! What is left out of records: only what no decision can depend on.

use super::{POLICIES, constitution};
use crate::domain::{Evaluation, MemberPath, UnknownMembers};
use crate::settings::RequestProperties;

fn asked(action: &str, subject: &str) -> Evaluation {
    let padding = "x".repeat(2_000);
    let request = format!(
        r#"{{"subject":{{"type":"{subject}","id":"a","properties":{{"name":"{padding}","junk":"{padding}",
            "home":{{"city":"{padding}","junk":"{padding}"}}}}}},
        "action":{{"name":"{action}","properties":{{"count":"{padding}","junk":"{padding}"}}}},
        "resource":{{"type":"Document","id":"d","properties":{{"owner":"{padding}","a/b~c":["{padding}"]}}}},
        "context":{{"by":{{"junk":"{padding}"}},"risk":"{padding}","junk":{{"deep":"{padding}"}},"small":"x"}}}}"#
    );
    Evaluation::from_object(&serde_json::from_str(&request).unwrap(), UnknownMembers::Refused).unwrap()
}

fn undeclared(mode: RequestProperties, asked: &Evaluation) -> Vec<String> {
    constitution(POLICIES).undeclared(mode, asked, 1_024).iter().map(ToString::to_string).collect()
}

#[test]
fn large_members_that_the_schema_declares_nowhere_are_found_and_no_others() {
    assert_eq!(
        undeclared(RequestProperties::Merge, &asked("read", "User")),
        [
            "/context/junk",
            "/action/properties/junk",
            "/subject/properties/home/junk",
            "/subject/properties/junk",
            "/resource/properties/a~1b~0c"
        ]
    );
}

#[test]
fn what_no_declaration_applies_to_is_undeclared() {
    let ignored = undeclared(RequestProperties::Ignore, &asked("read", "User"));
    for path in ["/subject/properties/name", "/subject/properties/home", "/resource/properties/owner"] {
        assert!(ignored.iter().any(|found| found == path), "{path}: {ignored:?}");
    }
    assert!(!ignored.iter().any(|path| path == "/context/risk"));
    let unknown = undeclared(RequestProperties::Merge, &asked("burn", "Robot"));
    for path in ["/context/risk", "/context/by", "/action/properties/count", "/subject/properties/name"] {
        assert!(unknown.iter().any(|found| found == path), "{path}: {unknown:?}");
    }
    assert!(!unknown.iter().any(|path| path == "/resource/properties/owner"), "its type is known");
}

#[test]
fn what_is_found_is_what_is_not_declared_and_a_deeper_member_is_declared_with_its_owner() {
    let (constitution, asked) = (constitution(POLICIES), asked("read", "User"));
    for mode in [RequestProperties::Merge, RequestProperties::Ignore] {
        for path in constitution.undeclared(mode, &asked, 1_024) {
            assert!(!constitution.declares(mode, &asked, &path), "{path}");
        }
    }
    let declares = |path: &str| constitution.declares(RequestProperties::Merge, &asked, &path.parse().unwrap());
    for path in ["/context/risk", "/context/by/junk", "/subject/properties/home/city", "/action/properties/count"] {
        assert!(declares(path), "{path}");
    }
    for path in ["/context/size", "/subject/properties/home/junk", "/subject/id", "/nothing", "/resource/properties/x"]
    {
        assert!(!declares(path), "{path}");
    }
    assert!(!constitution.declares(
        RequestProperties::Ignore,
        &asked,
        &MemberPath::new(["subject", "properties", "name"])
    ));
}
