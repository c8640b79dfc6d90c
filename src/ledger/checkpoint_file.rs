//! The newest checkpoint on disk, stored before it is published.
//!
//! The file `checkpoint` has two slots of 32 KiB, written alternately, so that a torn write leaves the previous
//! checkpoint. Its length never changes, so that storing a checkpoint costs one sync of data and no metadata update of
//! the file system. A slot is text: a line `acgs-checkpoint <sequence> <length> <checksum>`, then `<length>` bytes of a
//! signed note, then newlines to the slot's end. The checksum is the CRC32C of `<sequence> <length> ` and the note, in
//! 8 hex digits. The slot with the greater sequence is the current one.

use std::io;

use super::fault::LedgerError;
use super::note::Note;
use super::storage::{Storage, StorageFile, read_full, write_all};

/// The file with the newest checkpoint.
const NAME: &str = "checkpoint";
/// The file with the newest checkpoint cosigned by a witness, in the same form.
pub const WITNESSED: &str = "checkpoint.witnessed";
/// The names of all checkpoint files. Each keeps its inode once it is created.
pub const CHECKPOINT_FILES: [&str; 2] = [NAME, WITNESSED];
/// The length of a slot in bytes.
const SLOT: usize = 32 << 10;
/// The first bytes of a slot.
const MARK: &str = "acgs-checkpoint ";

/// The file, open to be written.
#[derive(Debug)]
pub struct CheckpointFile<F> {
    file: F,
    name: &'static str,
    /// Of the newest checkpoint.
    sequence: u64,
}

impl<F: StorageFile> CheckpointFile<F> {
    /// Opens the file, or makes one; answers the newest checkpoint, if any was stored.
    pub fn open<S: Storage<File = F>>(storage: &S) -> Result<(Self, Option<Note>), LedgerError> {
        Self::open_named(storage, NAME)
    }

    /// The same with a file of another name.
    pub fn open_named<S: Storage<File = F>>(
        storage: &S,
        name: &'static str,
    ) -> Result<(Self, Option<Note>), LedgerError> {
        let file = match storage.open_to_write(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(storage, name),
            opened => opened,
        };
        let file = file.map_err(LedgerError::disk("open", name))?;
        let (sequence, note) = newest(&file, name)?.unzip();
        Ok((Self { file, name, sequence: sequence.unwrap_or_default() }, note))
    }

    /// Stores a checkpoint. When this returns, it is durable.
    pub fn store(&mut self, note: &Note) -> Result<(), LedgerError> {
        let sequence = self.sequence + 1;
        let mut slot = encode(sequence, &note.to_string()).into_bytes();
        if slot.len() > SLOT {
            let error = io::Error::new(io::ErrorKind::FileTooLarge, "the checkpoint has too many signatures");
            return Err(LedgerError::disk("write to", self.name)(error));
        }
        slot.resize(SLOT, b'\n');
        let offset = (sequence % 2) * SLOT as u64;
        let written = write_all(&self.file, &slot, offset).and_then(|()| self.file.sync());
        written.map_err(LedgerError::disk("write to", self.name))?;
        self.sequence = sequence;
        Ok(())
    }
}

/// Whether the checkpoint file exists, even without a checkpoint. It is created before the first record.
pub fn has_checkpoint_file<S: Storage>(storage: &S) -> Result<bool, LedgerError> {
    match storage.open_to_read(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        opened => opened.map(|_| true).map_err(LedgerError::disk("open", NAME)),
    }
}

/// The newest checkpoint that was stored in this folder, if any was.
pub fn last_checkpoint<S: Storage>(storage: &S) -> Result<Option<Note>, LedgerError> {
    match storage.open_to_read(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => Ok(newest(&opened.map_err(LedgerError::disk("open", NAME))?, NAME)?.map(|(_, note)| note)),
    }
}

fn create<S: Storage>(storage: &S, name: &str) -> io::Result<S::File> {
    let temporary = &format!("{name}.tmp");
    let file = storage.create(temporary)?;
    write_all(&file, &vec![b'\n'; 2 * SLOT], 0)?;
    file.sync()?;
    storage.rename(temporary, name)?;
    storage.sync_folder()?;
    Ok(file)
}

/// The contents of a slot.
enum Slot {
    Blank,
    Whole(u64, Note),
    Damaged,
}

fn newest<F: StorageFile>(file: &F, name: &str) -> Result<Option<(u64, Note)>, LedgerError> {
    let mut slots = Vec::new();
    for offset in [0, SLOT as u64] {
        let mut slot = vec![0; SLOT];
        let read = read_full(file, &mut slot, offset).map_err(LedgerError::disk("read", name))?;
        slots.push(decode(slot.get(..read).unwrap_or_default()));
    }
    let is_first = slots.iter().any(|slot| matches!(slot, Slot::Blank));
    let whole = slots.into_iter().filter_map(|slot| match slot {
        Slot::Whole(sequence, note) => Some((sequence, note)),
        Slot::Blank | Slot::Damaged => None,
    });
    match whole.max_by_key(|(sequence, _)| *sequence) {
        // A torn write can damage one slot, and the other one has the checkpoint before, if there was one.
        None if !is_first => Err(LedgerError::NoCheckpoint("both of its slots are damaged")),
        newest => Ok(newest),
    }
}

fn encode(sequence: u64, note: &str) -> String {
    let length = note.len();
    let checksum = crc32c::crc32c(format!("{sequence} {length} {note}").as_bytes());
    format!("{MARK}{sequence} {length} {checksum:08x}\n{note}")
}

fn decode(slot: &[u8]) -> Slot {
    // The file has its length from the start on: a shorter one is not one that nothing was stored in yet.
    if slot.len() < SLOT {
        return Slot::Damaged;
    }
    if slot.iter().all(|byte| *byte == b'\n') {
        return Slot::Blank;
    }
    let whole = || {
        let text = str::from_utf8(slot).ok()?;
        let (head, rest) = text.strip_prefix(MARK)?.split_once('\n')?;
        let mut words = head.split(' ');
        let (sequence, length) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let note = rest.get(..length)?;
        let same = text.starts_with(&encode(sequence, note));
        same.then(|| note.parse().ok().map(|note| Slot::Whole(sequence, note)))?
    };
    whole().unwrap_or(Slot::Damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::{DiskStorage, SigningKey};

    fn note(number: u64) -> Note {
        let key =
            SigningKey::from_secret("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n");
        Note::sign(format!("origin\n{number}\nAAAA\n"), [&key.unwrap()])
    }

    #[test]
    fn the_newest_checkpoint_is_found_and_a_torn_one_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::at(folder.path());
        assert_eq!(last_checkpoint(&storage).unwrap(), None);
        let path = folder.path().join(NAME);
        for number in 1..=5 {
            let (mut file, found) = CheckpointFile::open(&storage).unwrap();
            assert_eq!(found, (number > 1).then(|| note(number - 1)));
            file.store(&note(number)).unwrap();
            let whole = fs::read(&path).unwrap();
            for torn in [0, 1, 20, 60] {
                let mut bytes = whole.clone();
                let slot = usize::try_from(number % 2).unwrap() * SLOT;
                bytes[slot + torn] ^= 1;
                fs::write(&path, bytes).unwrap();
                assert_eq!(last_checkpoint(&storage).unwrap(), (number > 1).then(|| note(number - 1)));
            }
            fs::write(&path, whole).unwrap();
        }
        fs::write(&path, vec![b'x'; 2 * SLOT]).unwrap();
        assert!(matches!(last_checkpoint(&storage), Err(LedgerError::NoCheckpoint(_))));
    }
}
