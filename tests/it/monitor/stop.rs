//! A daemon that is told to stop fires no alert because its parts end.

use super::{alert, permitted};
use crate::faults::disk::Faults;
use crate::harness::{Request, Setup};

#[test]
fn a_stop_fires_no_alert() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(Setup::new());
    let daemon = setup.start();
    let decided = daemon.ask(&Request::post("/access/v1/evaluation").json(&permitted()));
    assert_eq!((decided.status, &alert(&daemon, "audit_log_unwritable")["state"]), (200, &"inactive".into()));
    // The last checkpoint takes longer than a measurement, and the log has ended by then.
    faults.set("sync delay 2500 checkpoint");
    let (status, stderr) = daemon.stop_and_tell();
    assert!(status.success(), "{stderr}");
    assert!(!stderr.contains("/alerts/audit_log_unwritable"), "{stderr}");
}
