//! The report of a run: one page without scripts, which loads nothing.

mod chart;
mod markup;
mod plots;

use std::time::Duration;

use serde_json::Value;

use self::markup::{cell, escaped, facts, table};
use super::compliance::ComplianceResult;
use super::progress::time;
use super::regression::RegressionResult;
use super::result::{Distribution, LoadResult, RunResult, TestResult};
use super::statistics::Change;
use super::verdicts::{Conclusion, Outcome, Verdict, with_unit};

/// The style of the page.
const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn html(result: &RunResult) -> String {
    let tests: String = result.tests.iter().map(test).collect();
    let summary = if result.tests.len() > 1 { summary(result) } else { String::new() };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1><p class=\"soft\">{}</p>{}{summary}{tests}{}{READING}</main></body></html>\n",
        escaped(&format!("{} · {}", result.began_at, result.url)),
        banner(result),
        conditions(result),
        title = escaped(&format!("acgs bench {}", result.run)),
    )
}

fn banner(result: &RunResult) -> String {
    let of = |wanted: Outcome| {
        result.tests.iter().flat_map(|test| &test.verdicts).filter(|one| one.outcome == wanted).count()
    };
    let (missed, open) = (of(Outcome::Missed), of(Outcome::Open));
    let (class, symbol, text) = match result.conclusion() {
        Conclusion::Missed if missed == 0 => ("missed", "✗", "Decisions have become slower".to_owned()),
        Conclusion::Missed => {
            ("missed", "✗", format!("{missed} {} missed", if missed == 1 { "target" } else { "targets" }))
        }
        Conclusion::Undecided => {
            ("open", "?", "The machine is too noisy to tell whether decisions have become slower".to_owned())
        }
        Conclusion::Passed if open > 0 => {
            let told = "No target is missed; for";
            ("open", "?", format!("{told} {open} of the latencies the machine alone takes longer than the target"))
        }
        Conclusion::NotCompared => ("open", "?", "There was no baseline to compare with".to_owned()),
        Conclusion::Passed => ("met", "✓", "Every target is met".to_owned()),
    };
    format!(
        "<div class=\"banner {class}\"><span class=\"symbol\" aria-hidden=\"true\">{symbol}</span><span>{text}</span></div>"
    )
}

fn summary(result: &RunResult) -> String {
    let head =
        ["test", "outcome", "rate", "duration", "median", "99th percentile", "99 % ÷ floor", "throughput", "hit rate"];
    let row = |test: &TestResult| {
        let load = test.load.as_ref();
        let ms = |value: Option<f64>| cell(&value.map_or_else(|| "–".to_owned(), |ms| with_unit(ms, "ms")));
        let of = |value: Option<String>| cell(&value.unwrap_or_else(|| "–".to_owned()));
        vec![
            format!("<td><a href=\"#{0}\">{0}</a></td>", test.kind.as_str()),
            conclusion(test),
            cell(&format!("{}/s", test.rate)),
            cell(&time(Duration::from_secs_f64(test.duration_s))),
            ms(load.and_then(|load| load.latency.p50_ms)),
            ms(load.and_then(|load| load.latency.p99_ms)),
            of(load.and_then(|load| load.floor.p99_ratio).map(|ratio| format!("{ratio:.2}"))),
            of(load.map(|load| with_unit(load.throughput, "/s"))),
            of(load.and_then(|load| load.hit_percent).map(|percent| with_unit(percent, "%"))),
        ]
    };
    let rows: Vec<_> = result.tests.iter().map(row).collect();
    format!("<div class=\"card\">{}</div>", table(&head, &rows))
}

fn conclusion(result: &TestResult) -> String {
    let is_open = result.verdicts.iter().any(|verdict| verdict.outcome == Outcome::Open);
    let (class, words) = match result.conclusion() {
        Conclusion::Passed if is_open => ("open", "? none missed"),
        Conclusion::Passed => ("met", "✓ passed"),
        Conclusion::NotCompared => ("soft", "– not compared"),
        Conclusion::Missed => ("missed", "✗ missed"),
        Conclusion::Undecided => ("open", "? cannot tell"),
    };
    format!("<td class=\"outcome {class}\">{words}</td>")
}

