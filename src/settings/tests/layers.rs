//! Which value wins, and what becomes of it.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    time::Duration,
};

use super::{
    super::{Bind, DatabaseUrl, HashEnforcement, Loaded, Settings, SourceLocation, folder, is_live, keys},
    folder_with, load, variables,
};

#[test]
fn an_empty_folder_gives_the_defaults() {
    let Loaded { settings, origins, .. } = load(&[], &[]);
    assert_eq!(settings.http.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.http.request_timeout, Duration::from_secs(1));
    assert_eq!(settings.http.workers, None);
    assert_eq!(settings.constitution.expected_hash.unwrap().as_str(), "cdd01ef066bc6cf2");
    assert_eq!(settings.audit.origin, None);
    assert_eq!(settings.audit.checkpoint_interval, Duration::from_secs(1));
    assert_eq!(settings.audit.retention_days, None, "records are kept for ever");
    assert!(origins.iter().all(|origin| origin.place == SourceLocation::Default));
    assert_eq!(origins.len(), keys::keys().len());
}

#[test]
fn every_default_is_allowed_and_written_as_it_was_read() {
    let written = load(&[], &[]).settings.values();
    for (key, (name, value)) in keys::keys().iter().zip(written) {
        let default = key.default.as_ref().unwrap();
        assert_eq!((key.check)(default), Ok(()), "{name}");
        // Paths have become absolute.
        if !["data_dir", "database.url", "constitution.path"].contains(&name) {
            assert_eq!((key.name, default.to_toml()), (name, value));
        }
    }
}

#[test]
fn later_layers_win_and_each_value_knows_its_origin() {
    let files = [
        ("default.toml", "[http]\nworkers = 1\nmax_evaluations = 1\nmax_in_flight = 1\nmax_body_bytes = 2000"),
        ("site.toml", "http.workers = 2\nhttp.max_evaluations = 2\nhttp.max_in_flight = 2"),
        ("local.toml", "\nhttp = { workers = 3, max_evaluations = 3 }"),
    ];
    let loaded = load(&files, &[("ACGS_HTTP__WORKERS", "4"), ("ACGS_PROFILE", "site"), ("PATH", "/bin")]);
    let origins: Vec<String> = loaded.origins[1..16].iter().map(ToString::to_string).collect();
    assert_eq!(
        origins,
        [
            r#"http.bind = "127.0.0.1:8080" # default"#,
            r#"http.public_url = "" # default"#,
            r#"http.allowed_hosts = "" # default"#,
            r#"http.allowed_origins = "" # default"#,
            r#"http.trusted_proxies = "" # default"#,
            r#"http.proxy_protocol = "off" # default"#,
            "http.workers = 4 # ACGS_HTTP__WORKERS",
            "http.max_body_bytes = 2000 # default.toml:5",
            "http.max_evaluations = 3 # local.toml:2",
            "http.max_connections = 16384 # default",
            "http.max_connections_per_address = 4096 # default",
            "http.max_in_flight = 2 # site.toml:3",
            "http.max_large_requests = 2 # default",
            "http.request_timeout_ms = 1000 # default",
            "http.shutdown_timeout_s = 30 # default",
        ]
    );
}

#[test]
fn a_file_of_the_settings_in_force_gives_them_again() {
    let first = load(&[("local.toml", "[http]\nbind = \"unix:a \\\"b\\\\.sock\"\nworkers = 7")], &[]).settings;
    let second = load(&[("default.toml", &first.to_string())], &[]).settings;
    assert_eq!(first, second);
    assert!(first.to_string().contains("\n[database.pool]\nsize = 20\n"), "{first}");
}

