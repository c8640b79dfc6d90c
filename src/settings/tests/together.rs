//! Faults of several keys, several files, and of the folder as a whole.

use super::{
    super::{Bind, Settings, profile},
    check, check_variable, faults, folder_with, load, variables,
};

#[test]
fn all_faults_of_all_layers_are_reported_at_once_from_top_to_bottom() {
    let files = [
        ("default.toml", "[log]\nlevle = 'info'\nformat = 'yaml'\n[http]\nworkers = -1\n[cahce]\n"),
        ("site.toml", "[http\n"),
        ("local.toml", "data_dir = 1"),
    ];
    let printed = faults(&files, &[("ACGS_PROFILE", "site"), ("ACGS_X", "1"), ("ACGS_HTTP__BIND", "no")]);
    let places: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix(" --> ")).collect();
    assert_eq!(
        places,
        [
            "default.toml:2:1",
            "default.toml:3:10",
            "default.toml:5:11",
            "default.toml:6:2",
            "site.toml:1:6",
            "local.toml:1:12",
            "environment variable ACGS_HTTP__BIND",
            "environment variable ACGS_X",
        ]
    );
}

#[test]
fn a_fault_is_reported_even_where_a_later_layer_hides_it() {
    let files = [("default.toml", "http.workers = 'x'"), ("local.toml", "http.workers = 1")];
    assert!(
        faults(&files, &[]).starts_with("error: `http.workers` is `\"x\"`, not an integer\n --> default.toml:1:16")
    );
}

#[test]
fn values_that_do_not_go_together_are_faults_at_the_one_that_was_written() {
    let queue = "  = allowed: `audit.max_queue` at least `http.max_evaluations`, because the records of the largest request \
                 have to fit into the queue";
    check(
        "[audit]\nmax_queue = 999",
        &[
            "error: `audit.max_queue` is `999`, but `http.max_evaluations` is `1000` (default)",
            " --> default.toml:2:13",
            "  |",
            "2 | max_queue = 999",
            "  |             ^^^",
            queue,
        ],
    );
    check(
        "http.max_evaluations = 9000",
        &[
            "error: `http.max_evaluations` is `9000`, but `audit.max_queue` is `8192` (default)",
            " --> default.toml:1:24",
            "  |",
            "1 | http.max_evaluations = 9000",
            "  |                        ^^^^",
            queue,
        ],
    );
    check_variable(
        "ACGS_HTTP__REQUEST_TIMEOUT_MS",
        "499",
        &[
            "error: `http.request_timeout_ms` is `499`, but `database.pool.acquire_timeout_ms` is `500` (default)",
            " --> environment variable ACGS_HTTP__REQUEST_TIMEOUT_MS",
            "  = allowed: `http.request_timeout_ms` at least `database.pool.acquire_timeout_ms`, because a request cannot \
         wait for a connection longer than it may take",
        ],
    );
    let brief = "database.pool.acquire_timeout_ms = 9\nhttp.request_timeout_ms = 9\naudit.sync_interval_us = ";
    assert_eq!(load(&[("default.toml", &format!("{brief}9000"))], &[]).settings.audit.sync_interval.as_millis(), 9);
    assert!(faults(&[("default.toml", &format!("{brief}9001"))], &[]).contains(
        "`http.request_timeout_ms` at least `audit.sync_interval_us`, because a decision is answered after the sync of \
         its record"
    ));
    let files = [("default.toml", "[http]\nrequest_timeout_ms = 2001"), ("local.toml", "http.shutdown_timeout_s = 2")];
    assert!(faults(&files, &[]).starts_with(
        "error: `http.shutdown_timeout_s` is `2`, but `http.request_timeout_ms` is `2001` (default.toml:2)\n \
         --> local.toml:1:27"
    ));
}

#[test]
fn rules_between_settings_are_reported_beside_other_faults_but_not_because_of_them() {
    let count = |text| faults(&[("default.toml", text)], &[]).matches("error: ").count();
    for (text, errors) in [
        // Two that have nothing to do with each other.
        ("audit.max_queue = 9\nhttp.workers = -1", 2),
        // What was meant for the other value is not known.
        ("audit.max_queue = 9\nhttp.max_evaluations = -1", 1),
        ("audit.max_queue = 9\nhttp.max_evaluation = 2", 1),
        ("[audit]\nmax_queue = 9\n[htpp]\nmax_evaluations = 2", 1),
    ] {
        assert_eq!(count(text), errors, "{text}");
    }
}

#[test]
fn a_socket_path_fits_into_the_kernels_address() {
    let text = |length: usize| format!("http.bind = 'unix:/{}'", "s".repeat(length - 1));
    assert!(matches!(load(&[("default.toml", &text(107))], &[]).settings.http.bind, Bind::Unix(_)));
    let faults = faults(&[("default.toml", &text(108))], &[]);
    assert!(faults.contains("too long for a socket\n --> default.toml:1:13\n"), "{faults}");
}

#[test]
fn a_named_profile_must_have_a_file_of_its_own() {
    for (name, expected) in [
        ("stagin", "error: the profile `stagin` has no file\n --> stagin.toml\n  = help: did you mean `staging`?"),
        ("x", "error: the profile `x` has no file\n --> x.toml"),
        (
            "local",
            "error: `local` cannot be the name of a profile\n --> --profile or ACGS_PROFILE\n  = allowed: letters, \
                   digits, `-` and `_`, and neither `default` nor `local`",
        ),
        (
            "../x",
            "error: `../x` cannot be the name of a profile\n --> --profile or ACGS_PROFILE\n  = allowed: letters, \
                  digits, `-` and `_`, and neither `default` nor `local`",
        ),
    ] {
        assert_eq!(faults(&[("staging.toml", "")], &[("ACGS_PROFILE", name)]), expected);
    }
    assert_eq!(profile(Some("flag".into()), variables(&[("ACGS_PROFILE", "env")])).as_deref(), Some("flag"));
    assert_eq!(profile(None, variables(&[("ACGS_PROFILE", "")])), None);
}

#[test]
fn a_named_folder_must_exist() {
    let folder = folder_with(&[("file", "")]);
    for missing in ["none", "file"] {
        let path = folder.path().join(missing);
        let faults = Settings::load(&path, None, variables(&[])).unwrap_err();
        assert_eq!(faults.to_string(), format!("error: there is no such settings folder\n --> {}", path.display()));
    }
}
