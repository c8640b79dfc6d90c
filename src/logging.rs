//! The daemon's log messages: in the journal, or on standard error in forms for people and collectors.

#[cfg(test)]
mod captured_lines;
mod journal;
mod level;
mod repeats;
mod request_ids;

use std::fmt;
use std::io::{IsTerminal, stderr};

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Log, LogFormat};
use journal::{JournalSocket, priority};
pub use level::{LevelChange, LevelStatus, LevelSwitch};
use repeats::RepeatLimit;
pub use request_ids::{CurrentRequest, RequestIds};
use request_ids::{JsonLine, TextFields};

/// The target of lines about management writes, each of which is written however many there are.
pub const ACCESS: &str = "acgs::access";

/// Starts logging. A subscriber that is there already, as in tests, stays. Each line names the request that `current`
/// tells when it is written.
#[must_use]
pub fn start(log: &Log, current: CurrentRequest) -> LevelSwitch {
    let (filter, handle) = reload::Layer::new(log.level.filter());
    let output = tracing_subscriber::fmt::layer().with_writer(stderr);
    let format = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto if stderr().is_terminal() => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let output = match format {
        LogFormat::Journald => match native_journal(current) {
            Some(journal) => journal.boxed(),
            None => output.fmt_fields(TextFields::new(current)).event_format(JournalLine).boxed(),
        },
        LogFormat::Pretty => {
            output.with_ansi(stderr().is_terminal()).fmt_fields(TextFields::new(current)).compact().boxed()
        }
        LogFormat::Auto | LogFormat::Json => {
            let line = JsonLine::new(Format::default().json().flatten_event(true), current);
            output.fmt_fields(JsonFields::new()).event_format(line).boxed()
        }
    };
    // Only the first subscriber of a process counts.
    drop(tracing_subscriber::registry().with(filter).with(RepeatLimit::default()).with(output).try_init());
    LevelSwitch::new(handle, log.level.clone())
}

/// The journal's own socket, if standard error goes to the journal; `None` if only lines can be written there.
fn native_journal(current: CurrentRequest) -> Option<JournalSocket> {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    journal::is_stderr(stream.as_deref()).then(|| JournalSocket::connect(current).ok()).flatten()
}

/// A line for journald where its socket cannot be reached: `<priority>` and the message, without the time, which the
/// journal adds.
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(line, "<{}>", priority(*event.metadata().level()))?;
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.as_str());
            write!(line, "{}{{{fields}}}: ", span.name())?;
        }
        ctx.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}
