//! `acgs audit size`, and the same figures in `/v1/status`.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::audit;
use crate::harness::until;
use crate::tampering::archiving::{log_from, run_until};

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {path} of {value}"))
}

#[test]
fn the_size_of_a_log_is_that_of_its_files_and_its_growth_that_of_its_records() {
    let setup = audit::setup().in_files().set("audit.archive", "closed");
    log_from(&setup, 1_500, OffsetDateTime::now_utc() - Duration::seconds(1_500));
    let size = |arguments: &[&str]| {
        let shown = setup.run([&["audit", "size"][..], arguments].concat());
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        String::from_utf8(shown.stdout).unwrap()
    };
    let text = size(&[]);
    assert!(text.contains("records         1500, 0 of them archived"), "{text}");
    assert!(text.contains("record at rest  unknown: no segment has been archived yet"), "{text}");

    run_until(&setup, "the segments are archived", |left| left[0] > 1_000 && left.len() <= 4);
    let json: Value = serde_json::from_str(&size(&["--json"])).unwrap();
    let folder = setup.data_dir().join("audit");
    let length = |start: &str| -> u64 {
        let files = std::fs::read_dir(&folder).unwrap().map(Result::unwrap);
        let files = files.filter(|file| file.file_name().to_str().unwrap().starts_with(start));
        files.map(|file| file.metadata().unwrap().len()).sum()
    };
    for (member, start) in [("segments", "segment-"), ("archives", "archive-"), ("tiles", "tiles-"), ("log", "")] {
        assert_eq!(json["bytes"][member], json!(length(start)), "{member}");
    }
    let records = number(&json, "/records");
    let archived = number(&json, "/archived_records");
    assert!(records > 1_500.0 && archived >= 1_024.0, "{json}");
    let at_rest = number(&json, "/bytes_per_record");
    assert!((at_rest - number(&json, "/bytes/archives") / archived - 32.0).abs() < 1.0 && at_rest < 300.0, "{json}");
    // One a second, for less than an hour.
    let per_day = number(&json, "/records_per_day");
    assert!(per_day > 30_000.0 && per_day < 90_000.0, "{json}");
    let grows = (at_rest + number(&json, "/index_bytes_per_record")) * per_day;
    assert!((number(&json, "/bytes_per_day") / grows - 1.0).abs() < 1e-6, "{json}");
    assert!(number(&json, "/days_left") > 0.0 && number(&json, "/bytes/index") > 10_000.0, "{json}");
    let text = size(&[]);
    assert!(text.contains("days at this growth") && text.contains(" a day, of "), "{text}");

    let daemon = setup.start();
    until("the log is measured", || daemon.get("/v1/status").json()["audit"]["disk"].is_object());
    let disk = daemon.get("/v1/status").json()["audit"]["disk"].clone();
    for (member, other) in [
        ("/archives", "/bytes/archives"),
        ("/archived", "/archived_records"),
        ("/bytes_per_record", "/bytes_per_record"),
    ] {
        assert!((number(&disk, member) - number(&json, other)).abs() < 1e-6, "{disk} {json}");
    }
    let elsewhere = setup.run(["audit", "size", "--data", "/nowhere"]);
    assert_eq!(elsewhere.status.code(), Some(74), "{elsewhere:?}");
}
