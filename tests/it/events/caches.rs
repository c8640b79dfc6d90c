//! That caches were emptied.

use serde_json::json;

use super::{ADMIN, events, size};
use crate::harness::Setup;

#[test]
fn emptying_caches_is_recorded_with_who_asked_and_which_they_were() {
    let setup = Setup::new();
    let daemon = setup.start();
    let from = size(&setup);
    for path in ["/v1/cache?tier=l3", "/v1/cache", "/v1/cache?tier=l0"] {
        daemon.delete(path);
    }
    daemon.kill();
    let cleared = |tiers| json!({"kind": "cache", "event": "cleared", "caller": ADMIN, "tiers": tiers});
    assert_eq!(events(&setup, from), [cleared(json!(["l3"])), cleared(json!(["l1", "l2", "l3"]))]);
}
