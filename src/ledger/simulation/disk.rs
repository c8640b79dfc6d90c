//! A simulated disk that loses unsynced data, tears writes, and fails on demand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::ledger::{Storage, StorageFile};

const SECTOR: usize = 512;

/// The probability of each fault besides the crash, per thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub write: u32,
    pub short_write: u32,
    pub sync: u32,
    pub names: u32,
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the page cache stays.
    Process,
    /// A power loss: any unsynced sector and name may be lost or kept.
    Power,
}

#[derive(Clone)]
pub struct SimulatedDisk(Rc<RefCell<State>>);

pub struct SimulatedFile {
    disk: SimulatedDisk,
    number: u64,
}

struct State {
    files: BTreeMap<u64, Content>,
    /// As processes see them.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<NameChange>,
    next_file: u64,
    /// Calls that change something, until all calls fail.
    steps_left: u64,
    steps: u64,
    faults: Faults,
    random: StdRng,
}

#[derive(Default)]
struct Content {
    /// As processes see it.
    cache: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
struct NameChange {
    removed: Option<String>,
    added: Option<(String, u64)>,
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, file)) = &self.added {
            names.insert(name.clone(), *file);
        }
    }
}

impl Content {
    fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
        if bytes.len() < offset + written.len() {
            bytes.resize(offset + written.len(), 0);
        }
        bytes[offset..offset + written.len()].copy_from_slice(written);
    }

    fn settle(&mut self) {
        for (offset, written) in self.pending.drain(..) {
            Self::put(&mut self.durable, offset, &written);
        }
    }

    /// Each sector becomes durable in any state that it went through since the last sync.
    fn settle_in_part(&mut self, random: &mut StdRng) {
        let manner = random.random_range(0..4);
        let pending = std::mem::take(&mut self.pending);
        let mut image = self.durable.clone();
        if manner != 0 && random.random_bool(0.8) {
            image.resize(self.cache.len().max(image.len()), 0);
        }
        for (sector, bytes) in image.chunks_mut(SECTOR).enumerate() {
            let (from, to) = (sector * SECTOR, sector * SECTOR + bytes.len());
            let touching: Vec<_> =
                pending.iter().filter(|(offset, written)| *offset < to && offset + written.len() > from).collect();
            let kept = match manner {
                0 => 0,
                1 => touching.len(),
                _ => random.random_range(0..=touching.len()),
            };
            for (offset, written) in touching.into_iter().take(kept) {
                let (start, end) = ((*offset).max(from), (offset + written.len()).min(to));
                bytes[start - from..end - from].copy_from_slice(&written[start - offset..end - offset]);
            }
        }
        self.durable = image;
    }
}

impl SimulatedDisk {
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            next_file: 0,
            steps_left: u64::MAX,
            steps: 0,
            faults: Faults::default(),
            random: StdRng::seed_from_u64(seed),
        })))
    }

    /// From now on the disk fails after every `steps` changing calls.
    pub fn dies_after(&self, steps: u64) {
        self.0.borrow_mut().steps_left = steps;
    }

    pub fn fails(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub fn is_dead(&self) -> bool {
        self.0.borrow().steps_left == 0
    }

    /// How many changing calls there were.
    pub fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    /// The state after the crash; the disk works again.
    pub fn crash(&self, crash: Crash) {
        let state = &mut *self.0.borrow_mut();
        state.steps_left = u64::MAX;
        if crash == Crash::Process {
            return;
        }
        for content in state.files.values_mut() {
            content.settle_in_part(&mut state.random);
            content.cache.clone_from(&content.durable);
        }
        let kept = state.random.random_range(0..4);
        for change in std::mem::take(&mut state.pending_names) {
            if kept == 1 || (kept > 1 && state.random.random_bool(0.5)) {
                change.apply(&mut state.durable_names);
            }
        }
        state.names.clone_from(&state.durable_names);
        let names = &state.names;
        state.files.retain(|number, _| names.values().any(|named| named == number));
    }

    fn change_names(&self, change: NameChange) {
        let mut state = self.0.borrow_mut();
        change.apply(&mut state.names);
        state.pending_names.push(change);
    }

    fn file(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = self.0.borrow();
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile { disk: self.clone(), number })
    }
}