fn test(result: &TestResult) -> String {
    let name = result.kind.as_str();
    let interrupted = if result.interrupted { ", <strong>interrupted</strong>" } else { "" };
    let planned = format!("{} decisions/s for {}", result.rate, time(Duration::from_secs_f64(result.duration_s)));
    let mut page = format!("<section id=\"{name}\"><h2>{name}</h2><p class=\"soft\">{planned}{interrupted}</p>");
    page.push_str(&verdicts(&result.verdicts));
    if let Some(compliance) = &result.compliance {
        page.push_str(&compared(compliance));
    }
    if let Some(load) = &result.load {
        page.push_str(&load_section(load, result.duration_s));
    }
    if let Some(regression) = &result.regression {
        page.push_str(&rounds(regression));
    }
    page + "</section>"
}

fn verdicts(verdicts: &[Verdict]) -> String {
    let row = |verdict: &Verdict| {
        let (class, text) = match verdict.outcome {
            Outcome::Met => ("met", "✓ met"),
            Outcome::Missed => ("missed", "✗ missed"),
            Outcome::Open => ("open", "? cannot tell"),
        };
        let (target, value) = (&verdict.target, verdict.value.map(|value| with_unit(value, verdict.target.unit)));
        vec![
            cell(target.label),
            format!("<td class=\"outcome {class}\">{text}</td>"),
            cell(&value.unwrap_or_else(|| "–".to_owned())),
            cell(&target.bound.with_unit(target.unit)),
            format!("<td class=\"text soft\">{}</td>", escaped(verdict.note.as_deref().unwrap_or_default())),
        ]
    };
    let rows: Vec<_> = verdicts.iter().map(row).collect();
    format!("<div class=\"card\">{}</div>", table(&["figure", "outcome", "measured", "target", ""], &rows))
}

fn load_section(load: &LoadResult, duration_s: f64) -> String {
    let row = |name: &str, distribution: &Distribution| {
        let ms = |value: Option<f64>| cell(&value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.3}")));
        vec![
            cell(name),
            cell(&distribution.count.to_string()),
            ms(distribution.p50_ms),
            ms(distribution.p95_ms),
            ms(distribution.p99_ms),
            ms(distribution.p999_ms),
            ms(distribution.max_ms),
        ]
    };
    let rows = [
        row("decisions, from when they were due", &load.latency),
        row("client's own lateness", &load.client_lateness),
        row("floor: /livez, same client", &load.floor.livez),
        row("floor: sync of 4 KiB", &load.floor.sync),
    ];
    let head = ["in milliseconds", "count", "50 %", "95 %", "99 %", "99.9 %", "longest"];
    let ratio = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    let errors: Vec<String> = load.errors.iter().map(|(kind, count)| format!("{}: {count}", escaped(kind))).collect();
    let mut listed = vec![
        (
            "decisions ÷ floor",
            format!(
                "{} at the median, {} at the 99th percentile; the floor is the sum of both",
                ratio(load.floor.p50_ratio),
                ratio(load.floor.p99_ratio)
            ),
        ),
        ("requests", format!("{} were due, {} were answered with a decision", load.offered, load.answered)),
    ];
    if load.unexpected > 0 {
        listed.push(("changed", format!("{} answers differ from the verdict before the run: entities or policies were changed, or answers are wrong; <code>compliance</code> tells them apart", load.unexpected)));
    }
    if !errors.is_empty() {
        listed.push(("errors", format!("<span class=\"missed\">{}</span>", errors.join("; "))));
    }
    format!("<div class=\"card\">{}{}</div>{}", table(&head, &rows), facts(&listed), plots::of_load(load, duration_s))
}

fn compared(result: &ComplianceResult) -> String {
    let log = &result.log;
    let listed = [
        ("answers", format!("{}, those of the warm-up included", result.answers)),
        ("equal to a fresh evaluation", result.equal.to_string()),
        ("different", result.different.to_string()),
        (
            "not comparable",
            format!(
                "{} because of a change at the same time, {} because something was unavailable",
                result.changed, result.unavailable
            ),
        ),
        ("records of the run", log.records.to_string()),
        ("answered, but not recorded", log.missing.to_string()),
        ("recorded, but not answered", log.unanswered.to_string()),
        ("recorded or answered repeatedly", log.repeated.to_string()),
        ("recorded with another decision", log.differing.to_string()),
    ];
    let mut faults = String::new();
    for fault in &result.faults {
        faults.extend(["<li>", &escaped(fault), "</li>"]);
    }
    if !faults.is_empty() {
        faults = format!("<ul class=\"faults\">{faults}</ul>");
    }
    format!(
        "<div class=\"card\"><h3>Answers against fresh evaluations and the audit log</h3>{}{faults}</div>",
        facts(&listed)
    )
}

