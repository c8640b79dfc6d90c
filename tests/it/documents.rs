//! README, ARCHITECTURE, CHANGELOG and CONTRIBUTING say what is so.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::{Request, Setup, repository};
use serde_json::Value;

/// Where the README's daemon listens.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// Names that begin like this are files or folders of the repository.
const FOLDERS: [&str; 8] = [".ci/", "docs/", "migrations/", "monitoring/", "settings/", "src/", "systemd/", "tests/"];

fn read(document: &str) -> String {
    fs::read_to_string(repository().join(document)).expect("the document is there")
}

/// The files and folders that a document links or names in backticks.
fn names(document: &str) -> Vec<&str> {
    let links = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|target| !target.contains("://"));
    let words = document.split('`').skip(1).step_by(2).filter_map(|span| span.split_whitespace().next());
    links.chain(words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))).collect()
}

fn missing(document: &str) -> Vec<&str> {
    names(document).into_iter().filter(|name| !repository().join(name).exists()).collect()
}

/// The fenced blocks of a document, with their language.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    document.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// The request that a `curl` command sends.
fn request(command: &str) -> Request {
    let (path, rest) = command.split_once(ADDRESS).and_then(|(_, rest)| rest.split_once(' ')).expect("a URL");
    // Every second piece is quoted, with its flag before it.
    let words: Vec<&str> = rest.split('\'').map(str::trim).collect();
    words.chunks_exact(2).fold(Request::post(path), |request, pair| match pair {
        ["-H", header] => {
            let (name, value) = header.split_once(": ").expect("a header");
            request.header(name, value)
        }
        ["-d", body] => request.body(*body),
        other => panic!("the README calls curl with {other:?}, which this test does not know"),
    })
}

/// An answer without what differs from one time to the next.
fn lasting(mut answer: Value) -> Value {
    let id = answer.pointer_mut("/context/id").expect("every decision has an id").take();
    assert_eq!(id.as_str().map(str::len), Some(36), "{id}");
    answer
}

#[test]
fn the_readme_shows_what_the_daemon_answers() {
    let readme = read("README.md");
    let blocks = blocks(&readme);
    let setup = Setup::new();
    let daemon = setup.start();
    let mut decisions = Vec::new();
    for pair in blocks.windows(2) {
        if let [("sh", command), ("json", shown)] = pair {
            let answer = daemon.ask(&request(command));
            let shown: Value = serde_json::from_str(shown).expect("the README shows JSON");
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(lasting(answer.json()), lasting(shown), "{command}");
            decisions.push(answer.json()["decision"].clone());
        }
    }
    assert_eq!(decisions, [true, false], "the README shows a permit and a deny");
    assert!(daemon.stop().success());

    let verified = setup.run(["audit", "verify"]);
    let verified = String::from_utf8_lossy(&verified.stdout);
    let shown = blocks.iter().find_map(|(language, text)| (*language == "text").then_some(*text));
    let without_root = |line: &str| line.split(", root ").next().map(str::to_owned);
    assert_eq!(shown.and_then(without_root), without_root(&verified));
}

#[test]
fn the_readme_has_the_address_that_is_the_default() {
    let bind = ADDRESS.trim_start_matches("http://");
    assert!(read("settings/default.toml").contains(&format!("bind = \"{bind}\"")));
    assert!(read("README.md").contains(&format!("listens on {bind}")));
}

#[test]
fn every_file_that_a_document_names_is_there() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        let text = read(document);
        assert!(!names(&text).is_empty(), "{document} names no file");
        assert_eq!(missing(&text), [""; 0], "{document}");
    }
}

/// The types that a document names in backticks.
fn types(document: &str) -> impl Iterator<Item = &str> {
    let is_type = |word: &&str| {
        word.starts_with(char::is_uppercase)
            && word.contains(char::is_lowercase)
            && word.chars().all(char::is_alphanumeric)
    };
    document.split('`').skip(1).step_by(2).filter(is_type)
}

#[test]
fn every_type_that_the_architecture_names_is_in_the_code() {
    let sources: String = crate::layers::texts().concat();
    let words: BTreeSet<&str> = sources.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let text = read("ARCHITECTURE.md");
    assert!(types(&text).count() > 50);
    assert_eq!(types(&text).filter(|name| !words.contains(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_file_that_is_not_there_is_noticed() {
    let document = "See [the map](MAP.md), [Cargo](Cargo.toml), `src/nowhere.rs`, `tests/run --all` and `GET /src/x`.";
    assert_eq!(missing(document), ["MAP.md", "src/nowhere.rs"]);
}

#[test]
fn the_changelog_has_this_version() {
    let headings = ["## [Unreleased]".to_owned(), format!("## [{}]", env!("CARGO_PKG_VERSION"))];
    let changelog = read("CHANGELOG.md");
    assert!(changelog.lines().any(|line| headings.iter().any(|heading| line.starts_with(heading))));
}
