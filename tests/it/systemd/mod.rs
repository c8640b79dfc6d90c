//! The unit for systemd fits the daemon, and systemd takes it.

mod host;
mod service;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::{Setup, repository};
use acgs::settings::{Bind, Settings};

/// Where the unit has the binary and the settings.
const BINARY: &str = "/usr/bin/acgs";
const SETTINGS: &str = "/etc/acgs";

fn unit() -> String {
    fs::read_to_string(repository().join("systemd/acgs.service")).expect("the unit is there")
}

/// The value of a key that the unit has once.
fn value(key: &str) -> String {
    let unit = unit();
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_owned(),
        found => panic!("the unit must have `{key}` once: {found:?}"),
    }
}

fn octal(key: &str) -> u32 {
    u32::from_str_radix(&value(key), 8).expect("permissions are octal")
}

fn production() -> Settings {
    let folder = repository().join("settings");
    let loaded = Settings::load_offline(&folder, Some("production"), std::iter::empty());
    loaded.expect("the profile has no faults").settings
}

/// Runs `systemd-analyze`; nothing where it is not installed.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).output();
    if output.is_err() {
        crate::harness::skip("`systemd-analyze` is not installed");
    }
    output.ok()
}

/// The unit in a folder of its own, with the binary that is tested.
fn with_own_binary(folder: &Path) -> String {
    let path = folder.join("acgs.service");
    fs::write(&path, unit().replace(BINARY, env!("CARGO_BIN_EXE_acgs"))).expect("the folder is there");
    path.to_string_lossy().into_owned()
}

#[test]
fn systemd_takes_the_unit() {
    // What the unit reloads with is a part of the host.
    if !Path::new("/bin/kill").exists() {
        crate::harness::skip("`/bin/kill` is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    if let Some(verified) = analyze(&["verify", &with_own_binary(folder.path())]) {
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains("acgs.service"), "{said}");
    }
}

#[test]
fn little_of_the_host_is_exposed_to_the_service() {
    let Some(version) = analyze(&["--version"]) else { return };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.split([' ', '.']).find_map(|word| word.parse::<u32>().ok());
    if version.is_none_or(|version| version < 250) {
        crate::harness::skip("this `systemd-analyze` judges no files");
        return;
    }
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = with_own_binary(folder.path());
    if let Some(judged) = analyze(&["security", "--no-pager", "--offline=true", "--threshold=20", &path]) {
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    }
}

#[test]
fn the_command_of_the_unit_finds_no_fault_in_the_shipped_profile() {
    let settings = repository().join("settings");
    let command = value("ExecStart").replace(SETTINGS, &settings.to_string_lossy());
    let mut words = command.split_whitespace();
    assert_eq!((words.next(), words.next()), (Some(BINARY), Some("serve")));
    let checked = Setup::new().run(["check", "--offline"].into_iter().chain(words));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn faulty_settings_are_not_tried_again() {
    let refused = Setup::new().set("http.bind", "nowhere").try_start().expect_err("the setting is faulty");
    assert_eq!(refused.status.code().map(|code| code.to_string()), Some(value("RestartPreventExitStatus")));
}

#[test]
fn requests_in_flight_have_their_time_before_the_service_is_killed() {
    let stop = Duration::from_secs(value("TimeoutStopSec").parse().expect("seconds"));
    assert!(stop > production().http.shutdown_timeout, "{stop:?}");
}

#[test]
fn the_group_reaches_the_socket_and_nobody_else_does() {
    let Bind::Unix(socket) = production().http.bind else { panic!("the profile has no Unix socket") };
    assert_eq!(socket.parent(), Some(&*Path::new("/run").join(value("RuntimeDirectory"))));
    let (folder, masked) = (octal("RuntimeDirectoryMode"), octal("UMask"));
    assert_eq!((folder & 0o077, masked & 0o077), (0o050, 0o007), "{folder:o} {masked:o}");
    assert_eq!(octal("StateDirectoryMode") & 0o077, 0, "the data are the daemon's own");
}
