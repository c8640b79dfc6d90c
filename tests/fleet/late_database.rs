//! A start waits for a database that is not reachable yet, and can be stopped meanwhile.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::harness::postgres::Postgres;
use crate::harness::{PATIENCE, Setup, Signal};

/// A daemon from its first moment, ready or not.
struct Starting {
    child: Child,
    notifications: UnixDatagram,
    folder: TempDir,
}

impl Starting {
    fn new(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let notifications = UnixDatagram::bind(&path).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = setup.command(["serve"]);
        command.env("NOTIFY_SOCKET", path).stderr(File::create(folder.path().join("stderr")).unwrap());
        Self { child: command.spawn().unwrap(), notifications, folder }
    }

    /// Waits for a notification that contains a text.
    fn tells(&self, part: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.notifications.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("it never told `{part}`: {error}\n{}", self.stderr()));
            let told = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if told.contains(part) {
                return told;
            }
        }
    }

    fn stderr(&self) -> String {
        let file: PathBuf = self.folder.path().join("stderr");
        std::fs::read_to_string(file).unwrap()
    }

    fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stopped server, and a daemon's setup for it.
fn down() -> Option<(Postgres, Setup)> {
    if !Postgres::is_installed() {
        crate::harness::skip("PostgreSQL is missing");
        return None;
    }
    let server = Postgres::options().hasty().start();
    let database = server.create_database();
    server.shut_down();
    let setup = Setup::new().in_files().set("database.url", server.url(&database));
    Some((server, setup))
}

#[test]
fn a_start_waits_for_its_database_and_says_so() {
    let Some((server, setup)) = down() else { return };
    let mut daemon = Starting::new(&setup);
    let told = daemon.tells("STATUS=waiting for the database");
    assert!(told.contains("EXTEND_TIMEOUT_USEC=30000000"), "{told}");
    server.start_again();
    daemon.tells("READY=1");
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.stderr());
    assert_eq!(daemon.stderr().matches("waiting for it").count(), 1, "{}", daemon.stderr());
}

#[test]
fn a_database_that_is_made_after_its_server_is_waited_for_too() {
    let Some((server, setup)) = down() else { return };
    server.start_again();
    let setup = setup.set("database.url", server.url("later"));
    let mut daemon = Starting::new(&setup);
    assert!(daemon.tells("STATUS=waiting").contains("\"later\" does not exist"));
    server.sql("postgres", "CREATE DATABASE later OWNER acgs");
    daemon.tells("READY=1");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_server_that_refuses_the_user_is_not_waited_for() {
    let Some((server, setup)) = down() else { return };
    server.start_again();
    let url = server.url("postgres").replacen("acgs", "nobody", 1);
    let refused = setup.set("database.url", &url).try_start().expect_err("there is no such user");
    assert_eq!(refused.status.code(), Some(74), "{refused}");
    assert!(refused.stderr.contains("FATAL") && !refused.stderr.contains("waiting for it"), "{refused}");
}

#[test]
fn a_daemon_that_waits_for_its_database_stops_when_it_is_told_to() {
    let Some((_server, setup)) = down() else { return };
    let mut daemon = Starting::new(&setup);
    daemon.tells("STATUS=waiting");
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.stderr());
    // Nothing was left half done for a later start.
    assert!(!setup.data_dir().join("audit").exists());
}

#[test]
fn a_database_that_does_not_come_is_named_and_nobody_waits_where_that_is_not_wanted() {
    let Some((_server, setup)) = down() else { return };
    for (wait, told) in [(1, 1), (0, 0)] {
        let refused = setup.clone().set("database.wait_s", wait).try_start().expect_err("there is no database");
        assert!(refused.status.code().is_some_and(|code| code != 0), "{refused}");
        assert!(refused.stderr.contains("the database `postgres://127.0.0.1"), "{refused}");
        assert_eq!(refused.stderr.matches("waiting for it").count(), told, "{refused}");
    }
}
