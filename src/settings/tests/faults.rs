//! Every fault that one key or one file can have, as it is printed.

use tempfile::TempDir;

use super::{super::Settings, check, check_variable, variables};

#[test]
fn unknown_keys_are_faults_with_suggestions() {
    let http = "`http.bind`, `http.public_url`, `http.allowed_hosts`, `http.allowed_origins`, `http.trusted_proxies`, \
                `http.proxy_protocol`, `http.workers`, `http.max_body_bytes`, `http.max_evaluations`, \
                `http.max_connections`, `http.max_connections_per_address`, `http.max_in_flight`, \
                `http.max_large_requests`, `http.request_timeout_ms`, `http.shutdown_timeout_s`";
    let http = &*format!("  = allowed: {http}");
    for (text, expected) in [
        (
            "[http]\n  wrokers = 4 # few",
            [
                "error: `http.wrokers` is not a key",
                " --> default.toml:2:3",
                "  |",
                "2 |   wrokers = 4 # few",
                "  |   ^^^^^^^",
                "  = help: did you mean `http.workers`?",
                http,
            ]
            .as_slice(),
        ),
        (
            "http.request_timeout = 4",
            &[
                "error: `http.request_timeout` is not a key",
                " --> default.toml:1:6",
                "  |",
                "1 | http.request_timeout = 4",
                "  |      ^^^^^^^^^^^^^^^",
                "  = help: did you mean `http.request_timeout_ms`?",
                http,
            ],
        ),
        (
            "[http]\nport = 8080",
            &["error: `http.port` is not a key", " --> default.toml:2:1", "  |", "2 | port = 8080", "  | ^^^^", http],
        ),
        (
            "bind = 'x'",
            &[
                "error: `bind` is not a key",
                " --> default.toml:1:1",
                "  |",
                "1 | bind = 'x'",
                "  | ^^^^",
                "  = help: did you mean `http.bind`?",
                "  = allowed: `data_dir`",
            ],
        ),
        (
            "\"http.bind\" = 'x'",
            &[
                "error: `http.bind` is not a key",
                " --> default.toml:1:1",
                "  |",
                "1 | \"http.bind\" = 'x'",
                "  | ^^^^^^^^^^^",
                "  = help: did you mean `http.bind`?",
                "  = allowed: `data_dir`",
            ],
        ),
        (
            "[constitution]\ndata_dir = 'x'",
            &[
                "error: `data_dir` stands below `[constitution]`; move it above the first section",
                " --> default.toml:2:1",
                "  |",
                "2 | data_dir = 'x'",
                "  | ^^^^^^^^",
            ],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn unknown_sections_are_faults_with_suggestions() {
    let sections = "`http`, `database`, `database.pool`, `cache`, `cache.l1`, `cache.l2`, `cache.l3`, `constitution`, \
         `auth`, `auth.issuers`, `audit`, `audit.witness`, `monitor`, `monitor.alerts`, `log`, `trace`";
    let sections = &*format!("  = allowed: {sections}");
    for (text, expected) in [
        (
            "[database.copies]\nurl = 'x'",
            [
                "error: `database.copies` is not a section",
                " --> default.toml:1:11",
                "  |",
                "1 | [database.copies]",
                "  |           ^^^^^^",
                sections,
            ]
            .as_slice(),
        ),
        (
            "[[site]]\na = 1",
            &["error: `site` is not a section", " --> default.toml:1:3", "  |", "1 | [[site]]", "  |   ^^^^", sections],
        ),
        (
            "[pool]\nsize = 1",
            &[
                "error: `pool` is not a section",
                " --> default.toml:1:2",
                "  |",
                "1 | [pool]",
                "  |  ^^^^",
                "  = help: did you mean `database.pool`?",
                sections,
            ],
        ),
        (
            "[Audits]\nmax_queue = 1",
            &[
                "error: `Audits` is not a section",
                " --> default.toml:1:2",
                "  |",
                "1 | [Audits]",
                "  |  ^^^^^^",
                "  = help: did you mean `audit`?",
                sections,
            ],
        ),
        (
            "http = 5",
            &[
                "error: `http` is a section, not a key",
                " --> default.toml:1:1",
                "  |",
                "1 | http = 5",
                "  | ^^^^",
                "  = allowed: a table `[http]`",
            ],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn values_of_another_type_or_out_of_range_are_faults() {
    let micros = "  = allowed: an integer from 0 to 100000, in microseconds";
    let workers = "  = allowed: an integer from 0 to 1024";
    for (key, value, wrong, rest) in [
        ("http.workers", "1025", "`1025`, out of range", &[workers][..]),
        ("http.workers", "-1", "`-1`, out of range", &[workers]),
        ("http.workers", "0xffff", "`65535`, out of range", &[workers]),
        ("http.workers", "99999999999999999999", "`99999999999999999999`, out of range", &[workers]),
        ("http.workers", "'4'", r#"`"4"`, not an integer"#, &[workers]),
        ("http.workers", "4.0", "`4.0`, not an integer", &[workers]),
        ("http.workers", "true", "`true`, not an integer", &[workers]),
        ("http.workers", "[4]", "an array, not an integer", &[workers]),
        ("http.workers", "{ a = 4 }", "a table, not an integer", &[workers]),
        ("database.pool.pre_ping", "1", "`1`, neither `true` nor `false`", &["  = allowed: `true` or `false`"]),
        (
            "database.pool.pre_ping",
            "'ture'",
            r#"`"ture"`, neither `true` nor `false`"#,
            &["  = help: did you mean `true`?", "  = allowed: `true` or `false`"],
        ),
        ("cache.hit_rate_target", "100.5", "`100.5`, out of range", &["  = allowed: a number from 0 to 100"]),
        ("cache.hit_rate_target", "nan", "`NaN`, out of range", &["  = allowed: a number from 0 to 100"]),
        ("cache.hit_rate_target", "'85'", r#"`"85"`, not a number"#, &["  = allowed: a number from 0 to 100"]),
        ("http.max_in_flight", "0", "`0`, out of range", &["  = allowed: an integer from 1 to 1000000"]),
        (
            "http.request_timeout_ms",
            "0",
            "`0`, out of range",
            &["  = allowed: an integer from 1 to 600000, in milliseconds"],
        ),
        (
            "http.bind",
            "8080",
            "`8080`, not a string",
            &["  = allowed: an IP address with a port like `127.0.0.1:8080` or `[::1]:8080`, or `unix:` with a path"],
        ),
        (
            "http.bind",
            "'localhost'",
            r#"`"localhost"`, not an address with a port"#,
            &["  = allowed: an IP address with a port like `127.0.0.1:8080` or `[::1]:8080`, or `unix:` with a path"],
        ),
        (
            "http.public_url",
            r#""a\n\"b""#,
            r#"`"a\n\"b"`, not such a URL"#,
            &["  = allowed: an `http` or `https` URL with a host, without user, query and fragment, or nothing"],
        ),
        ("constitution.path", "''", r#"`""`, not a path"#, &["  = allowed: a path"]),
        (
            "constitution.expected_hash",
            "'CDD0'",
            r#"`"CDD0"`, not a constitutional hash"#,
            &["  = allowed: 16 lower-case hex digits, or nothing"],
        ),
        (
            "constitution.pinned_digest",
            "'00'",
            r#"`"00"`, not a digest"#,
            &["  = allowed: 64 lower-case hex digits, or nothing"],
        ),
        (
            "audit.origin",
            "'a log'",
            r#"`"a log"`, not the name of a log"#,
            &[
                "  = allowed: 1 to 255 bytes of printable text without white space and `+`, like `example.com/log`, or nothing",
            ],
        ),
        ("audit.sync_interval_us", "100001", "`100001`, out of range", &[micros]),
        (
            "audit.checkpoint_interval_ms",
            "9",
            "`9`, out of range",
            &["  = allowed: an integer from 10 to 3600000, in milliseconds"],
        ),
        ("audit.retention_days", "-1", "`-1`, out of range", &["  = allowed: an integer from 0 to 36500"]),
        (
            "audit.durability",
            "'asynch'",
            r#"`"asynch"`, not an allowed value"#,
            &["  = help: did you mean `async`?", "  = allowed: `durable`, `async`"],
        ),
        (
            "log.level",
            "'inof'",
            r#"`"inof"`, not a log level"#,
            &[
                "  = help: did you mean `info`?",
                "  = allowed: `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives like `info,acgs::http=debug`",
            ],
        ),
    ] {
        let (error, line) = (format!("error: `{key}` is {wrong}"), format!("1 | {key} = {value}"));
        let (place, indent) = (format!(" --> default.toml:1:{}", key.len() + 4), " ".repeat(key.len() + 3));
        let carets = format!("  | {indent}{}", "^".repeat(value.len()));
        check(&format!("{key} = {value}"), &[&[&*error, &place, "  |", &line, &carets], rest].concat());
    }
}

#[test]
fn variables_that_set_no_key_are_faults_with_suggestions() {
    let allowed =
        "  = allowed: `ACGS_` and a key in capitals with `__` for each dot, like `ACGS_HTTP__BIND` for `http.bind`";
    for (name, suggestion) in [
        ("ACGS_HTTP_BIND", Some("ACGS_HTTP__BIND")),
        ("ACGS_Http__Bind", Some("ACGS_HTTP__BIND")),
        ("ACGS__HTTP__BIND", Some("ACGS_HTTP__BIND")),
        ("ACGS_BIND", Some("ACGS_HTTP__BIND")),
        ("ACGS_DATABASE_POOL_SIZE", Some("ACGS_DATABASE__POOL__SIZE")),
        ("ACGS_PROFIL", Some("ACGS_PROFILE")),
        ("ACGS_CAPACITY", None),
        ("ACGS_SITE__NAME", None),
        ("ACGS_", None),
    ] {
        let (error, place) =
            (format!("error: `{name}` is not the variable of a key"), format!(" --> environment variable {name}"));
        let help = suggestion.map(|suggestion| format!("  = help: did you mean `{suggestion}`?"));
        let lines: Vec<&str> = [&*error, &place].into_iter().chain(help.as_deref()).chain([allowed]).collect();
        check_variable(name, "1", &lines);
    }
}

#[test]
fn values_of_variables_are_checked_like_those_of_files() {
    for (value, wrong) in [
        ("many", r#"`"many"`, not an integer"#),
        ("true", r#"`"true"`, not an integer"#),
        ("", r#"`""`, not an integer"#),
        ("1.5", r#"`"1.5"`, not an integer"#),
        ("-", r#"`"-"`, not an integer"#),
        ("1025", "`1025`, out of range"),
        ("99999999999999999999", "`99999999999999999999`, out of range"),
    ] {
        check_variable(
            "ACGS_HTTP__WORKERS",
            value,
            &[
                &format!("error: `http.workers` is {wrong}"),
                " --> environment variable ACGS_HTTP__WORKERS",
                "  = allowed: an integer from 0 to 1024",
            ],
        );
    }
}

#[test]
fn text_that_is_not_toml_is_a_fault_at_its_place() {
    check(
        "[http]\nbind = localhost\nworkers = 9999",
        &[
            "error: string values must be quoted, expected literal string",
            " --> default.toml:2:8",
            "  |",
            "2 | bind = localhost",
            "  |        ^^^^^^^^^",
        ],
    );
    check(
        "[http]\nworkers = 1\nworkers = 2",
        &["error: duplicate key", " --> default.toml:3:1", "  |", "3 | workers = 2", "  | ^^^^^^^"],
    );
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("local.toml"), b"# fine\ndata_dir = '\xff'").unwrap();
    let faults = Settings::load(folder.path(), None, variables(&[])).unwrap_err();
    assert!(faults.to_string().starts_with("error: not UTF-8\n --> "), "{faults}");
    assert!(faults.to_string().contains("local.toml:2:13\n  |\n2 | data_dir = '\u{fffd}'\n"), "{faults}");
}
