//! The daemon's log messages, on standard error, in forms for the journal, people and collectors.

mod repeats;

use std::fmt;
use std::io::{IsTerminal, stderr};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::settings::{Log, LogFormat, LogLevel};
use repeats::RepeatLimit;

/// The ids of the request during which a line is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    /// The id of the request.
    pub request: String,
    /// The id of its trace, if it has one.
    pub trace: Option<String>,
}

/// Changes how much is logged while the daemon runs.
#[derive(Debug, Clone)]
pub struct LevelSwitch(Handle<EnvFilter, Registry>);

impl LevelSwitch {
    /// Logs by this level from now on.
    pub fn set(&self, level: &LogLevel) {
        if let Err(error) = self.0.reload(level.filter()) {
            tracing::error!(%error, "the log level cannot be changed");
        }
    }
}

/// Starts logging. A subscriber that is there already, as in tests, stays.
#[must_use]
pub fn start(log: &Log) -> LevelSwitch {
    let (filter, handle) = reload::Layer::new(log.level.filter());
    let output = tracing_subscriber::fmt::layer().with_writer(stderr);
    let format = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto if stderr().is_terminal() => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let output = match format {
        LogFormat::Journald => output.event_format(JournalLine).boxed(),
        LogFormat::Pretty => output.with_ansi(stderr().is_terminal()).compact().boxed(),
        LogFormat::Auto | LogFormat::Json => output.json().flatten_event(true).boxed(),
    };
    // Only the first subscriber of a process counts.
    drop(tracing_subscriber::registry().with(filter).with(RepeatLimit::default()).with(output).try_init());
    LevelSwitch(handle)
}

/// A line for journald: `<priority>` and the message, without the time, which the journal adds.
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(line, "<{priority}>")?;
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.as_str());
            write!(line, "{}{{{fields}}}: ", span.name())?;
        }
        ctx.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}
