//! Circles between files: each imports the next one by `use`, and the last one the first.
//!
//! Imports between a module and those within it are no circle, nor are those of test modules.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, code};

/// The path of a module from the crate's root.
type Module = Vec<String>;

/// Every file that imports itself through others, with the next one on the way.
pub(super) fn circles(files: &[File]) -> Vec<String> {
    let modules: BTreeMap<Module, &File> = files.iter().map(|file| (module(&file.path), file)).collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.iter().map(|(module, file)| (module, imported(module, file, &modules))).collect();
    let mut found = Vec::new();
    for (module, next) in &imports {
        for first in next.iter().filter(|first| reaches(first, module, &imports)) {
            found.push(format!("{} → {} → … → {0}", module.join("::"), first.join("::")));
        }
    }
    found
}

fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Module::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn imported<'m>(module: &Module, file: &File, modules: &'m BTreeMap<Module, &File>) -> BTreeSet<&'m Module> {
    let text = code(&file.text);
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for statement in text.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(statement, _)| statement)
    {
        for path in leaves(statement) {
            let Some(path) = absolute(module, &path) else { continue };
            let file = (0..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length]));
            found.extend(
                file.map(|(file, _)| file).filter(|file| !file.starts_with(module) && !module.starts_with(file)),
            );
        }
    }
    found
}

/// The paths of a tree of imports: `a::{b, c::d}` has `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.extend(leaves(&rest[start..at]).into_iter().map(|leaf| format!("{}{leaf}", prefix.trim())));
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// `None` for what is not of this crate.
fn absolute(module: &Module, path: &str) -> Option<Module> {
    let mut names = path.split("::").map(|name| name.split_whitespace().next().unwrap_or_default()).peekable();
    let mut base = match names.next()? {
        "crate" => Module::new(),
        "self" => module.clone(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    while names.next_if_eq(&"super").is_some() {
        base.pop();
    }
    Some(base.into_iter().chain(names.map(str::to_owned)).collect())
}

fn reaches(from: &Module, to: &Module, imports: &BTreeMap<&Module, BTreeSet<&Module>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
    while let Some(module) = next.pop() {
        if module == to {
            return true;
        }
        next.extend(imports.get(module).into_iter().flatten().filter(|module| seen.insert(module)));
    }
    false
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        assert_eq!(circles(&files), expected);
    };
    check(&[("a.rs", "use crate::b::B;"), ("b.rs", "use std::fmt;")], &[]);
    check(&[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")], &["a → b → … → a", "b → a → … → b"]);
    check(&[("a/mod.rs", "use b::B;\nuse self::b::C;"), ("a/b.rs", "use super::A;")], &[]);
    check(
        &[
            ("x/a.rs", "use super::{\n    c::C,\n    b::{self, B},\n};"),
            ("x/b.rs", "use crate::x::{d::{D as E}};"),
            ("x/c.rs", ""),
            ("x/d.rs", "pub use super::super::x::a::A;"),
        ],
        &["x::a → x::b → … → x::a", "x::b → x::d → … → x::b", "x::d → x::a → … → x::d"],
    );
    check(&[("a.rs", "use crate::b::B;"), ("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}")], &[]);
}
