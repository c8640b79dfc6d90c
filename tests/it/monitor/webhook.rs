//! Alerts are posted, signed, and again until they are taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ring::hmac;

use super::receiver::{AlertReceiver, Posted};
use super::{becomes, wait_for};
use crate::audit::Exported;
use crate::harness::{Request, Setup, TestDaemon};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The alert that the cases make fire.
const ALERT: &str = "login_failures";

/// Posts alerts to a port; many refused credentials are an alert.
fn setup(port: u16) -> Setup {
    let setup = Setup::new();
    let secret = setup.data_dir().with_file_name("webhook-key");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    setup
        .set("monitor.alerts.webhook_url", format_args!("http://127.0.0.1:{port}/alerts"))
        .set("monitor.alerts.webhook_key_file", secret.display())
        .set("monitor.alerts.refused_credentials_per_min", 3)
}

fn refuse_credentials(daemon: &TestDaemon) {
    for _ in 0..3 {
        assert_eq!(daemon.ask(&Request::get("/v1/pool").token("nonsense")).status, 401);
    }
}

#[track_caller]
fn verify(posted: &Posted) {
    let (time, tag) = posted.signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let age = time::OffsetDateTime::now_utc().unix_timestamp() - time.parse::<i64>().unwrap();
    assert!((0..180).contains(&age), "{}", posted.signature);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("{time}.{}", posted.body);
    let tag = data_encoding::HEXLOWER.decode(tag.as_bytes()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &tag).expect("the signature is right");
}

#[track_caller]
fn outcome(daemon: &TestDaemon, outcome: &str) -> u64 {
    count(daemon, &format!("acgs_alert_posts_total{{outcome=\"{outcome}\"}} "))
}

/// The number of failed attempts.
#[track_caller]
fn failures(daemon: &TestDaemon) -> u64 {
    count(daemon, "acgs_alert_post_failures_total ")
}

#[track_caller]
fn count(daemon: &TestDaemon, name: &str) -> u64 {
    let text = daemon.get("/metrics").text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    line.trim_end_matches(".0").parse().unwrap()
}

/// It is posted with its signature each time.
pub fn an_alert_that_fires_and_ends() {
    let receiver = AlertReceiver::start(204);
    let daemon = setup(receiver.port()).start();
    refuse_credentials(&daemon);
    for event in ["fired", "resolved"] {
        let posted = receiver.next_of(ALERT);
        verify(&posted);
        let body = posted.json();
        assert_eq!((&body["event"], &body["alert"]["name"]), (&event.into(), &ALERT.into()), "{body}");
        assert!(body["alert"]["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert_eq!(body["node"], daemon.get("/v1/status").json()["node"], "{body}");
    }
    wait_for("both are counted", || (outcome(&daemon, "delivered") >= 2).then_some(()));
}

#[test]
fn an_alert_is_posted_again_until_the_receiver_is_back_and_takes_it() {
    let receiver = AlertReceiver::start(0);
    let daemon = setup(receiver.port()).start();
    refuse_credentials(&daemon);
    becomes(&daemon, ALERT, "firing");
    wait_for("an attempt has failed", || (failures(&daemon) >= 1).then_some(()));
    receiver.answer(503);
    let first = receiver.next_of(ALERT);
    receiver.answer(200);
    let again = receiver.next_of(ALERT);
    verify(&again);
    assert_eq!(first.body, again.body, "one id for all attempts");
    wait_for("it is counted", || (outcome(&daemon, "delivered") >= 1).then_some(()));
    assert!(failures(&daemon) >= 2);
}

#[test]
fn an_alert_that_the_receiver_refuses_is_given_up_at_once() {
    let receiver = AlertReceiver::start(404);
    let daemon = setup(receiver.port()).start();
    refuse_credentials(&daemon);
    receiver.next_of(ALERT);
    wait_for("it is dropped", || (outcome(&daemon, "dropped") >= 1).then_some(()));
    assert!(daemon.stderr().contains("it is not posted again"), "{}", daemon.stderr());
}

#[test]
fn a_stop_posts_waiting_alerts_once_more_and_says_how_many_are_lost() {
    for (status, is_lost) in [(200, false), (503, true)] {
        let receiver = AlertReceiver::start(503);
        let daemon = setup(receiver.port()).start();
        refuse_credentials(&daemon);
        receiver.next_of(ALERT);
        wait_for("an attempt has failed", || (failures(&daemon) >= 1).then_some(()));
        receiver.answer(status);
        let (code, stderr) = daemon.stop_and_tell();
        assert!(code.success(), "{stderr}");
        assert_eq!(stderr.contains("does not take alerts, and the daemon stops"), is_lost, "{stderr}");
    }
}

#[test]
fn the_path_of_the_url_is_neither_printed_nor_recorded() {
    let setup = setup(1);
    let printed = String::from_utf8(setup.run(["settings"]).stdout).unwrap();
    assert!(printed.contains("http://127.0.0.1:1/…") && !printed.contains(":1/alerts"), "{printed}");
    let daemon = setup.start();
    assert!(daemon.stop().success());
    let records = Exported::from(&setup, 0).records;
    let settings = records.iter().find(|record| record["kind"] == "settings").expect("settings are recorded");
    assert!(!settings.to_string().contains(":1/alerts"), "{settings}");
}

#[test]
fn a_webhook_without_a_usable_secret_is_refused_at_the_start() {
    let without = Setup::new().set("monitor.alerts.webhook_url", "http://127.0.0.1:1/");
    let refused = without.try_start().unwrap_err();
    assert!(refused.stderr.contains("monitor.alerts.webhook_key_file"), "{}", refused.stderr);
    for (text, mode, why) in [("short", 0o600, "fewer than 16 bytes"), (SECRET, 0o644, "which others can read")] {
        let setup = setup(1);
        let secret = setup.data_dir().with_file_name("webhook-key");
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let refused = setup.try_start().unwrap_err();
        assert_eq!(refused.status.code(), Some(78), "{}", refused.stderr);
        assert!(refused.stderr.contains(why) && !refused.stderr.contains(SECRET), "{}", refused.stderr);
    }
}
