//! The rules for Prometheus and the dashboard in `monitoring` use only what the daemon exports, and their tests pass.

mod expressions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::server::is_command;
use crate::harness::{Request, Setup, TestDaemon, repository, skip, until};
use expressions::{Expression, Selector};

/// Labels that Prometheus adds to what it scrapes.
const ADDED: [&str; 2] = ["job", "instance"];

fn folder() -> PathBuf {
    repository().join("monitoring")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

/// A rule of `rules.yml`: its fields, in one line each.
type Rule = BTreeMap<String, String>;

/// The rules, read line by line: the file is YAML of a plain kind, which `promtool check rules` verifies.
fn rules() -> Vec<Rule> {
    let text = read("rules.yml");
    let mut rules: Vec<Rule> = Vec::new();
    let mut field = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (indent, content) = (line.len() - line.trim_start().len(), line.trim());
        let starts = ["- alert: ", "- record: "].iter().any(|start| content.starts_with(start));
        if starts {
            rules.push(Rule::new());
        }
        let Some(rule) = rules.last_mut() else { continue };
        let fields = ["record", "alert", "expr", "for", "labels", "summary", "description", "runbook_url"];
        let named = content.trim_start_matches("- ").split_once(':').filter(|(name, _)| fields.contains(name));
        if let Some((name, value)) = named.filter(|_| starts || indent <= 10) {
            name.clone_into(&mut field);
            rule.insert(field.clone(), value.trim().trim_matches('\'').to_owned());
        } else if indent >= 10 && !field.is_empty() {
            let value = rule.entry(field.clone()).or_default();
            let joined = format!("{} {content}", value.trim_start_matches(['|', '>', '-']));
            joined.trim().clone_into(value);
        } else {
            field.clear();
        }
    }
    rules
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana.json")).unwrap()
}

/// All values of the members with this name, at any depth.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name));
            object.values().for_each(|value| members(value, name, found));
        }
        Value::Array(array) => array.iter().for_each(|value| members(value, name, found)),
        _ => {}
    }
}

/// The expressions of the dashboard's panels and variables.
fn dashboard_expressions(dashboard: &Value) -> Vec<String> {
    let (mut expressions, mut variables) = (Vec::new(), Vec::new());
    members(dashboard, "expr", &mut expressions);
    members(dashboard, "definition", &mut variables);
    expressions.extend(variables);
    expressions.into_iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A daemon that has permitted, denied, and refused, at every route for decisions.
fn busy_daemon() -> TestDaemon {
    let daemon = Setup::new().start();
    let question = |agent: &str, action: &str, resource: &str, context: Value| {
        json!({
            "subject": {"type": "Agent", "id": agent},
            "action": {"name": action},
            "resource": {"type": resource, "id": "calculator"},
            "context": context,
        })
    };
    let permitted = question("helper", "call_tool", "Tool", json!({}));
    let denied = question("builder", "deploy_model", "Model", json!({"risk": 8, "human_approved": false}));
    for question in [&permitted, &denied] {
        for path in ["/access/v1/evaluation", "/v1/validate"] {
            assert_eq!(daemon.post(path, question).status, 200);
        }
    }
    assert_eq!(daemon.post("/access/v1/evaluations", &json!({"evaluations": [permitted, denied]})).status, 200);
    assert_eq!(daemon.post("/access/v1/evaluation", &json!({})).status, 400);
    assert_eq!(daemon.get("/nowhere").status, 404);
    daemon
}

/// What a scrape has: for each metric, the values of each of its labels.
fn exported(text: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut metrics: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            // A family without samples, such as that of Redis, is exported where there is something to say.
            metrics.entry(described.split(' ').next().unwrap().to_owned()).or_default();
        } else if !line.starts_with('#') {
            let selector = Expression::parse(line.rsplit_once(' ').unwrap().0).selectors.remove(0);
            let labels = metrics.entry(selector.metric).or_default();
            for (name, _, value) in selector.matchers {
                labels.entry(name).or_default().insert(value);
            }
        }
    }
    metrics
}

/// What an expression uses and the daemon does not export.
fn unknown(expression: &str, known: &BTreeMap<String, BTreeMap<String, BTreeSet<String>>>) -> Vec<String> {
    let parsed = Expression::parse(expression);
    let mut unknown = Vec::new();
    for Selector { metric, matchers } in &parsed.selectors {
        let Some(labels) = known.get(metric) else {
            unknown.push(format!("metric `{metric}`"));
            continue;
        };
        for (name, operator, value) in matchers.iter().filter(|(name, ..)| !ADDED.contains(&&**name)) {
            let Some(values) = labels.get(name) else {
                unknown.push(format!("label `{name}` of `{metric}`"));
                continue;
            };
            let is_pattern = operator.contains('~') && value.contains(['.', '*', '+', '$']);
            let wanted = value.split('|').filter(|_| !is_pattern);
            let missing = wanted.filter(|value| !values.contains(*value));
            unknown.extend(missing.map(|value| format!("value `{value}` of `{name}` of `{metric}`")));
        }
    }
    let is_known = |label: &str| {
        let mut metrics = parsed.selectors.iter().filter_map(|selector| known.get(&selector.metric));
        ADDED.contains(&label) || metrics.any(|labels| labels.contains_key(label))
    };
    unknown.extend(parsed.grouping.iter().filter(|label| !is_known(label)).map(|label| format!("label `{label}`")));
    unknown
}

