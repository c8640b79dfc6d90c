//! Writes one archive, in small durable steps, under a name that readers do not look for.

use std::io::{self, Write as _};
use std::ops::Range;

use flate2::{Compression, GzBuilder};

use super::archive::{BLOCK, HEAD, MAGIC, TEMPORARY, VERSION};
use super::fault::LedgerError;
use super::storage::{Storage, StorageFile, write_all};

/// The bytes that are written and synced together, so that the syncs of the log find little to wait for.
const STEP: usize = 1 << 20;

/// An archive in the making. Its blocks are pushed in order.
#[derive(Debug)]
pub(super) struct ArchiveWriter<F> {
    file: F,
    first: u64,
    /// Where each block begins.
    offsets: Vec<u64>,
    /// The end of the written bytes in the file.
    written: u64,
    /// Bytes that are not written yet.
    pending: Vec<u8>,
}

impl<F: StorageFile> ArchiveWriter<F> {
    /// Begins an archive of these records; an unfinished one of before is overwritten.
    pub(super) fn create<S: Storage<File = F>>(storage: &S, indices: &Range<u64>) -> Result<Self, LedgerError> {
        let file = storage.create(TEMPORARY).map_err(LedgerError::disk("make", TEMPORARY))?;
        let blocks = indices.end.saturating_sub(indices.start) / BLOCK;
        let written = HEAD as u64 + 8 * (blocks + 1);
        Ok(Self { file, first: indices.start, offsets: Vec::new(), written, pending: Vec::new() })
    }

    /// Compresses the next records, given in payload form.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), LedgerError> {
        self.offsets.push(self.end());
        let first = self.first + (self.offsets.len() as u64 - 1) * BLOCK;
        let builder = GzBuilder::new().extra(first.to_be_bytes());
        let mut encoder = builder.write(&mut self.pending, Compression::default());
        let compressed = encoder.write_all(payload).and_then(|()| encoder.finish().map(drop));
        compressed.map_err(LedgerError::disk("compress", TEMPORARY))?;
        self.flush_if(STEP)
    }

    /// Adds a block that is compressed already and has its index.
    pub(super) fn push_compressed(&mut self, block: &[u8]) -> Result<(), LedgerError> {
        self.offsets.push(self.end());
        self.pending.extend_from_slice(block);
        self.flush_if(STEP)
    }

    /// Writes the rest and makes all of it durable. The archive still has its temporary name.
    pub(super) fn finish(mut self) -> Result<(), LedgerError> {
        self.flush_if(1)?;
        self.offsets.push(self.end());
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_be_bytes());
        let count = u32::try_from(self.offsets.len() - 1).unwrap_or(u32::MAX);
        head.extend_from_slice(&count.to_be_bytes());
        head.extend_from_slice(&self.first.to_be_bytes());
        head.extend_from_slice(&crc32c::crc32c(&head).to_be_bytes());
        for offset in &self.offsets {
            head.extend_from_slice(&offset.to_be_bytes());
        }
        self.write(0, &head).map_err(LedgerError::disk("write to", TEMPORARY))
    }

    /// Where the next block begins.
    const fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn flush_if(&mut self, least: usize) -> Result<(), LedgerError> {
        if self.pending.len() < least {
            return Ok(());
        }
        self.write(self.written, &self.pending).map_err(LedgerError::disk("write to", TEMPORARY))?;
        self.written = self.end();
        self.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.file, bytes, offset)?;
        self.file.sync()
    }
}
