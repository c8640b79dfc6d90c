//! Messages for systemd's journal, in its native protocol: the fields of a message are fields of the journal.
//!
//! See "Native Journal Protocol" of systemd. `tracing-journald` speaks it too, but takes the ids of a request from spans
//! only, which cost each request something, and its messages do not show their fields.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::request_ids::{CurrentRequest, RequestIds};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// How long a message may wait for the journal.
const TIMEOUT: Duration = Duration::from_millis(100);
/// The most bytes of one field; a datagram takes some 200 KiB.
const MAX_FIELD: usize = 16 << 10;
/// A field that would make a message longer than this, in bytes, is left out of the fields; the text has it still.
const MAX_MESSAGE: usize = 64 << 10;

/// Whether standard error goes to the journal: the variable names the device and inode that systemd connected.
pub(super) fn is_stderr(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return false };
    File::from(stderr)
        .metadata()
        .is_ok_and(|found| device.parse() == Ok(found.dev()) && inode.parse() == Ok(found.ino()))
}

/// The priority of a level (sd-daemon(3)).
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Sends each message to the journal.
#[derive(Debug)]
pub(super) struct JournalSocket {
    socket: UnixDatagram,
    current: CurrentRequest,
}

impl JournalSocket {
    /// Connects to the journal of this host.
    pub(super) fn connect(current: CurrentRequest) -> io::Result<Self> {
        Self::at(Path::new(SOCKET), current)
    }

    fn at(path: &Path, current: CurrentRequest) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, current })
    }
}

/// The datagram of a message.
fn datagram(metadata: &Metadata<'_>, fields: &Fields, ids: Option<&RequestIds>) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(512);
    put(&mut datagram, "MESSAGE", &fields.text);
    put(&mut datagram, "PRIORITY", &priority(*metadata.level()).to_string());
    put(&mut datagram, "SYSLOG_IDENTIFIER", "acgs");
    let Origin { target, file, line } = &fields.origin;
    put(&mut datagram, "TARGET", target.as_deref().unwrap_or(metadata.target()));
    let line = line.clone().or_else(|| metadata.line().map(|line| line.to_string()));
    if let (Some(file), Some(line)) = (file.as_deref().or(metadata.file()), line) {
        put(&mut datagram, "CODE_FILE", file);
        put(&mut datagram, "CODE_LINE", &line);
    }
    for (name, value) in ids.into_iter().flat_map(RequestIds::members) {
        put(&mut datagram, &name.to_ascii_uppercase(), value);
    }
    for (name, value) in &fields.named {
        if datagram.len() + value.len().min(MAX_FIELD) <= MAX_MESSAGE {
            put(&mut datagram, &format!("ACGS_{}", name.to_ascii_uppercase()), value);
        }
    }
    datagram
}

/// A message as a line of standard error, with its priority and the ids of its request.
fn line(level: Level, text: &str, ids: Option<&RequestIds>) -> String {
    let mut line = format!("<{}>{text}", priority(level));
    for (name, value) in ids.into_iter().flat_map(RequestIds::members) {
        let _ = write!(line, " {name}={value}");
    }
    line
}

impl<S: Subscriber> Layer<S> for JournalSocket {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (metadata, mut fields, ids) = (event.metadata(), Fields::default(), (self.current)());
        event.record(&mut fields);
        if self.socket.send(&datagram(metadata, &fields, ids.as_ref())).is_err() {
            // Standard error goes to the journal, too, by another way. There is no third one.
            let _ = writeln!(io::stderr(), "{}", line(*metadata.level(), &fields.text, ids.as_ref()));
        }
    }
}

