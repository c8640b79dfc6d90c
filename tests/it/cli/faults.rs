//! `acgs check`: every fault at once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use super::{copy, names, outcome};
use crate::harness::{Setup, Tiers, repository};

#[test]
fn check_finds_nothing_wrong_with_what_is_shipped() {
    let setup = Setup::new();
    for arguments in [&["check"][..], &["check", "--offline"]] {
        assert_eq!(outcome(&setup.run(arguments)), (Some(0), "ok\n", ""));
    }
    assert!(!setup.data_dir().exists(), "a check writes nothing");
}

#[test]
fn check_lists_every_fault_of_settings_and_constitution() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path();
    copy(&repository().join("tests/it/authzen/constitution"), &settings.join("constitution"));
    fs::write(settings.join("default.toml"), "[http]\nbnd = \"127.0.0.1:1\"\nmax_in_flight = 0\n[htp]\nx = 1\n")
        .unwrap();
    fs::write(settings.join("site.toml"), "[constitution]\nexpected_hash = \"x\"\n").unwrap();
    fs::write(settings.join("local.toml"), "x = [\n").unwrap();
    let policies = settings.join("constitution/policies/todo.cedar");
    let text = fs::read_to_string(&policies).unwrap();
    let changed = text
        .replace("@id(\"admins-create\")", "@id(\"editors-create\")")
        .replace("@principle(\"ownership\")", "@principle(\"nothing\")")
        .replace("@advice", "@advise");
    fs::write(&policies, changed).unwrap();
    let manifest = settings.join("constitution/constitution.toml");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("1.0\n", "0.9\n")).unwrap();

    let setup = Setup::new().settings(settings).set("http.workers", "many").env("ACGS_HTP__BIND", "1");
    let mut parts = vec![
        "default.toml:2:1",
        "`http.bnd`",
        "did you mean `http.bind`?",
        "default.toml:3:17",
        "`http.max_in_flight` is `0`, out of range",
        "default.toml:4:2",
        "`htp` is not a section",
        "site.toml:2:17",
        "`constitution.expected_hash`",
        "local.toml:1:",
        "environment variable ACGS_HTTP__WORKERS",
        "`http.workers` is `\"many\"`, not an integer",
        "environment variable ACGS_HTP__BIND",
        "did you mean `ACGS_HTTP__BIND`?",
    ];
    let in_the_bundle = [
        "constitution/constitution.toml: the weights of all principles make 0.9, not 1",
        "constitution/policies/todo.cedar:12:",
        "`editors-create` is there twice",
        "constitution/policies/todo.cedar:29:1",
        "`nothing`, which does not exist",
        "`@advise` is unknown",
    ];
    parts.extend(in_the_bundle);
    let output = setup.run(["--profile", "site", "check"]);
    let (code, printed, faults) = outcome(&output);
    assert_eq!((code, printed), (Some(78), ""));
    names(faults, &parts);
    // With the settings in order, those of the constitution are left; and the daemon refuses them with the same words.
    for file in ["default.toml", "site.toml", "local.toml"] {
        fs::write(settings.join(file), "").unwrap();
    }
    let setup = Setup::new().settings(settings);
    let output = setup.run(["check"]);
    let (code, _, faults) = outcome(&output);
    assert_eq!(code, Some(78));
    names(faults, &in_the_bundle);
    assert!(!faults.contains(".toml:2"), "{faults}");
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(78));
    names(&refused.stderr, &in_the_bundle.map(|part| part.trim_start_matches("constitution/")));
    assert!(!setup.data_dir().exists(), "nothing is made before the constitution is sound");
}

#[test]
fn check_finds_a_damaged_database_unless_it_is_to_leave_it_out() {
    if Tiers::have_no_files() {
        return;
    }
    let setup = Setup::new();
    fs::create_dir_all(setup.data_dir()).unwrap();
    fs::write(setup.data_dir().join("acgs.db"), "this is no database".repeat(500)).unwrap();
    let output = setup.run(["check"]);
    let (code, _, faults) = outcome(&output);
    assert_eq!(code, Some(78));
    names(faults, &["acgs.db` is damaged"]);
    assert_eq!(outcome(&setup.run(["check", "--offline"])), (Some(0), "ok\n", ""));
}

#[test]
fn a_data_folder_whose_path_is_no_text_is_refused_and_no_other_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"d\xffta"));
    fs::create_dir(&odd).unwrap();
    let relative = |command: &mut Command| {
        command.current_dir(&odd).env("ACGS_DATA_DIR", "data");
    };
    let by_variable = |command: &mut Command| {
        command.env("ACGS_DATA_DIR", odd.join("data"));
    };
    let by_systemd = |command: &mut Command| {
        command.env_remove("ACGS_DATA_DIR").env("STATE_DIRECTORY", &odd);
    };
    let by_database = |command: &mut Command| {
        command.env("ACGS_DATABASE__URL", OsStr::from_bytes(b"sqlite:/tmp/d\xffta.db"));
    };
    for (key, place) in [
        ("data_dir", &relative as &dyn Fn(&mut Command)),
        ("data_dir", &by_variable),
        ("data_dir", &by_systemd),
        ("database.url", &by_database),
    ] {
        for arguments in [&["check", "--offline"][..], &["serve"]] {
            let setup = Setup::new().in_files();
            let mut command = setup.command(arguments);
            place(&mut command);
            let output = command.output().unwrap();
            let (code, _, errors) = outcome(&output);
            assert_eq!(code, Some(78), "{key} {arguments:?}: {errors}");
            names(errors, &[&format!("`{key}` is `"), "not a path in UTF-8"]);
        }
    }
    let beside = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((beside, fs::read_dir(&odd).unwrap().count()), (1, 0), "nothing was made");
}

#[test]
fn a_clock_whose_time_cannot_be_written_is_refused() {
    const CLOCK: &str = "#include <time.h>\n#include <stdlib.h>\n\
        int clock_gettime(clockid_t id, struct timespec *ts) {\n\
            (void)id; ts->tv_sec = atoll(getenv(\"CLOCK\")); ts->tv_nsec = 0; return 0;\n\
        }\n";
    let folder = tempfile::tempdir().unwrap();
    let (source, shim) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let Ok(status) = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).status() else {
        return crate::harness::skip("there is no C compiler `cc`");
    };
    assert!(status.success());
    for (seconds, code) in [
        ("-1", Some(74)),
        ("-62135596801", Some(74)),
        ("253402300800", Some(74)),
        ("9223372036854775807", Some(74)),
        ("0", Some(0)),
        ("253402300799", Some(0)),
    ] {
        let setup = Setup::new().env("LD_PRELOAD", shim.display()).env("CLOCK", seconds);
        let output = setup.run(["check", "--offline"]);
        let (found, _, errors) = outcome(&output);
        assert_eq!(found, code, "{seconds}: {errors}");
        if code == Some(74) {
            names(errors, &["the system's clock is at", "outside of the years 1970 to 9999"]);
        }
    }
}
