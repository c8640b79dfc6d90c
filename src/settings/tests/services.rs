//! PostgreSQL and Redis: their URLs, and what goes with them.

use super::{
    super::{DatabaseUrl, RedisKind},
    check, check_variable, faults, load,
};

const URL: &str = "`postgres://user:password@host:port/database?parameter=value`, percent-encoded";

/// What `acgs settings --origins` says of a key.
fn shown(files: &[(&str, &str)], env: &[(&str, &str)], key: &str) -> String {
    load(files, env).origins.iter().find(|origin| origin.key == key).unwrap().to_string()
}

#[test]
fn a_password_is_kept_but_never_shown() {
    let text = "[database]\nurl = 'postgres://me:secret@db/acgs'\nreplicas = ['postgres://me:secret@r1/acgs']\n\
                [cache.l2]\nurl = 'rediss://acgs:secret@redis/1'";
    let loaded = load(&[("default.toml", text)], &[]);
    let DatabaseUrl::Postgres(url) = &loaded.settings.database.url else { panic!("no PostgreSQL") };
    assert_eq!(url.as_str(), "postgres://me:secret@db/acgs");
    assert_eq!(loaded.settings.database.replicas[0].as_str(), "postgres://me:secret@r1/acgs");
    let redis = loaded.settings.cache.l2.url.as_ref().unwrap();
    assert_eq!((redis.as_str(), redis.password()), ("rediss://acgs:secret@redis/1", Some("secret")));
    assert_eq!(redis.kind(), &RedisKind::Standalone);

    let printed = loaded.settings.to_string();
    for line in [
        r#"url = "postgres://me:***@db/acgs""#,
        r#"replicas = ["postgres://me:***@r1/acgs"]"#,
        r#"url = "rediss://acgs:***@redis/1""#,
    ] {
        assert!(printed.lines().any(|printed| printed == line), "no {line} in {printed}");
    }
    for text in [printed, format!("{loaded:?}"), format!("{:?}", loaded.settings.values())] {
        assert!(!text.contains("secret"), "{text}");
    }
    // Another password is another setting all the same.
    let other = load(&[("default.toml", &text.replace("secret", "terces"))], &[]).settings;
    assert_eq!(loaded.settings.restart_needed(&other), ["database.url", "database.replicas", "cache.l2.url"]);
}

#[test]
fn printed_stars_are_not_taken_for_a_password() {
    check(
        "database.url = 'postgres://me:***@db/acgs'",
        &[
            r#"error: `database.url` is `"postgres://…@db/acgs"`, but `***` only stands for its password"#,
            " --> default.toml:1:16",
            "  |",
            "1 | database.url = 'postgres://…@db/acgs'",
            "  |                ^^^^^^^^^^^^^^^^^^^^^^",
            &format!("  = allowed: `sqlite:` with the path of a file, or {URL}"),
        ],
    );
}

#[test]
fn a_faulty_url_is_shown_without_its_password_wherever_it_stands() {
    for (key, value) in [
        ("database.url", "'postgres://me:secret@db:port/acgs'"),
        ("database.url", "'postgres:me:secret@db'"),
        ("database.url", "'postgres://me:secret'"),
        ("database.url", "'postgres://db/acgs?password=secret'"),
        ("database.url", "'host=db password=secret'"),
        ("database.url", "\"postgres://me:s'secret@d b\""),
        ("database.ulr", "'postgres://me:secret@db'"),
        ("database.password", "'secret'"),
        ("database.url", "'postgres://me:secret@db"),
        ("database.replicas", "['postgres://me:secret@db/a', 'postgres://me:secret@db/a']"),
        ("database.replicas", "['postgres://me:secret@db/a']"),
        ("database.replicas", "'postgres://me:secret@db/a'"),
        ("cache.l2.url", "'redis://me:secret@r/x'"),
        ("cache.l2.url", "'redis:me:secret@r'"),
        ("cache.l2.url", "'redis://me:sec#secret@r'"),
    ] {
        let printed = faults(&[("default.toml", &format!("{key} = {value}"))], &[]);
        assert!(printed.starts_with("error: ") && !printed.contains("secret"), "{key} = {value}: {printed}");
    }
    for (name, value) in [
        ("ACGS_DATABASE__URL", "postgres://me:secret@db:port/acgs"),
        ("ACGS_DATABASE__REPLICAS", "postgres://me:secret@a/d,postgres://me:secret@b/d/e"),
        ("ACGS_DATABASE__REPLICAS", "['postgres://me:secret@a/d'"),
        ("ACGS_CACHE__L2__URL", "redis://me:secret@r/x"),
    ] {
        let printed = faults(&[], &[(name, value)]);
        assert!(printed.starts_with("error: ") && !printed.contains("secret"), "{name}={value}: {printed}");
    }
}

