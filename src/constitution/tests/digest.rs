//! The digest is what two standard commands print.

use std::fs;
use std::process::Command;

use super::*;

const COMMANDS: &str = "sha256sum constitution.toml schema.cedarschema \
    $(find policies -name '*.cedar' | LC_ALL=C sort) | sha256sum";

#[test]
fn the_digest_is_what_two_standard_commands_print() {
    let found = Command::new("sh").args(["-c", "command -v sha256sum"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: there is no sha256sum");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("constitution.toml", MANIFEST);
    write("schema.cedarschema", SCHEMA);
    // Names whose order by bytes is neither the alphabet's nor that of the folders.
    for (number, file) in ["a/z", "a-b", "a", "B", "b/c/d", "a.b", "b_"].iter().enumerate() {
        let policy = POLICIES.replace("owners-read", &format!("p{number}"));
        write(&format!("policies/{file}.cedar"), &policy);
    }
    write("policies/a/notes.txt", "not a policy");
    write("tests/a.toml", "not digested");
    let printed = || {
        let output = Command::new("sh").args(["-c", COMMANDS]).current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let loaded = Constitution::load(folder.path()).unwrap();
    assert_eq!(format!("{}  -\n", loaded.digest()), printed());
    assert_eq!(loaded.hash(), loaded.digest().short());
    write("policies/b/c/d.cedar", &POLICIES.replace("owners-read", "another"));
    let changed = Constitution::load(folder.path()).unwrap();
    assert_ne!(changed.digest(), loaded.digest());
    assert_eq!(format!("{}  -\n", changed.digest()), printed());
}

#[test]
fn everything_that_decides_is_digested_and_nothing_else() {
    let digest = |change: fn(&mut Bundle)| {
        let mut bundle = bundle(POLICIES);
        change(&mut bundle);
        bundle.digest()
    };
    let same = digest(|_| {});
    assert_eq!(digest(|bundle| bundle.cases.push(source("tests/a.toml", ""))), same);
    assert_eq!(digest(|bundle| bundle.entities = Some(source("entities.json", "[]"))), same);
    assert_ne!(digest(|bundle| bundle.manifest.text.push('\n')), same);
    assert_ne!(digest(|bundle| bundle.schema.text.push('\n')), same);
    for policies in [" ", "\n"] {
        assert_ne!(Bundle { policies: vec![source("policies/a.cedar", policies)], ..bundle("") }.digest(), same);
    }
    assert_ne!(digest(|bundle| bundle.policies[0].file = "policies/b.cedar".to_owned()), same);
}

#[test]
fn an_assigned_hash_is_no_digest() {
    let mut bundle = bundle(POLICIES);
    bundle.manifest.text = MANIFEST.replacen("\n\n", "\nhash = \"cdd01ef066bc6cf2\"\n\n", 1);
    let constitution = Constitution::from_bundle(&bundle).unwrap();
    assert_eq!(constitution.hash().as_str(), "cdd01ef066bc6cf2");
    assert_ne!(constitution.digest().short(), constitution.hash());
}