impl State {
    /// Fails if the disk is dead or dies here.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        self.steps_left = self.steps_left.saturating_sub(1);
        if self.steps_left == 0 { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }

    fn happens(&mut self, in_a_thousand: u32) -> bool {
        self.random.random_ratio(in_a_thousand, 1000)
    }
}

impl Storage for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let number = {
            let mut state = self.0.borrow_mut();
            state.step()?;
            let rate = state.faults.names;
            if state.happens(rate) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.next_file += 1;
            let number = state.next_file;
            state.files.insert(number, Content::default());
            number
        };
        self.change_names(NameChange { removed: None, added: Some((name.to_owned(), number)) });
        self.file(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<SimulatedFile> {
        self.file(name)
    }

    fn open_to_read(&self, name: &str) -> io::Result<SimulatedFile> {
        self.file(name)
    }

    fn is_at(&self, file: &SimulatedFile, name: &str) -> io::Result<bool> {
        Ok(self.0.borrow().names.get(name) == Some(&file.number))
    }

    /// May fail and yet have happened.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let number = self.file(from)?.number;
        let (result, happens) = {
            let mut state = self.0.borrow_mut();
            let rate = state.faults.names;
            let failed = state.happens(rate);
            let result = state.step();
            let happens = (result.is_ok() && !failed) || state.random.random_bool(0.5);
            (if failed { Err(io::ErrorKind::Other.into()) } else { result }, happens)
        };
        if happens {
            self.change_names(NameChange { removed: Some(from.to_owned()), added: Some((to.to_owned(), number)) });
        }
        result
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.file(name)?;
        self.0.borrow_mut().step()?;
        self.change_names(NameChange { removed: Some(name.to_owned()), added: None });
        Ok(())
    }

    fn hold_folder(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let rate = state.faults.names;
        if state.happens(rate) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    fn sync_folder(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.step()?;
        let rate = state.faults.sync;
        if state.happens(rate) {
            return Err(io::ErrorKind::Other.into());
        }
        for change in state.pending_names.drain(..) {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<SimulatedFile> {
        Ok(SimulatedFile { disk: self.clone(), number: 0 })
    }
}

impl StorageFile for SimulatedFile {
    fn claim(&self) -> io::Result<()> {
        Ok(())
    }

    /// A write that fails or is interrupted by the crash may be partial.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.disk.0.borrow_mut();
        let offset = usize::try_from(offset).unwrap();
        let was_dead = state.steps_left == 0;
        let dies = state.step();
        let faults = state.faults;
        let fails = state.happens(faults.write);
        let mut length = bytes.len();
        if was_dead {
            length = 0;
        } else if dies.is_err() || fails || state.happens(faults.short_write) {
            length = state.random.random_range(0..=bytes.len());
            // The kernel stops at pages; that a write stops one byte off a sector's end is not to be feared.
            if dies.is_ok() && matches!((offset + length) % SECTOR, 1 | 511) {
                length -= 1;
            }
        }
        if let Some(content) = state.files.get_mut(&self.number).filter(|_| length > 0) {
            let written = &bytes[..length];
            Content::put(&mut content.cache, offset, written);
            content.pending.push((offset, written.to_vec()));
        }
        dies?;
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(length) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.0.borrow();
        let content = state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?;
        let bytes = content.cache.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// A sync that fails may leave pages that look written, that no later sync writes, and that a power loss undoes.
    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.0.borrow_mut();
        state.step()?;
        let rate = state.faults.sync;
        let fails = state.happens(rate);
        let Some(content) = state.files.get_mut(&self.number) else { return Ok(()) };
        if !fails {
            content.settle();
            return Ok(());
        }
        if state.random.random_bool(0.5) {
            content.settle_in_part(&mut state.random);
        }
        Err(io::ErrorKind::Other.into())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.0.borrow();
        Ok(state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?.cache.len() as u64)
    }
}
