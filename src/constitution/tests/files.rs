//! Faults of case files, and of files that cannot be read at all.

use std::fs;

use super::*;

#[test]
fn every_fault_of_a_case_file_has_its_place() {
    let case = "[[case]]\nname = \"c\"\nsubject = { type = \"User\", id = \"u\" }\naction = { name = \"read\" }\n\
                resource = { type = \"Document\", id = \"d\" }\ndecision = true\n";
    let rows: [(&str, String, &[&str]); 7] = [
        ("a good one", case.to_owned(), &[]),
        (
            "not TOML",
            case.replace("decision = true", "decision"),
            &["tests/a.toml:6:9: key with no value, expected `=`"],
        ),
        ("no case", String::new(), &["tests/a.toml: has no `[[case]]`"]),
        (
            "unknown member",
            format!("{case}expected = 1\n"),
            &[
                "tests/a.toml:7:1: unknown field `expected`, expected one of `name`, `subject`, `action`, `resource`, `context`, `entities`, `decision`, `reason`, `policies`, `warnings`",
            ],
        ),
        (
            "unknown table",
            format!("{case}[other]\na = 1\n"),
            &["tests/a.toml:7:2: `other` is unknown; a case is written as `[[case]]`"],
        ),
        (
            "unknown reason",
            format!("{case}reason = \"because\"\n"),
            &[
                "tests/a.toml:7:10: unknown variant `because`, expected one of `constitution_hash_required`, `constitution_mismatch`, `unknown_action`, `unknown_type`, `invalid_properties`, `unavailable`, `evaluation_error`, `forbidden`, `no_permit`, `permitted`",
            ],
        ),
        (
            "a faulty question",
            case.replace("id = \"u\"", "id = \"\""),
            &["tests/a.toml:1:1: case `c`: `subject.id` must not be empty"],
        ),
    ];
    let mut wrong = Vec::new();
    for (what, text, expected) in &rows {
        let mut bundle = bundle(POLICIES);
        bundle.cases = vec![source("tests/a.toml", text)];
        let found = bundle.cases().map_or_else(|faults| lines(&faults), |_| Vec::new());
        if found != *expected {
            wrong.push(format!("{what}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let read = || lines(&Bundle::read(folder.path()).unwrap_err());
    let manifest = format!("constitution.toml: is missing: `{}` has no `constitution.toml`", folder.path().display());
    assert_eq!(read(), [&*manifest, "policies: is missing", "schema.cedarschema: is missing"]);
    let write = |file: &str, text: &[u8]| fs::write(folder.path().join(file), text).unwrap();
    fs::create_dir_all(folder.path().join("policies/more")).unwrap();
    fs::create_dir(folder.path().join("tests")).unwrap();
    write("constitution.toml", MANIFEST.as_bytes());
    write("schema.cedarschema", b"entity User;\n// caf\xe9\n");
    write("policies/more/not utf.cedar", POLICIES.as_bytes());
    write("policies/more/b.cedar", b"\xff");
    write("policies/notes.txt", b"\xff");
    write("policies/safety.cedar.txt", b"");
    write("entities.json", b"[]");
    write("tests/a.toml", b"\xfe");
    assert_eq!(
        read(),
        [
            "policies/more/b.cedar:1:1: is not UTF-8",
            "policies/more/not utf.cedar: may have only letters, digits, `-`, `_` and `.` in its name",
            "policies/safety.cedar.txt: has no place in a bundle and would be ignored: policies are `policies/**/*.cedar`, cases `tests/**/*.toml`; rename, move or remove it",
            "schema.cedarschema:2:7: is not UTF-8",
            "tests/a.toml:1:1: is not UTF-8",
        ]
    );
}
