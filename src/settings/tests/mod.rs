//! The whole layer, from files and variables to settings or faults.

mod auth;
mod faults;
mod layers;
mod lists;
mod secrets;
mod services;
mod together;

use tempfile::TempDir;

use super::{Loaded, Settings, profile};

/// A settings folder with some files.
fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn variables(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

fn load(files: &[(&str, &str)], env: &[(&str, &str)]) -> Loaded {
    let folder = folder_with(files);
    let profile = profile(None, variables(env));
    Settings::load(folder.path(), profile.as_deref(), variables(env)).unwrap_or_else(|faults| panic!("{faults}"))
}

/// All faults as they are printed, with the folder's name left out.
fn faults(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let folder = folder_with(files);
    let profile = profile(None, variables(env));
    let faults = Settings::load(folder.path(), profile.as_deref(), variables(env)).unwrap_err();
    faults.to_string().replace(&format!("{}/", folder.path().display()), "")
}

/// What is printed for a `default.toml` of this text.
fn check(text: &str, expected: &[&str]) {
    assert_eq!(faults(&[("default.toml", text)], &[]), expected.join("\n"), "in {text}");
}

/// What is printed for one variable.
fn check_variable(name: &str, value: &str, expected: &[&str]) {
    assert_eq!(faults(&[], &[(name, value)]), expected.join("\n"), "in {name}={value}");
}
