//! The unit file as shipped, under a real systemd.

use super::host::Host;
use crate::harness::until;

/// A single host without PostgreSQL and Redis, as `production.toml` describes it.
const SQLITE: &str = "database.url = \"sqlite:acgs.db\"\n[cache.l2]\nurl = \"\"\n";

/// The constitution's hash, which the profile requires of callers.
const HASH: &str = "-H \"X-Constitutional-Hash: $(curl -sI --unix-socket /run/acgs/acgs.sock http://acgs/livez |
    sed -n 's/^x-constitutional-hash: \\([0-9a-f]*\\).*/\\1/pi')\"";

const QUESTION: &str = "http://acgs/access/v1/evaluation -H 'Content-Type: application/json' -d '{
    \"subject\": {\"type\": \"Agent\", \"id\": \"helper\"}, \"action\": {\"name\": \"call_tool\"},
    \"resource\": {\"type\": \"Tool\", \"id\": \"unit-converter\", \"properties\": {\"risk\": 1}}}'";

/// The environment for the command line to find the service's settings and data.
const COMMAND: &str = "STATE_DIRECTORY=/var/lib/acgs acgs --settings /etc/acgs --profile production";

#[track_caller]
fn decides(host: &Host) {
    let answer = host.curl(&format!("{HASH} {QUESTION}"));
    assert!(answer.contains("\"decision\":true"), "{answer}");
}

/// Checks that the unit's sandbox has blocked nothing.
#[track_caller]
fn nothing_was_filtered(host: &Host) {
    let journal = host.journal();
    for refused in ["not permitted", "os error 1)", "SIGSYS", "Permission denied", "Read-only file system"] {
        assert!(!journal.contains(refused), "{refused}: {journal}");
    }
}

#[test]
fn a_fresh_install_starts_and_does_everything_under_the_unit_as_it_is_shipped() {
    let Some(host) = Host::with_service(SQLITE) else { return };
    host.start();
    assert_eq!(host.curl("http://acgs/readyz"), "ok");
    decides(&host);
    host.succeeds("systemctl reload acgs");
    decides(&host);
    // Run as root, who leaves new files to the service's user.
    host.succeeds(&format!("{COMMAND} key rotate audit && {COMMAND} key rotate token && {COMMAND} reload"));
    host.succeeds(&format!("{COMMAND} status && {COMMAND} api-key list && {COMMAND} user list"));
    let written = host.succeeds("journalctl --no-pager -o json -u acgs ACGS_ROUTE=/v1/auth/keys/rotate");
    for field in ["\"REQUEST_ID\"", "\"SYSLOG_IDENTIFIER\":\"acgs\"", "src/http/access_log.rs"] {
        assert!(written.contains(field), "no {field} in {written}");
    }
    let strangers = host.succeeds("find /var/lib/acgs ! -user acgs -o ! -group acgs -o -perm /007");
    assert_eq!(strangers, "", "the data are the service's own");
    host.succeeds("systemctl restart acgs");
    decides(&host);
    nothing_was_filtered(&host);
    host.succeeds("systemctl stop acgs");
    assert_eq!((host.property("Result"), host.property("ExecMainStatus")), ("success".to_owned(), "0".to_owned()));
    let verified = host.succeeds(&format!("{COMMAND} audit verify"));
    assert!(verified.starts_with("ok: "), "{verified}");
}

#[test]
fn a_killed_service_is_started_again_and_a_faulty_one_is_not() {
    let Some(host) = Host::with_service(SQLITE) else { return };
    host.start();
    host.succeeds("systemctl kill --signal=KILL acgs");
    until("started again", || host.property("NRestarts") == "1" && host.property("ActiveState") == "active");
    decides(&host);
    nothing_was_filtered(&host);
    host.succeeds("systemctl stop acgs && echo 'nothing = 1' >>/etc/acgs/local.toml");
    assert!(!host.run("systemctl start acgs").status.success());
    let state = (host.property("ActiveState"), host.property("ExecMainStatus"));
    assert_eq!(state, ("failed".to_owned(), "78".to_owned()), "{}", host.journal());
}
