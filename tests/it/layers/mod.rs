//! The layers of `src/lib.rs`, and the rooms of the actors: imports point down only, the cores know nothing of each
//! other or of actors, no two files import each other, not even through others, and files stay small and are called
//! after nouns.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// From top to bottom. What stands in one line must not import each other.
const LAYERS: [&[&str]; 8] = [
    &["main"],
    &["cli"],
    &["daemon"],
    &["http"],
    &["actors", "replay", "bench"],
    &["constitution", "auth", "ledger", "store", "logging", "metrics", "trace"],
    &["settings"],
    &["domain"],
];

/// The folders of `src/actors`, from top to bottom. The files beside them are below all of them.
const ROOMS: [&[&str]; 6] =
    [&["monitor"], &["decision"], &["cache"], &["database"], &["identity", "health"], &["audit"]];

/// The first layer, counted from the top, that knows nothing of actors and of HTTP.
const PURE: usize = 5;

/// The most lines of a file.
const LINES: usize = 400;

/// Names that say of which kind a file's content is, and not what it is about.
const NO_NOUNS: [&str; 6] = ["utils", "helpers", "types", "common", "models", "messages"];

/// A source file: its path from `src`, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The module of the crate's root that the file belongs to; none for the root itself.
    fn module(&self) -> Option<&str> {
        let first = self.path.split('/').next()?.trim_end_matches(".rs");
        (first != "lib").then_some(first)
    }

    /// Everything that is wrong with the file.
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let lines = self.text.lines().count();
        if lines > LINES {
            found.push(format!("{}: has {lines} lines, more than {LINES}", self.path));
        }
        for name in self.path.split('/').map(|part| part.trim_end_matches(".rs")).filter(|name| NO_NOUNS.contains(name))
        {
            found.push(format!("{}: `{name}` is no noun of the field", self.path));
        }
        let Some(module) = self.module() else {
            return found;
        };
        let Some(own) = layer(module) else {
            found.push(format!("{}: module `{module}` has no layer", self.path));
            return found;
        };
        let code = code(&self.text);
        for import in imports(&code, root(module)).iter().filter(|import| *import != module) {
            match layer(import) {
                Some(of) if of > own => {}
                Some(_) => found.push(format!("{}: `{module}` must not know `{import}`", self.path)),
                None => found.push(format!("{}: imports `{import}`, which has no layer", self.path)),
            }
        }
        found.extend(self.wrong_rooms(&code));
        let words: BTreeSet<&str> = code.split(|c: char| !is_word(c)).collect();
        for word in ["actix", "actix_web", "actix_rt"].into_iter().filter(|word| own >= PURE && words.contains(word)) {
            found.push(format!("{}: `{module}` must not know `{word}`", self.path));
        }
        found
    }
}

impl File {
    /// The imports of an actor from a room that is not below its own.
    fn wrong_rooms(&self, code: &str) -> Vec<String> {
        let Some(("actors", rest)) = self.path.split_once('/') else { return Vec::new() };
        let own = rest.split_once('/').map_or(rest, |(room, _)| room);
        if own == "mod.rs" {
            return Vec::new();
        }
        let place = room(own).unwrap_or(ROOMS.len());
        let others = imports(code, "crate::actors::").into_iter().filter(|import| import != own);
        let wrong = others.filter(|import| room(import).is_some_and(|room| room <= place));
        wrong.map(|import| format!("{}: the room `{own}` must not know `{import}`", self.path)).collect()
    }
}

/// The place of a module's layer, from the top.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The place of a room of the actors, from the top; `None` for the files beside the rooms.
fn room(name: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&name))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text without what follows `//` in a line.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// How a module names the root of the library; elsewhere than in the binary `acgs::` is text, such as a directive for
/// the log.
fn root(module: &str) -> &'static str {
    if module == "main" { "acgs::" } else { "crate::" }
}

/// The modules of the root that follow its name, alone or in braces.
fn imports(code: &str, root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with(is_word)) {
        let rest = code[at + root.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_names(list)),
            None => found.extend(name(rest)),
        }
    }
    found
}

