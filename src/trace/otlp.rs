//! The JSON form of OTLP 1.x: ids in hex, 64-bit integers as text, enumerations as numbers, and names in camelCase.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::context::{SpanId, TraceId};
use super::recording::{DecisionNote, Finished, Phase};

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The daemon as the source of spans.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// `service.name`
    pub(super) service: String,
    /// `service.instance.id`: differs for each start of the daemon.
    pub(super) instance: String,
}

/// The body of an export request.
pub(super) fn export_request(resource: &Resource, requests: &[Finished]) -> Value {
    let spans: Vec<Value> = requests.iter().flat_map(spans).collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", &resource.service),
            text("service.version", version),
            text("service.instance.id", &resource.instance),
        ]},
        "scopeSpans": [{"scope": {"name": "acgs", "version": version}, "spans": spans}],
    }]})
}

/// The number of rejected spans in the answer to an export request, and the collector's reason.
pub(super) fn rejected(answer: &str) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    // 64-bit integers are text, but numbers are to be accepted, too.
    let count = partial.get("rejectedSpans")?;
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok()).filter(|count| *count > 0)?;
    Some((count, partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned()))
}

/// The spans of one request: its own, and one for each phase.
fn spans(request: &Finished) -> Vec<Value> {
    let (recording, context) = (&request.recording, &request.recording.context);
    let at = |moment: Instant| nanos(recording.clocks, moment);
    // The name is low-cardinality: the method and the template of the route.
    let method = if request.method == "other" { "HTTP" } else { request.method };
    let name = match &request.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let (parent, error) = (context.parent.map(|parent| parent.to_string()), request.status >= 500);
    let mut own = json!({
        "traceId": context.trace.to_string(),
        "spanId": context.span.to_string(),
        "parentSpanId": parent,
        "name": name,
        "kind": SERVER,
        "startTimeUnixNano": at(recording.since),
        "endTimeUnixNano": at(request.end.max(recording.since)),
        "attributes": attributes(request),
        "status": error.then(|| json!({"code": ERROR})),
    });
    // Collectors differ in how they read null.
    if let Some(members) = own.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    let phases = Phase::ALL.into_iter().zip(recording.phases).filter_map(|(phase, moments)| {
        let (began, ended) = moments?;
        // A phase that was not left, since the request failed in it, ends with the request.
        let ended = ended.unwrap_or(request.end).max(began);
        Some(phase_span(context.trace, context.span, phase, (at(began), at(ended))))
    });
    std::iter::once(own).chain(phases).collect()
}

fn phase_span(trace: TraceId, parent: SpanId, phase: Phase, (began, ended): (String, String)) -> Value {
    json!({
        "traceId": trace.to_string(),
        "spanId": SpanId::new().to_string(),
        "parentSpanId": parent.to_string(),
        "name": phase.name(),
        "kind": INTERNAL,
        "startTimeUnixNano": began,
        "endTimeUnixNano": ended,
    })
}