/// The fields of a message, and its text with all of them.
#[derive(Debug, Default)]
struct Fields {
    text: String,
    named: Vec<(&'static str, String)>,
    origin: Origin,
}

/// The origin of a record of the crate `log`, which arrives as fields of the message. Messages of `tracing` have theirs
/// in their metadata.
#[derive(Debug, Default)]
struct Origin {
    target: Option<String>,
    file: Option<String>,
    line: Option<String>,
}

impl Fields {
    /// Adds a field; `shown` is its value as the text shows it.
    fn add(&mut self, name: &'static str, value: String, shown: fmt::Arguments<'_>) {
        match name {
            "message" => self.text.insert_str(0, &value),
            "log.target" => self.origin.target = Some(value),
            "log.file" => self.origin.file = Some(value),
            "log.line" => self.origin.line = Some(value),
            // The module of such a record is left out: fields of the journal have no dot in their names.
            _ if name.starts_with("log.") => {}
            _ => {
                let _ = write!(self.text, " {name}={shown}");
                self.named.push((name, value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.to_owned(), format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.add(field.name(), value.clone(), format_args!("{value}"));
    }
}

/// Appends a field. A value of several lines is preceded by its length.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    let value = value.get(..value.floor_char_boundary(MAX_FIELD)).unwrap_or(value);
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the type of a callback")]
    fn current() -> Option<RequestIds> {
        Some(RequestIds { request: "r-1".to_owned(), trace: Some("0af7".to_owned()) })
    }

    /// The datagram of the message that is logged.
    fn sent(log: impl FnOnce()) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let subscriber = tracing_subscriber::registry().with(JournalSocket::at(&path, current).unwrap());
        tracing::subscriber::with_default(subscriber, log);
        let mut buffer = vec![0; 1 << 18];
        let length = journal.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    #[track_caller]
    fn check(datagram: &[u8], parts: &[&str]) {
        let has = |part: &[u8]| datagram.windows(part.len()).any(|window| window == part);
        for part in parts {
            assert!(has(part.as_bytes()), "{part:?} in {}", String::from_utf8_lossy(datagram));
        }
    }

    #[test]
    fn the_fields_of_a_message_are_fields_of_the_journal() {
        let datagram = sent(|| tracing::warn!(error = %"one\ntwo", count = 3, name = "x", "it failed"));
        let parts = [
            "PRIORITY=4\n",
            "SYSLOG_IDENTIFIER=acgs\n",
            "REQUEST_ID=r-1\n",
            "TRACE_ID=0af7\n",
            "ACGS_COUNT=3\n",
            "ACGS_NAME=x\n",
            "ACGS_ERROR\n\u{7}\0\0\0\0\0\0\0one\ntwo\n",
            "it failed error=one\ntwo count=3 name=\"x\"\n",
            "CODE_FILE=src/logging/journal.rs\n",
            "CODE_LINE=",
        ];
        check(&datagram, &parts);
        assert!(datagram.starts_with(b"MESSAGE\n"));
    }

    #[test]
    fn the_origin_of_a_record_of_another_crate_is_that_of_its_message() {
        // As `tracing-log` hands the records of the crate `log` on.
        let datagram = sent(|| {
            tracing::debug!(
                target: "log",
                { log.target = "rustls::client", log.module_path = "rustls::client::hs", log.file = "hs.rs", log.line = 7 },
                "no session"
            );
        });
        let parts = ["MESSAGE=no session\n", "TARGET=rustls::client\n", "CODE_FILE=hs.rs\n", "CODE_LINE=7\n"];
        check(&datagram, &parts);
        let text = String::from_utf8(datagram).unwrap();
        assert!(!text.contains("log.") && !text.contains("LOG.") && text.matches("TARGET=").count() == 1, "{text}");
    }

    #[test]
    fn a_line_for_standard_error_has_the_ids_of_its_request() {
        let ids = current();
        let shown = line(Level::WARN, "it failed count=3", ids.as_ref());
        assert_eq!(shown, "<4>it failed count=3 request_id=r-1 trace_id=0af7");
        assert_eq!(line(Level::INFO, "it began", None), "<6>it began");
    }

    #[test]
    fn a_long_message_has_the_fields_that_fit() {
        let long = "x".repeat(MAX_FIELD);
        let long = long.as_str();
        let datagram = sent(|| tracing::warn!(a = long, b = long, c = long, d = long, e = "short", "it failed"));
        check(&datagram, &["MESSAGE=it failed a=", "ACGS_A=x", "ACGS_B=x", "ACGS_E=short\n"]);
        let text = String::from_utf8(datagram).unwrap();
        assert!(!text.contains("ACGS_D=") && text.len() <= MAX_MESSAGE + MAX_FIELD);
    }

    #[test]
    fn a_long_message_fits_into_a_datagram() {
        let mut datagram = Vec::new();
        put(&mut datagram, "MESSAGE", &"é".repeat(1 << 20));
        assert!(datagram.len() <= MAX_FIELD + 16);
        assert!(!is_stderr(None) && !is_stderr(Some("")) && !is_stderr(Some("1:2")));
    }
}
