//! A log with changed bytes is recovered or refused, and a verified log contains exactly the records that were written.
//!
//! The first byte of the input is the number of records; each change consists of five bytes, an offset and a value. If
//! the input begins with 255, the rest of it is the segment.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use acgs::ledger::{Batch, Ledger, Options, SegmentSize, Storage, StorageFile, records, verify};
use libfuzzer_sys::fuzz_target;

const SEGMENT: u64 = 128 << 10;
const FIRST: &str = "segment-00000000000000000000.log";

type Bytes = Rc<RefCell<Vec<u8>>>;

/// A folder in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<BTreeMap<String, Bytes>>>);

struct File(Bytes);

impl Memory {
    fn file(&self, name: &str) -> io::Result<File> {
        self.0.borrow().get(name).map(|bytes| File(Rc::clone(bytes))).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Storage for Memory {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.0.borrow_mut().insert(name.to_owned(), Bytes::default());
        self.file(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<File> {
        self.file(name)
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.file(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.0.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.borrow_mut().insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn hold_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<File> {
        Ok(File(Bytes::default()))
    }
}

impl StorageFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut file, start) = (self.0.borrow_mut(), usize::try_from(offset).map_err(io::Error::other)?);
        let end = start + bytes.len();
        let length = file.len().max(end);
        file.resize(length, 0);
        file[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.0.borrow();
        let rest = file.get(usize::try_from(offset).map_err(io::Error::other)?..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn claim(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }
}

fn options() -> Options {
    Options { segment_size: SegmentSize::new(SEGMENT).expect("it is a size") }
}

fn record(number: u64) -> Vec<u8> {
    format!("record {number} {}", "x".repeat(usize::try_from(number * 97 % 3_000).expect("it is small"))).into_bytes()
}

/// A log with `count` records, some of which share a frame.
fn log(count: u64) -> Memory {
    let storage = Memory::default();
    let (mut ledger, _) = Ledger::open(storage.clone(), options()).expect("an empty folder can be begun in");
    let mut batch = Batch::default();
    for number in 0..count {
        batch.push(&record(number)).expect("it is a record");
        if number % 3 != 1 {
            ledger.append(&batch).expect("there is room");
            batch.clear();
        }
    }
    storage
}

/// Reads a log through every reader.
fn read(storage: &Memory, is_written: impl Fn(u64, &[u8]) -> bool) {
    let before = verify(storage);
    let opened = Ledger::open(storage.clone(), options()).map(|(ledger, _)| ledger.size());
    let Ok(size) = opened else { return };
    let mut found = records(storage, 0..size);
    while let Ok(Some((index, record))) = found.advance() {
        // Records under a valid tree are those that were written, or a hash collision was found.
        assert!(before.is_err() || is_written(index, record), "record {index} is another one");
    }
    let _ = acgs::ledger::record(storage, size / 2);
    let _ = acgs::ledger::record(storage, u64::MAX);
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    if *first == u8::MAX {
        let storage = Memory::default();
        storage.0.borrow_mut().insert(FIRST.to_owned(), Rc::new(RefCell::new(rest.to_vec())));
        return read(&storage, |_, _| true);
    }
    let storage = log(u64::from(*first % 24));
    let name = storage.list().expect("it can be listed").into_iter().find(|name| name.ends_with(".log"));
    let Some(name) = name else { return };
    {
        let file = storage.file(&name).expect("it is there");
        let mut bytes = file.0.borrow_mut();
        for change in rest.chunks_exact(5).take(64) {
            let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
            match change[3] {
                // Truncated, as by a lost write, or moved.
                0 => bytes.truncate(place),
                1 => {
                    let to = place % 4096 / 8 * 4096;
                    if bytes.len() >= to + 4096 && bytes.len() >= 8192 {
                        bytes.copy_within(4096..8192, to);
                    }
                }
                _ => {
                    let length = bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(place % length) {
                        *byte = change[4];
                    }
                }
            }
        }
    }
    // Without its checkpoint a log may lose its end, but the rest is unchanged: checksums could be forged, but the tree
    // covers all records.
    read(&storage, |index, found| found == record(index));
});
