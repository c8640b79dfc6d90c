//! That the log level was changed.

use serde_json::json;

use super::{ADMIN, events, size};
use crate::harness::Setup;

#[test]
fn a_change_of_the_log_level_is_recorded_with_its_time() {
    let setup = Setup::new();
    let daemon = setup.start();
    let from = size(&setup);
    for body in [json!({"level": "debug", "for_s": 600}), json!({"level": "inof"}), json!({"level": "warn"})] {
        daemon.put("/v1/log-level", &body);
    }
    daemon.kill();
    let changed =
        |level, time| json!({"kind": "settings", "event": "log_level", "caller": ADMIN, "level": level, "for_s": time});
    assert_eq!(events(&setup, from), [changed("debug", json!(600)), changed("warn", json!(null))]);
}