/// The attributes of a request, after OpenTelemetry's semantic conventions for HTTP servers. Paths, subjects and
/// resources are left out: they may name persons.
fn attributes(request: &Finished) -> Vec<Value> {
    let method = if request.method == "other" { "_OTHER" } else { request.method };
    let mut attributes = vec![
        text("http.request.method", method),
        text("url.scheme", "http"),
        integer("http.response.status_code", request.status.into()),
    ];
    if let Some(route) = &request.route {
        attributes.push(text("http.route", route));
    }
    if request.status >= 500 {
        attributes.push(text("error.type", &request.status.to_string()));
    }
    match request.recording.decision {
        None => {}
        Some(DecisionNote::One { permits, reason, audit_index }) => {
            attributes.push(json!({"key": "acgs.decision", "value": {"boolValue": permits}}));
            attributes.push(text("acgs.reason", reason));
            attributes.extend(audit_index.map(|index| integer("acgs.audit_index", index)));
        }
        Some(DecisionNote::Batch(decisions)) => attributes.push(integer("acgs.decisions", decisions as u64)),
    }
    attributes
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn integer(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

/// A moment in nanoseconds since 1970, from one moment by both clocks.
fn nanos((instant, wall): (Instant, SystemTime), moment: Instant) -> String {
    let at = match moment.checked_duration_since(instant) {
        Some(later) => wall + later,
        None => wall - instant.duration_since(moment),
    };
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::context::TraceContext;
    use super::super::recording::Recording;
    use super::*;

    fn resource() -> Resource {
        Resource { service: "acgs".to_owned(), instance: "i".to_owned() }
    }

    fn spans_of(request: Finished) -> Vec<Value> {
        let body = export_request(&resource(), &[request]);
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    }

    fn recorded(traceparent: &str) -> Recording {
        Recording::new(TraceContext::continued(traceparent).unwrap(), Instant::now())
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_request_is_a_span_with_its_phases_in_it() {
        let mut recording = recorded(PARENT);
        for phase in [Phase::Decode, Phase::Decide] {
            recording.begin(phase);
            recording.end(phase);
        }
        recording.begin(Phase::Commit);
        recording.decided(DecisionNote::One { permits: false, reason: "forbidden", audit_index: Some(7) });
        let end = Instant::now() + Duration::from_millis(1);
        let (method, route) = ("POST", Some("/v1/validate".into()));
        let request = Finished { recording: Box::new(recording), end, method, route, status: 200 };
        assert_eq!(request.spans(), 4);
        let spans = spans_of(request);
        let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["POST /v1/validate", "decode", "decide", "commit"]);
        let own = &spans[0];
        assert_eq!((&own["kind"], &own["parentSpanId"]), (&json!(2), &json!("b7ad6b7169203331")));
        let nanos = |span: &Value, member: &str| span[member].as_str().unwrap().parse::<u128>().unwrap();
        let bounds = |span: &Value| (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        for span in &spans[1..] {
            assert_eq!((&span["traceId"], &span["parentSpanId"]), (&own["traceId"], &own["spanId"]));
            let ((began, ended), (first, last)) = (bounds(span), bounds(own));
            assert!(first <= began && began <= ended && ended <= last, "{span} in {own}");
        }
        assert_eq!(bounds(&spans[3]).1, bounds(own).1, "it was not left");
        let attribute = |key: &str| {
            let found = own["attributes"].as_array().unwrap().iter().find(|one| one["key"] == key);
            found.map_or(Value::Null, |one| one["value"].clone())
        };
        for (key, value) in [
            ("http.request.method", json!({"stringValue": "POST"})),
            ("http.route", json!({"stringValue": "/v1/validate"})),
            ("http.response.status_code", json!({"intValue": "200"})),
            ("acgs.decision", json!({"boolValue": false})),
            ("acgs.reason", json!({"stringValue": "forbidden"})),
            ("acgs.audit_index", json!({"intValue": "7"})),
            ("error.type", Value::Null),
        ] {
            assert_eq!(attribute(key), value, "{key}");
        }
        assert_eq!(own.get("status"), None);
    }

    #[test]
    fn a_failed_request_without_a_route_says_so() {
        let recording = Box::new(recorded(PARENT));
        let spans = spans_of(Finished { recording, end: Instant::now(), method: "other", route: None, status: 503 });
        assert_eq!((&spans[0]["name"], &spans[0]["status"]["code"]), (&json!("HTTP"), &json!(2)));
        let text = spans[0].to_string();
        assert!(text.contains("_OTHER") && text.contains("error.type") && !text.contains("http.route"), "{text}");
    }

    #[test]
    fn a_partial_success_tells_how_many_spans_were_rejected() {
        for (answer, expected) in [
            ("{}", None),
            ("", None),
            (r#"{"partialSuccess":{}}"#, None),
            (r#"{"partialSuccess":{"rejectedSpans":"0","errorMessage":"a hint"}}"#, None),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, Some((3, "too old"))),
            (r#"{"partialSuccess":{"rejectedSpans":3}}"#, Some((3, ""))),
        ] {
            assert_eq!(rejected(answer), expected.map(|(count, text)| (count, text.to_owned())), "{answer}");
        }
    }
}
