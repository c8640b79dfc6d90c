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
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::request_ids::{CurrentRequest, RequestIds};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// How long a message may wait for the journal.
const TIMEOUT: Duration = Duration::from_millis(100);
/// The most bytes of one field; a datagram takes some 200 KiB.
const MAX_FIELD: usize = 16 << 10;
/// The most bytes of all fields of a message other than the text.
const MAX_FIELDS: usize = 64 << 10;

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

    /// The datagram of a message, and its text.
    fn datagram(&self, event: &Event<'_>) -> (Vec<u8>, String) {
        let (metadata, mut fields) = (event.metadata(), Fields::default());
        event.record(&mut fields);
        let mut datagram = Vec::with_capacity(512);
        put(&mut datagram, "MESSAGE", &fields.text);
        put(&mut datagram, "PRIORITY", &priority(*metadata.level()).to_string());
        put(&mut datagram, "SYSLOG_IDENTIFIER", "acgs");
        put(&mut datagram, "TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            put(&mut datagram, "CODE_FILE", file);
            put(&mut datagram, "CODE_LINE", &line.to_string());
        }
        for (name, value) in (self.current)().iter().flat_map(RequestIds::members) {
            put(&mut datagram, &name.to_ascii_uppercase(), value);
        }
        for (name, value) in &fields.named {
            if datagram.len() + value.len().min(MAX_FIELD) <= MAX_FIELDS {
                put(&mut datagram, &format!("ACGS_{}", name.to_ascii_uppercase()), value);
            }
        }
        (datagram, fields.text)
    }
}

impl<S: Subscriber> Layer<S> for JournalSocket {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (datagram, text) = self.datagram(event);
        if self.socket.send(&datagram).is_err() {
            // Standard error goes to the journal, too, by another way. There is no third one.
            let _ = writeln!(io::stderr(), "<{}>{text}", priority(*event.metadata().level()));
        }
    }
}

/// The fields of a message, and its text with all of them.
#[derive(Debug, Default)]
struct Fields {
    text: String,
    named: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.text.insert_str(0, value);
        } else {
            let _ = write!(self.text, " {}={value:?}", field.name());
            self.named.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.text.insert_str(0, &value);
        } else {
            let _ = write!(self.text, " {}={value}", field.name());
            self.named.push((field.name(), value));
        }
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

    #[test]
    fn the_fields_of_a_message_are_fields_of_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let subscriber = tracing_subscriber::registry().with(JournalSocket::at(&path, current).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = %"one\ntwo", count = 3, name = "x", "it failed");
        });
        let mut buffer = [0; 4_096];
        let length = journal.recv(&mut buffer).unwrap();
        let datagram = buffer.get(..length).unwrap();
        let has = |part: &[u8]| datagram.windows(part.len()).any(|window| window == part);
        for part in [
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
        ] {
            assert!(has(part.as_bytes()), "{part:?} in {}", String::from_utf8_lossy(datagram));
        }
        assert!(datagram.starts_with(b"MESSAGE\n"));
    }

    #[test]
    fn a_long_message_fits_into_a_datagram() {
        let mut datagram = Vec::new();
        put(&mut datagram, "MESSAGE", &"é".repeat(1 << 20));
        assert!(datagram.len() <= MAX_FIELD + 16);
        assert!(!is_stderr(None) && !is_stderr(Some("")) && !is_stderr(Some("1:2")));
    }
}