#[test]
fn variables_are_read_as_the_type_of_their_key() {
    let env = [
        ("ACGS_CONSTITUTION__EXPECTED_HASH", "1234567890123456"),
        ("ACGS_HTTP__PUBLIC_URL", ""),
        ("ACGS_DATABASE__POOL__SIZE", "10"),
        ("ACGS_DATABASE__POOL__PRE_PING", "false"),
        ("ACGS_CACHE__HIT_RATE_TARGET", "99"),
        ("ACGS_LOG__LEVEL", "off"),
        ("ACGS_DATA_DIR", "/true"),
        ("ACGS_AUDIT__ORIGIN", "42"),
        ("ACGS_AUDIT__RETENTION_DAYS", "30"),
    ];
    let settings = load(&[], &env).settings;
    assert_eq!(settings.audit.origin.unwrap().as_str(), "42");
    assert_eq!(settings.audit.retention_days.map(NonZeroU32::get), Some(30));
    assert_eq!(settings.constitution.expected_hash.unwrap().as_str(), "1234567890123456");
    assert_eq!(settings.http.public_url, None);
    assert_eq!(settings.database.pool.size.get(), 10);
    assert!(!settings.database.pool.pre_ping);
    assert_eq!(settings.cache.hit_rate_target.to_string(), "99.0");
    assert_eq!(settings.log.level.as_str(), "off");
    assert_eq!(settings.data_dir, Path::new("/true"));
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_ignored_with_one_line() {
    let env = [
        ("ACGS_HTTP_PORT_80_TCP_ADDR", "10.96.0.17"),
        ("ACGS_PORT", "tcp://10.96.0.17:8080"),
        ("ACGS_SERVICE_HOST", "10.96.0.17"),
        ("ACGS_HTTP__WORKERS", "3"),
    ];
    let loaded = load(&[], &env);
    assert_eq!(loaded.settings.http.workers.map(NonZeroUsize::get), Some(3));
    assert_eq!(loaded.service_links, ["ACGS_HTTP_PORT_80_TCP_ADDR", "ACGS_PORT", "ACGS_SERVICE_HOST"]);
    assert_eq!(
        loaded.notice().unwrap(),
        "ignored the environment variable `ACGS_HTTP_PORT_80_TCP_ADDR`, which Kubernetes sets for a service: it and 2 \
         more set nothing here; `enableServiceLinks: false` in the pod's specification turns them off"
    );
    assert_eq!(load(&[], &env[3..]).notice(), None);
}

#[test]
fn relative_paths_start_where_the_manual_says() {
    let here = std::env::current_dir().unwrap();
    let folder = folder_with(&[("local.toml", "http.bind = \"unix:s\"\nconstitution.path = \"c\"")]);
    let load = |env| Settings::load(folder.path(), None, variables(env)).unwrap();
    let settings = load(&[]).settings;
    assert_eq!(settings.data_dir, here.join("data"));
    assert_eq!(settings.database.url, DatabaseUrl::Sqlite(here.join("data/acgs.db")));
    assert_eq!(settings.constitution.path, folder.path().join("c"));
    assert_eq!(settings.http.bind, Bind::Unix(folder.path().join("s")));
    assert_eq!(load(&[("ACGS_DATA_DIR", "x"), ("STATE_DIRECTORY", "/y")]).settings.data_dir, here.join("x"));
    assert_eq!(load(&[("ACGS_DATABASE__URL", "sqlite:/z/a.db")]).settings.database.url.to_string(), "sqlite:/z/a.db");
    let systemd = load(&[("STATE_DIRECTORY", "/var/lib/acgs:/var/lib/other")]);
    assert_eq!(systemd.origins[0].to_string(), r#"data_dir = "/var/lib/acgs" # STATE_DIRECTORY"#);
}

#[test]
fn the_folder_is_the_flags_then_the_variables_then_the_one_here() {
    let env = || variables(&[("ACGS_SETTINGS", "/env")]);
    assert_eq!(folder(Some("/flag".into()), env()), Path::new("/flag"));
    assert_eq!(folder(None, env()), Path::new("/env"));
    // Tests run in the repository, which has one.
    assert_eq!(folder(None, variables(&[("ACGS_SETTINGS", "")])), Path::new("settings"));
}

#[test]
fn only_the_constitution_and_the_log_level_change_live() {
    let old = load(&[], &[]).settings;
    let env = [
        ("ACGS_CONSTITUTION__HASH_ENFORCEMENT", "required"),
        ("ACGS_CONSTITUTION__EXPECTED_HASH", ""),
        ("ACGS_LOG__LEVEL", "debug"),
        ("ACGS_LOG__FORMAT", "json"),
        ("ACGS_HTTP__WORKERS", "2"),
    ];
    assert_eq!(old.restart_needed(&load(&[], &env).settings), ["http.workers", "log.format"]);
    assert_eq!(old.restart_needed(&load(&[], &env[..3]).settings), [""; 0]);
}

#[test]
fn default_toml_marks_the_live_keys() {
    let text = include_str!("../../../settings/default.toml");
    let (mut section, mut is_marked, mut marked) = ("", false, 0);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some(comment) = line.strip_prefix('#') {
            is_marked |= comment.starts_with(" (live) ");
        } else if let Some((key, _)) = line.split_once(" = ") {
            assert_eq!(is_live(&format!("{section}.{key}")), is_marked, "{section}.{key}");
            marked += u32::from(std::mem::take(&mut is_marked));
        }
    }
    assert!(marked > 5, "{marked}");
}

#[test]
fn shipped_files_load_and_default_toml_says_every_default() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings");
    let defaults = load(&[], &[]).settings;
    let Loaded { mut settings, origins, .. } = Settings::load(&folder, None, variables(&[])).unwrap();
    settings.constitution.path.clone_from(&defaults.constitution.path);
    assert_eq!(settings, defaults);
    for origin in &origins {
        assert!(origin.place.origin().starts_with("default.toml:"), "{origin}");
    }
    let production = Settings::load_offline(&folder, Some("production"), variables(&[])).unwrap().settings;
    assert_eq!(production.constitution.hash_enforcement, HashEnforcement::Required);
    assert!(production.http.bind.is_local());
}
