//! What the HTTP API promises, asked of the real binary.

mod harness;

use harness::{Setup, TestDaemon};

#[test]
fn a_daemon_starts_answers_and_stops() {
    let daemon = TestDaemon::start();
    assert_eq!(daemon.get("/livez").text(), "ok");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_daemon_listens_on_a_unix_socket_and_starts_again_after_being_killed() {
    let setup = Setup::new().unix();
    for _ in 0..2 {
        let daemon = setup.start();
        assert_eq!(daemon.get("/readyz").text(), "ok");
        daemon.kill();
    }
}
