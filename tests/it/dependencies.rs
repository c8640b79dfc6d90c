//! Dependencies are from the registry, and under one of the licences, that `deny.toml` allows.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::harness::repository;

/// The packages of this build, as cargo describes them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let printed = cargo.current_dir(repository()).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let metadata: Value = serde_json::from_slice(&printed.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"] != Value::Null)
        .cloned()
        .collect()
}

/// A list of `deny.toml`.
fn allowed(section: &str, list: &str) -> BTreeSet<String> {
    let deny = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let deny: toml::Table = deny.parse().unwrap();
    deny[section][list].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression permits use under allowed licences. Older packages have `/` for `OR`.
fn is_permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = expression.split_whitespace().peekable();
    let permitted = any(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression}");
    permitted
}

type Words<'a, 'w> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any(words: Words<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    let mut permitted = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= all(words, allowed);
    }
    permitted
}

fn all(words: Words<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    let mut permitted = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, allowed);
    }
    permitted
}

fn one(words: Words<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    let word = words.next().unwrap();
    if word == "(" {
        let permitted = any(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return permitted;
    }
    match words.next_if_eq(&"WITH") {
        Some(_) => allowed.contains(&format!("{word} WITH {}", words.next().unwrap())),
        None => allowed.contains(word),
    }
}

#[test]
fn every_dependency_may_be_used_and_is_from_an_allowed_registry() {
    let (packages, licences) = (packages(), allowed("licenses", "allow"));
    let registries = allowed("sources", "allow-registry");
    assert!(packages.len() > 100, "{}", packages.len());
    let text = |package: &Value, member: &str| package[member].as_str().unwrap_or_default().to_owned();
    let is_from_there = |source: &str| source.strip_prefix("registry+").is_some_and(|from| registries.contains(from));
    let is_allowed = |package: &&Value| {
        is_from_there(&text(package, "source")) && is_permitted(&text(package, "license"), &licences)
    };
    let others = packages.iter().filter(|package| !is_allowed(package));
    let others =
        others.map(|package| ["name", "version", "license", "source"].map(|member| text(package, member)).join(" "));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_licence_is_permitted_by_its_whole_expression() {
    let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into();
    for (expression, permitted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("MIT AND (GPL-3.0 OR AGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("GPL-3.0 OR MIT AND GPL-3.0", false),
    ] {
        assert_eq!(is_permitted(expression, &allowed), permitted, "{expression}");
    }
}
