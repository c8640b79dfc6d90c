//! A writer that keeps what is logged, for tests.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// The bytes written so far; shared by all clones.
#[derive(Clone, Default)]
pub struct CapturedLines(pub Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for CapturedLines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