#[test]
fn replicas_are_a_list_in_files_and_may_have_commas_in_a_variable() {
    let postgres = ("default.toml", "database.url = 'postgres://db/acgs'");
    let expected = r#"["postgres://a,b/d", "postgres://c/d"]"#;
    let file = format!("database.replicas = {expected}");
    let key = "database.replicas";
    assert_eq!(shown(&[postgres, ("local.toml", &file)], &[], key), format!("{file} # local.toml:1"));
    for value in ["postgres://a,b/d, postgres://c/d", expected, "postgres://a,b/d\npostgres://c/d\n"] {
        let found = shown(&[postgres], &[("ACGS_DATABASE__REPLICAS", value)], key);
        assert_eq!(found, format!("database.replicas = {expected} # ACGS_DATABASE__REPLICAS"));
    }
    for value in ["", "[]"] {
        let settings = load(&[postgres, ("local.toml", &file)], &[("ACGS_DATABASE__REPLICAS", value)]).settings;
        assert!(settings.database.replicas.is_empty());
    }
}

#[test]
fn every_fault_of_a_list_of_urls_has_its_place() {
    let allowed = &*format!("  = allowed: an array of at most 16 strings like {URL}");
    check(
        "[database]\nreplicas = ['postgres://u:p@a/d', 7, 'postgres://u:p@a/d', 'http://x']",
        &[
            "error: `database.replicas` has `7` in it, not a string",
            " --> default.toml:2:35",
            "  |",
            "2 | replicas = ['postgres://…@a/d', 7, 'postgres://…@a/d', 'http://x']",
            "  |                                 ^",
            allowed,
            "",
            r#"error: `database.replicas` has `"postgres://…@a/d"` in it, the same as one before it"#,
            " --> default.toml:2:38",
            "  |",
            "2 | replicas = ['postgres://…@a/d', 7, 'postgres://…@a/d', 'http://x']",
            "  |                                    ^^^^^^^^^^^^^^^^^^",
            allowed,
            "",
            r#"error: `database.replicas` has `"http://x"` in it, not a PostgreSQL URL"#,
            " --> default.toml:2:60",
            "  |",
            "2 | replicas = ['postgres://…@a/d', 7, 'postgres://…@a/d', 'http://x']",
            "  |                                                        ^^^^^^^^^^",
            allowed,
        ],
    );
    let place = " --> environment variable ACGS_DATABASE__REPLICAS";
    let error = r#"error: `database.replicas` has `"db"` in it, not a PostgreSQL URL"#;
    check_variable("ACGS_DATABASE__REPLICAS", "db", &[error, place, allowed]);
    let many = (0..17).map(|number| format!("postgres://r{number}/d")).collect::<Vec<_>>().join(",");
    let error = "error: `database.replicas` is an array of 17, too long";
    check_variable("ACGS_DATABASE__REPLICAS", &many, &[error, place, allowed]);
    check(
        "[database.replicas]\nurl = 'x'",
        &[
            "error: `database.replicas` is a table, not an array of strings",
            " --> default.toml:1:1",
            "  |",
            "1 | [database.replicas]",
            "  | ^^^^^^^^^^^^^^^^^^^",
            allowed,
        ],
    );
}

#[test]
fn only_postgresql_has_replicas() {
    check(
        "database.replicas = ['postgres://me:secret@r/acgs']",
        &[
            "error: `database.replicas` is `[\"postgres://…@r/acgs\"]`, but `database.url` is `\"sqlite:acgs.db\"` (default)",
            " --> default.toml:1:21",
            "  |",
            "1 | database.replicas = ['postgres://…@r/acgs']",
            "  |                     ^^^^^^^^^^^^^^^^^^^^^^^",
            "  = allowed: `database.replicas` only where `database.url` is PostgreSQL's",
        ],
    );
    // What was meant for the URL is not known.
    let printed =
        faults(&[("default.toml", "database.replicas = ['postgres://r/d']\ndatabase.url = 'postgres:x'")], &[]);
    assert_eq!(printed.matches("error: ").count(), 1, "{printed}");
}

#[test]
fn what_is_kept_is_no_more_than_there_may_be() {
    check(
        "database.pool.size = 9",
        &[
            "error: `database.pool.size` is `9`, but `database.pool.min_idle` is `10` (default)",
            " --> default.toml:1:22",
            "  |",
            "1 | database.pool.size = 9",
            "  |                      ^",
            "  = allowed: `database.pool.size` at least `database.pool.min_idle`, because the pool cannot keep more \
             connections idle than it holds",
        ],
    );
    check_variable(
        "ACGS_CACHE__L2__POOL_SIZE",
        "51",
        &[
            "error: `cache.l2.pool_size` is `51`, but `cache.l2.max_connections` is `50` (default)",
            " --> environment variable ACGS_CACHE__L2__POOL_SIZE",
            "  = allowed: `cache.l2.max_connections` at least `cache.l2.pool_size`, because those that are kept are some of \
             all",
        ],
    );
    load(&[("default.toml", "[database.pool]\nsize = 1\nmin_idle = 1\nmax_overflow = 0")], &[]);
    load(&[("default.toml", "cache.l2.max_connections = 20")], &[]);
}
