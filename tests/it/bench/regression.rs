//! Rounds are compared with those of a baseline.

use std::fs;

use serde_json::{Value, json};

use super::{arguments, run, url};
use crate::harness::Setup;

#[test]
fn rounds_are_compared_with_those_of_a_baseline_under_the_same_conditions() {
    let setup = Setup::new();
    let daemon = setup.start();
    let file = setup.data_dir().join("../baseline.json");
    let name = file.display().to_string();
    let regression = ["regression", "--duration", "3s"];
    let first = run(&setup, &url(&daemon), &[&regression[..], &["--save-baseline", &name]].concat());
    assert_eq!(first.code, Some(0), "{}", first.told);
    let compared = &first.result["tests"][0]["regression"];
    assert!(compared["rounds"].as_array().unwrap().len() >= 6 && compared["latency"].is_null(), "{compared}");
    assert!(first.told.contains("nothing was compared"), "{}", first.told);
    let baseline: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let scaled = |factor: f64| {
        let mut scaled = baseline.clone();
        for round in scaled["rounds"].as_array_mut().unwrap() {
            for (member, factor) in [("latency_ratio", factor), ("throughput_ratio", 1.0 / factor)] {
                round[member] = json!(round[member].as_f64().unwrap() * factor);
            }
        }
        fs::write(&file, scaled.to_string()).unwrap();
    };
    let against = [&regression[..], &["--baseline", &name]].concat();
    // Far enough from the truth for any machine.
    scaled(0.02);
    let slower = run(&setup, &url(&daemon), &against);
    assert_eq!(slower.code, Some(1), "{}", slower.told);
    assert!(slower.told.contains("slower than the baseline") && slower.html.contains("slower than the baseline"));
    assert_eq!(slower.result["tests"][0]["regression"]["latency"]["finding"], "slower");
    scaled(50.0);
    let faster = run(&setup, &url(&daemon), &against);
    assert_eq!(faster.code, Some(0), "{}", faster.told);
    assert!(faster.told.contains("a slowdown by 10 % is excluded"), "{}", faster.told);
    // Under other conditions nothing can be compared.
    let output = setup.run(arguments(&setup, &url(&daemon), &[&against[..], &["--rate", "20"]].concat()));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("other conditions") && told.contains("--save-baseline"), "{told}");
}