/// `a::{b, c}, d}` begins with `a` and `d`.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut starts) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            c if starts && is_word(c) => {
                names.extend(name(&list[at..]));
                starts = false;
            }
            _ => {}
        }
    }
    names
}

/// The module at the beginning of a path; a root's own item, which has a capital, is none.
fn name(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| is_word(*c)).collect();
    name.starts_with(char::is_lowercase).then_some(name)
}

fn read(folder: &Path, from: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, from, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(from).unwrap().to_string_lossy();
            files.push(File::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The texts of all source files.
pub(crate) fn texts() -> Vec<String> {
    sources().into_iter().map(|file| file.text).collect()
}

fn sources() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    read(&folder, &folder, &mut files);
    assert!(files.iter().any(|file| file.path == "constitution/mod.rs"), "no sources in {}", folder.display());
    files
}

#[test]
fn every_import_points_down() {
    let files = sources();
    let mut violations: Vec<String> = files.iter().flat_map(File::violations).collect();
    violations.sort();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn no_file_imports_itself_through_others() {
    let found = circles::circles(&sources());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_violation_is_seen_however_it_is_written() {
    let rows = [
        ("ledger/log.rs", "use crate::domain::Verdict;\nuse crate::settings::Log;", ""),
        ("lib.rs", "pub mod http;\nuse crate::http::Server;", ""),
        ("main.rs", "use acgs::daemon::Daemon;", ""),
        ("main.rs", "acgs::cli::run()", ""),
        ("main.rs", "acgs::cache::run()", "main.rs: imports `cache`, which has no layer"),
        ("settings/log_level.rs", "\"info,acgs::http=debug\"", ""),
        ("cli.rs", "use crate::main;", "cli.rs: `cli` must not know `main`"),
        ("domain/mod.rs", "use crate::store::Row;", "domain/mod.rs: `domain` must not know `store`"),
        ("store/agent.rs", "fn f() -> crate::ledger::Entry {}", "store/agent.rs: `store` must not know `ledger`"),
        (
            "auth.rs",
            "use crate::{\n    domain::{Json, Object},\n    http::Problem,\n};",
            "auth.rs: `auth` must not know `http`",
        ),
        ("settings/mod.rs", "pub(crate) use crate::actors;", "settings/mod.rs: `settings` must not know `actors`"),
        ("ledger/mod.rs", "use actix::prelude::*;", "ledger/mod.rs: `ledger` must not know `actix`"),
        ("store/mod.rs", "actix_web::web::block(f)", "store/mod.rs: `store` must not know `actix_web`"),
        ("actors/mod.rs", "use actix::prelude::*;\nuse crate::store::Row;", ""),
        ("actors/mod.rs", "// Not even use crate::http::Problem;", ""),
        ("actors/decision/registry.rs", "use crate::actors::audit::Journal;\nuse crate::actors::Mailbox;", ""),
        (
            "actors/audit/queue.rs",
            "use crate::actors::health::Progress;",
            "actors/audit/queue.rs: the room `audit` must not know `health`",
        ),
        (
            "actors/mailbox.rs",
            "use crate::actors::{database::Write, progress::Progress};",
            "actors/mailbox.rs: the room `mailbox.rs` must not know `database`",
        ),
        ("actors/mod.rs", "use crate::http::Problem;", "actors/mod.rs: `actors` must not know `http`"),
        ("domain/mod.rs", "use crate::cache::Key;", "domain/mod.rs: imports `cache`, which has no layer"),
        ("cache/mod.rs", "", "cache/mod.rs: module `cache` has no layer"),
        ("http/utils.rs", "", "http/utils.rs: `utils` is no noun of the field"),
        ("http/models/mod.rs", "", "http/models/mod.rs: `models` is no noun of the field"),
    ];
    for (path, text, expected) in rows {
        assert_eq!(File::new(path, text).violations().join("\n"), expected, "{path}: {text}");
    }
    let long = "\n".repeat(LINES);
    assert_eq!(File::new("domain/a.rs", &long).violations().len(), 0);
    assert_eq!(File::new("domain/a.rs", &(long + "\n")).violations(), ["domain/a.rs: has 401 lines, more than 400"]);
}