#[test]
fn rules_and_dashboard_use_what_the_daemon_exports() {
    let daemon = busy_daemon();
    let mut known = exported(daemon.get("/metrics").text());
    known.insert("up".to_owned(), BTreeMap::new());
    let rules = rules();
    for rule in &rules {
        assert_eq!(unknown(&rule["expr"], &known), [""; 0], "{rule:#?}");
        if let Some(record) = rule.get("record") {
            known.insert(record.clone(), BTreeMap::new());
        }
    }
    let recorded = rules.iter().filter(|rule| rule.contains_key("record")).count();
    assert_eq!((recorded, rules.len()), (14, 39));
    let expressions = dashboard_expressions(&dashboard());
    assert!(expressions.len() > 40, "{expressions:?}");
    for expression in expressions {
        assert_eq!(unknown(&expression, &known), [""; 0], "{expression}");
    }
    for (wrong, why) in [
        ("rate(acgs_decision_total[5m])", "metric `acgs_decision_total`"),
        ("acgs_pool_connections{status=\"busy\"}", "label `status` of `acgs_pool_connections`"),
        ("acgs_pool_connections{state=\"used\"}", "value `used` of `state` of `acgs_pool_connections`"),
        ("sum by (subject) (acgs_pool_connections)", "label `subject`"),
    ] {
        assert_eq!(unknown(wrong, &known), [why]);
    }
}

#[test]
fn every_alert_has_a_page_and_a_test_that_it_fires() {
    let daemon = busy_daemon();
    let tests = [read("rules_test.yml"), read("budgets_test.yml")].concat();
    for alert in rules().iter().filter(|rule| rule.contains_key("alert")) {
        for field in ["labels", "summary", "description", "runbook_url"] {
            assert!(alert.get(field).is_some_and(|text| !text.is_empty()), "no {field}: {alert:#?}");
        }
        let page = alert["runbook_url"].rsplit_once("{{ end }}").unwrap().1.replace("{{ $labels.name }}", "cpu");
        assert_eq!(daemon.ask(&Request::get(&page).anonymous()).status, 200, "{page}");
        let (name, labels) = (&alert["alert"], &alert["labels"]);
        assert!(labels.contains("severity: critical") || labels.contains("severity: warning"), "{alert:#?}");
        let label = |name: &str| {
            let value = labels.split_once(&format!("{name}: "))?.1.split([',', '}']).next()?;
            Some(format!("{name}=\"{value}\""))
        };
        let fires = tests.lines().any(|line| {
            let wanted = [Some(format!("alertname=\"{name}\"")), label("severity"), label("window")];
            wanted.iter().flatten().all(|label| line.contains(label))
        });
        assert!(fires, "no test in which this fires: {alert:#?}");
    }
}

#[test]
fn the_daemons_own_alerts_have_its_severity() {
    let daemon = busy_daemon();
    until("anything is measured", || daemon.get("/v1/alerts").status == 200);
    let alerts = daemon.get("/v1/alerts").json();
    let critical = alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["severity"] == "critical");
    let critical: BTreeSet<&str> = critical.map(|alert| alert["name"].as_str().unwrap()).collect();
    let rules = rules();
    let is_of_daemon = |rule: &&Rule| rule.get("alert").is_some_and(|name| name == "AcgsAlertFiring");
    let of_daemon: Vec<&Rule> = rules.iter().filter(is_of_daemon).collect();
    assert_eq!(of_daemon.len(), 2);
    for (rule, operator) in of_daemon.into_iter().zip(["=~", "!~"]) {
        let parsed = Expression::parse(&rule["expr"]);
        let (name, found, value) = &parsed.selectors[0].matchers[0];
        assert_eq!((&**name, &**found), ("name", operator));
        assert_eq!(value.split('|').collect::<BTreeSet<_>>(), critical);
    }
}

#[test]
fn the_dashboard_is_well_formed() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panel ids are unique");
    let mut sources = Vec::new();
    members(&dashboard, "datasource", &mut sources);
    for source in sources {
        assert_eq!(source, &json!({"type": "prometheus", "uid": "${datasource}"}));
    }
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(place("x") + x < 24 && taken.insert((place("x") + x, place("y") + y)), "{panel:#}");
        }
    }
}

/// Runs promtool in the folder, with this input; all that it printed.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let input = Stdio::from(fs::File::open(file.path()).unwrap());
    let output = Command::new("promtool").args(arguments).current_dir(folder()).stdin(input).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {printed}");
    printed
}

#[test]
fn promtool_accepts_metrics_and_rules_and_the_tests_of_the_rules_pass() {
    if !is_command("promtool") {
        return skip("promtool is missing");
    }
    // It knows no type `info`, so that it checks no OpenMetrics.
    let metrics = promtool(&["check", "metrics"], busy_daemon().get("/metrics").text());
    assert_eq!(metrics, "", "no advice");
    assert!(promtool(&["check", "rules", "rules.yml"], "").contains("SUCCESS: 39 rules"));
    promtool(&["check", "config", "prometheus.yml"], "");
    for file in ["rules_test.yml", "budgets_test.yml"] {
        assert!(promtool(&["test", "rules", file], "").contains("SUCCESS"), "{file}");
    }
}
