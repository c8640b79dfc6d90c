//! The ids of the request during which a line is written, in the line. They are asked for only when one is written.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The ids of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    /// The id of the request.
    pub request: String,
    /// The id of its trace, if it has one.
    pub trace: Option<String>,
}

/// Names the request that the calling thread works on; `None` outside of requests.
pub type CurrentRequest = fn() -> Option<RequestIds>;

impl RequestIds {
    /// Names and values.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let trace = self.trace.as_deref().map(|trace| ("trace_id", trace));
        std::iter::once(("request_id", self.request.as_str())).chain(trace)
    }
}

/// Fields as text, with the ids at their end.
pub(super) struct TextFields {
    inner: DefaultFields,
    current: CurrentRequest,
}

impl TextFields {
    pub(super) fn new(current: CurrentRequest) -> Self {
        Self { inner: DefaultFields::new(), current }
    }
}

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        self.inner.format_fields(writer.by_ref(), fields)?;
        let Some(ids) = (self.current)() else { return Ok(()) };
        ids.members().try_for_each(|(name, value)| write!(writer, " {name}={value}"))
    }
}

/// A line with a JSON object, with the ids as its last members.
pub(super) struct JsonLine<F> {
    inner: F,
    current: CurrentRequest,
}

impl<F> JsonLine<F> {
    pub(super) fn new(inner: F, current: CurrentRequest) -> Self {
        Self { inner, current }
    }
}

impl<S, N, F> FormatEvent<S, N> for JsonLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(ids) = (self.current)() else { return self.inner.format_event(ctx, writer, event) };
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let Some(open) = line.trim_end().strip_suffix('}') else { return writer.write_str(&line) };
        writer.write_str(open)?;
        for (name, value) in ids.members() {
            write!(writer, ",\"{name}\":{}", serde_json::Value::from(value))?;
        }
        writeln!(writer, "}}")
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt::format::{Format, JsonFields};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::captured_lines::CapturedLines;
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the type of a callback")]
    fn current() -> Option<RequestIds> {
        Some(RequestIds { request: "\"a\"".to_owned(), trace: Some("0af7".to_owned()) })
    }

    #[test]
    fn a_json_line_has_the_ids_as_members() {
        let lines = CapturedLines::default();
        let format = JsonLine::new(Format::default().json().flatten_event(true), current);
        let output = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let output = output.fmt_fields(JsonFields::new()).event_format(format);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(output), || {
            tracing::info!(number = 1, "done");
        });
        let line: serde_json::Value = serde_json::from_slice(&lines.0.lock()).unwrap();
        assert_eq!((&line["request_id"], &line["trace_id"]), (&"\"a\"".into(), &"0af7".into()));
        assert_eq!((&line["message"], &line["number"]), (&"done".into(), &1.into()));
    }

    #[test]
    fn a_text_line_has_the_ids_at_its_end() {
        let lines = CapturedLines::default();
        let output = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let output = output.fmt_fields(TextFields::new(current)).compact();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(output), || {
            tracing::info!(number = 1, "done");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert!(text.trim_end().ends_with("done number=1 request_id=\"a\" trace_id=0af7"), "{text}");
    }
}