fn rounds(result: &RegressionResult) -> String {
    let change = |change: &Option<Change>| {
        change.map_or_else(
            || "not compared".to_owned(),
            |change| {
                format!(
                    "{:+.1} %, with 98 % confidence between {:+.1} % and {:+.1} %",
                    change.percent, change.low_percent, change.high_percent
                )
            },
        )
    };
    let class = match result.conclusion {
        Conclusion::NotCompared => "soft",
        Conclusion::Passed => "met",
        Conclusion::Missed => "missed",
        Conclusion::Undecided => "open",
    };
    let listed = [
        ("outcome", format!("<span class=\"outcome {class}\">{}</span>", escaped(&result.message))),
        ("rounds", format!("{}, and {} of the baseline", result.rounds.len(), result.baseline.len())),
        ("change of latency ÷ floor", change(&result.latency)),
        ("change of the time per decision ÷ that of /livez", change(&result.throughput)),
    ];
    format!("<div class=\"card\"><h3>Against the baseline</h3>{}</div>{}", facts(&listed), plots::of_rounds(result))
}

fn conditions(result: &RunResult) -> String {
    let (machine, mix) = (&result.machine, &result.mix);
    let of = |member: &str| mix.constitution.get(member).and_then(Value::as_str).unwrap_or_default();
    let tried: Vec<String> = mix.tried.iter().map(|(reason, count)| format!("{} {count}", escaped(reason))).collect();
    let stored = mix.stored_entities.map_or_else(
        || "about made-up entities (the credential has not the scope <code>entities:read</code>)".to_owned(),
        |count| format!("about made-up entities and {count} stored ones"),
    );
    let note = mix.note.as_deref().map_or_else(String::new, |note| format!("; <strong>{}</strong>", escaped(note)));
    let listed = [
        (
            "constitution",
            format!("{} {}, <code>{}</code>", escaped(of("name")), escaped(of("version")), escaped(of("hash"))),
        ),
        ("digest", format!("<code>{}</code>", escaped(of("digest")))),
        (
            "questions",
            format!(
                "{} permitted and {} denied ones, each drawn by Zipf's law, {stored}",
                mix.permitted_keys, mix.denied_keys
            ),
        ),
        (
            "mix",
            format!(
                "{} % of the requests are permitted, {} % were wanted{note}",
                mix.permits_percent, mix.wanted_percent
            ),
        ),
        ("tried", tried.join(", ")),
        ("mark", format!("<code>\"bench\":\"{}\"</code> in the records", escaped(&result.run))),
        (
            "client's machine",
            format!(
                "{} × {}, Linux {}, load average {}",
                machine.processors,
                escaped(&machine.model),
                escaped(&machine.kernel),
                escaped(&machine.load_average)
            ),
        ),
        ("client", format!("acgs {}", result.version)),
    ];
    format!("<h2>Conditions</h2><div class=\"card\">{}</div>", facts(&listed))
}

/// How to read the page.
const READING: &str = "<h2>How to read it</h2><div class=\"card\">\
<p>Requests are due at a constant rate, whether or not earlier ones were answered, and a latency counts from when its \
request was due. So a stall is felt by every request that was due meanwhile. <em>The client's own lateness</em> is the \
part of it until the client ran to send the request: it is the machine's, not the daemon's.</p>\
<p>The <em>floor</em> is what the same machine took in the same minutes for the parts of a decision that no daemon can \
avoid: a thread that sleeps and then syncs 4 KiB to the disk of the report, and <code>/livez</code>, asked by the same \
client. Compare machines and days by the ratio to the floor. Where the floor itself is above a target, the outcome is \
<em>cannot tell</em>.</p>\
<p>Before a load each question is asked four times, so that hit rates are those of warm caches. Figures of processors, \
memory and descriptors are the daemon's own, read once a second.</p></div>";
