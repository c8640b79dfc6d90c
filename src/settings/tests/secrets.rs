//! Values that stand in files of their own.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::{super::Settings, folder_with, variables};

const ALLOWED: &str =
    "a file with nothing but `database.url` in it, which only its owner and its group can read, or nothing";

/// Writes a file that only its owner can read.
fn keep(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What `acgs settings --origins` says of some keys, with the folder's name left out.
fn shown(folder: &TempDir, env: &[(&str, &str)], keys: &[&str]) -> Vec<String> {
    let loaded = Settings::load(folder.path(), None, variables(env)).unwrap_or_else(|faults| panic!("{faults}"));
    let origins = loaded.origins.iter().filter(|origin| keys.contains(&origin.key));
    let name = format!("{}/", folder.path().display());
    origins.map(|origin| origin.to_string().replace(&name, "")).collect()
}

/// All faults, with the folder's name left out.
fn faults(folder: &TempDir, env: &[(&str, &str)]) -> String {
    let faults = Settings::load(folder.path(), None, variables(env)).unwrap_err();
    faults.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_file_has_the_value_and_its_place() {
    let text = "[database]\nurl_file = 'url'\nreplicas_file = 'replicas'\n[cache.l2]\nurl_file = 'redis'";
    let folder = folder_with(&[("default.toml", text)]);
    keep(&folder.path().join("url"), "postgres://me:secret@db/acgs\n");
    keep(&folder.path().join("replicas"), "postgres://me:secret@r1/acgs\n\npostgres://me:secret@r2/acgs\n");
    keep(&folder.path().join("redis"), " redis://:secret@r ");
    let keys = ["database.url", "database.url_file", "database.replicas", "cache.l2.url"];
    assert_eq!(
        shown(&folder, &[], &keys),
        [
            r#"database.url = "postgres://me:***@db/acgs" # url"#,
            r#"database.url_file = "url" # default.toml:2"#,
            r#"database.replicas = ["postgres://me:***@r1/acgs", "postgres://me:***@r2/acgs"] # replicas"#,
            r#"cache.l2.url = "redis://:***@r" # redis"#,
        ]
    );
    let settings = Settings::load(folder.path(), None, variables(&[])).unwrap().settings;
    assert_eq!(settings.cache.l2.url.as_ref().unwrap().as_str(), "redis://:secret@r");
    // Printed settings name the files, and so give the same again, with what is secret.
    assert!(settings.to_string().contains("\n#url = \"redis://:***@r\"\n"), "{settings}");
    let again = folder_with(&[("default.toml", &settings.to_string())]);
    assert_eq!(Settings::load(again.path(), None, variables(&[])).unwrap().settings, settings);
    keep(&folder.path().join("url"), "postgres://me:other@db/acgs");
    let new = Settings::load(folder.path(), None, variables(&[])).unwrap().settings;
    assert_eq!(settings.restart_needed(&new), ["database.url"]);
}

#[test]
fn the_value_of_a_later_layer_wins_over_a_file() {
    let keys = ["database.url", "database.url_file", "cache.l2.url", "cache.l2.url_file"];
    let folder = folder_with(&[
        ("default.toml", "[database]\nurl = 'sqlite:a.db'\nurl_file = 'url'\n[cache.l2]\nurl_file = 'gone'"),
        ("local.toml", "cache.l2.url = ''"),
    ]);
    keep(&folder.path().join("url"), "postgres://db/acgs");
    keep(&folder.path().join("other"), "postgres://other/acgs");
    let off = [r#"cache.l2.url = "" # local.toml:1"#, r#"cache.l2.url_file = "" # local.toml:1"#];
    let with_off = |lines: [&str; 2]| lines.into_iter().chain(off).map(str::to_owned).collect::<Vec<_>>();
    for (env, lines) in [
        // In one layer it is the file.
        (&[][..], [r#"database.url = "postgres://db/acgs" # url"#, r#"database.url_file = "url" # default.toml:3"#]),
        (
            &[("ACGS_DATABASE__URL", "sqlite:/b.db")],
            [r#"database.url = "sqlite:/b.db" # ACGS_DATABASE__URL"#, r#"database.url_file = "" # ACGS_DATABASE__URL"#],
        ),
        (
            &[("ACGS_DATABASE__URL_FILE", "other")],
            [
                r#"database.url = "postgres://other/acgs" # other"#,
                r#"database.url_file = "other" # ACGS_DATABASE__URL_FILE"#,
            ],
        ),
        (
            &[("ACGS_DATABASE__URL_FILE", ""), ("ACGS_DATA_DIR", "/")],
            [
                r#"database.url = "sqlite:/a.db" # default.toml:2"#,
                r#"database.url_file = "" # ACGS_DATABASE__URL_FILE"#,
            ],
        ),
    ] {
        assert_eq!(shown(&folder, env, &keys), with_off(lines));
    }
}

#[test]
fn a_credential_is_the_file_of_the_key_that_it_is_called_after() {
    let folder = folder_with(&[("local.toml", "[database]\nurl = 'sqlite:a.db'\nurl_file = 'gone'")]);
    let credentials = TempDir::new().unwrap();
    keep(&credentials.path().join("database.url"), "postgres://me:secret@db/acgs");
    keep(&credentials.path().join("other"), "x");
    let path = credentials.path().to_str().unwrap();
    let keys = ["database.url", "database.url_file"];
    let file = format!("{path}/database.url");
    assert_eq!(
        shown(&folder, &[("CREDENTIALS_DIRECTORY", path)], &keys),
        [
            format!("database.url = \"postgres://me:***@db/acgs\" # {file}"),
            format!("database.url_file = \"{file}\" # {file}")
        ]
    );
    let env = [("CREDENTIALS_DIRECTORY", path), ("ACGS_DATABASE__URL", "sqlite:/c.db")];
    assert_eq!(shown(&folder, &env, &keys[..1]), [r#"database.url = "sqlite:/c.db" # ACGS_DATABASE__URL"#]);
    assert!(faults(&folder, &[]).contains("`database.url_file` names `gone`, which cannot be read: No such file"));
}

#[test]
fn a_file_that_cannot_be_trusted_or_read_is_refused() {
    let folder = folder_with(&[("default.toml", "[database]\nurl_file = 'url'")]);
    let path = folder.path().join("url");
    let check = |why: &str| {
        let expected = [
            &*format!("error: `database.url_file` names `url`, {why}"),
            " --> default.toml:2:12",
            "  |",
            "2 | url_file = 'url'",
            "  |            ^^^^^",
            &format!("  = allowed: {ALLOWED}"),
        ];
        assert_eq!(faults(&folder, &[]), expected.join("\n"));
    };
    check("which cannot be read: No such file or directory (os error 2)");
    fs::create_dir(&path).unwrap();
    check("which is not a file");
    fs::remove_dir(&path).unwrap();
    keep(&path, "postgres://db/acgs");
    for (mode, why) in [
        (0o604, Some("which others can read or change")),
        (0o602, Some("which others can read or change")),
        (0o640, None),
        (0o400, None),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match why {
            Some(why) => check(why),
            None => assert_eq!(shown(&folder, &[], &["database.url"]).len(), 1),
        }
    }
    fs::remove_file(&path).unwrap();
    keep(&path, b"postgres://\xff");
    check("which is not UTF-8");
    keep(&path, "x".repeat(65_537));
    check("which has more than 65536 bytes");
}

#[test]
fn what_is_wrong_in_a_file_is_not_shown() {
    let text = "[database]\nurl_file = 'url'\nreplicas_file = 'replicas'\n[cache.l2]\nurl_file = 'redis'";
    let folder = folder_with(&[("default.toml", text)]);
    keep(&folder.path().join("url"), "secret\nsecret");
    keep(&folder.path().join("replicas"), "postgres://db/acgs\nsecret");
    keep(&folder.path().join("redis"), "secret");
    let printed = faults(&folder, &[]);
    assert!(!printed.contains("secret"), "{printed}");
    let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("  = ") && !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "error: `database.url` is not shown, not a database",
            " --> url",
            "error: `database.replicas` has one that is not shown in it, not a PostgreSQL URL",
            " --> replicas",
            "error: `cache.l2.url` is not shown, not a Redis URL",
            " --> redis",
        ]
    );
    // An empty file is no way to say that there is none.
    keep(&folder.path().join("url"), "\n");
    assert!(faults(&folder, &[]).starts_with("error: `database.url` is not shown, not a database"));
}

#[test]
fn what_connects_to_nothing_does_without_the_files() {
    let text = "[database]\nurl_file = 'url'\nreplicas = ['postgres://r/acgs']";
    let folder = folder_with(&[("default.toml", text)]);
    let load = || Settings::load_offline(folder.path(), None, variables(&[]));
    // Whether there may be replicas is not known.
    let loaded = load().unwrap();
    let path = folder.path().join("url");
    assert_eq!(loaded.settings.database.url_file.as_ref(), Some(&path));
    keep(&path, "sqlite:a.db");
    assert!(load().unwrap_err().to_string().starts_with("error: `database.replicas` is"));
    keep(&path, "x");
    assert!(load().unwrap_err().to_string().starts_with("error: `database.url` is not shown"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load().unwrap_err().to_string().contains("which others can read or change"));
}
