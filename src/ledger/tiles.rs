//! The tree on disk: all hashes that are in tiles, in one file per level.
//!
//! The file `tiles-<L>` contains the hashes of level L in order: tile N begins at byte 8192 N, and a partial tile is
//! the part of it that exists. So tiles of every width are read from the same bytes, and each record costs 32 of them.
//! Only the hashes below the size of a checkpoint are valid; after these a file may contain anything, or end.
//!
//! Files grow by a MiB of zeros at a time, so that making hashes durable seldom changes the file's length, which would
//! delay every sync on the same file system. Lost tiles are made again from the records.

use std::cell::OnceCell;
use std::io;

use super::fault::LedgerError;
use super::proof::Nodes;
use super::storage::{Storage, StorageFile, read_full, write_all, write_zeros};
use super::tile::{HEIGHT, LEVELS, TileKind, TileName, WIDTH};
use super::tree::{Hash, Tree};

const LENGTH: u64 = Hash::LEN as u64;
/// Files have a multiple of this number of bytes.
const GROWTH: u64 = 1 << 20;

/// The name of a level's file.
fn file_name(level: u32) -> String {
    format!("tiles-{level}")
}

/// The names of the tile files of all levels. Each keeps its inode once it is created.
pub fn tile_files() -> impl Iterator<Item = String> {
    (0..LEVELS).map(file_name)
}

/// Appends to the tiles.
#[derive(Debug)]
pub struct TileWriter<S: Storage> {
    storage: S,
    levels: Vec<Level<S::File>>,
    tree: Tree,
}

/// The end of one level.
#[derive(Debug)]
struct Level<F> {
    file: F,
    /// Where the pending hashes go, in bytes.
    end: u64,
    /// The file's length in bytes.
    length: u64,
    /// Hashes that are not in the file yet.
    pending: Vec<u8>,
    /// Whether the file has hashes that are not durable.
    dirty: bool,
}

impl<S: Storage> TileWriter<S> {
    /// Continues after the first `size` records; `None` if their tiles are missing, or do not have that root.
    pub fn open(storage: S, size: u64, root: Hash) -> Result<Option<Self>, LedgerError> {
        let peaks = match TileReader::new(&storage, size).peaks(size) {
            Err(LedgerError::NoTile(_)) => return Ok(None),
            peaks => peaks?,
        };
        let Some(tree) = Tree::from_peaks(size, peaks).filter(|tree| tree.root() == root) else { return Ok(None) };
        Self::begin(storage, tree).map(Some)
    }

    /// Begins with the first record; existing files are overwritten.
    pub fn create(storage: S) -> Result<Self, LedgerError> {
        Self::begin(storage, Tree::default())
    }

    fn begin(storage: S, tree: Tree) -> Result<Self, LedgerError> {
        let size = tree.size();
        let mut writer = Self { storage, levels: Vec::new(), tree };
        for level in 0..LEVELS {
            let hashes = size >> (level * HEIGHT);
            if hashes > 0 || level == 0 {
                writer.open_level(level, hashes)?;
            }
        }
        Ok(writer)
    }

    fn open_level(&mut self, level: u32, hashes: u64) -> Result<(), LedgerError> {
        let name = file_name(level);
        let file = match self.storage.open_to_write(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.storage.create(&name).and_then(|file| self.storage.sync_folder().map(|()| file))
            }
            opened => opened,
        };
        let file = file.map_err(LedgerError::disk("open", &name))?;
        let length = file.length().map_err(LedgerError::disk("read the length of", &name))?;
        self.levels.push(Level { file, end: hashes * LENGTH, length, pending: Vec::new(), dirty: false });
        Ok(())
    }

    /// The tree of all records that were pushed.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Appends a record's leaf; after an error, nothing of it.
    pub fn push(&mut self, leaf: Hash) -> Result<(), LedgerError> {
        let next = u32::try_from(self.levels.len()).unwrap_or(LEVELS);
        if next < LEVELS && (self.tree.size() + 1) >> (next * HEIGHT) > 0 {
            self.open_level(next, 0)?;
        }
        let mut complete = [None; LEVELS as usize];
        self.tree.grow(leaf, |height, hash| {
            if let Some(slot) = complete.get_mut((height / HEIGHT) as usize).filter(|_| height.is_multiple_of(HEIGHT)) {
                *slot = Some(hash);
            }
        });
        for (level, hash) in self.levels.iter_mut().zip(complete.into_iter().map_while(|hash| hash)) {
            level.pending.extend_from_slice(hash.as_bytes());
        }
        Ok(())
    }

    /// Writes the pushed hashes, so that readers find them.
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        for (number, level) in (0..).zip(&mut self.levels) {
            level.flush().map_err(LedgerError::disk("write to", &file_name(number)))?;
        }
        Ok(())
    }

    /// Makes the flushed hashes durable. It is an error if a file is no longer the one of its name, such as after its
    /// folder was covered by a mount: readers would not find the hashes.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        for (number, level) in (0..).zip(&mut self.levels) {
            let name = file_name(number);
            if level.dirty {
                level.file.sync().map_err(LedgerError::disk("sync", &name))?;
                level.dirty = false;
            }
            if !self.storage.is_at(&level.file, &name).map_err(LedgerError::disk("find", &name))? {
                let error = io::Error::other("another file, or none, has its name");
                return Err(LedgerError::disk("keep", &name)(error));
            }
        }
        Ok(())
    }
}

impl<F: StorageFile> Level<F> {
    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let end = self.end + self.pending.len() as u64;
        if end > self.length {
            let length = end.next_multiple_of(GROWTH);
            write_zeros(&self.file, self.length, length)?;
            self.length = length;
        }
        write_all(&self.file, &self.pending, self.end)?;
        self.end = end;
        self.pending.clear();
        self.dirty = true;
        Ok(())
    }
}

/// Reads tiles, and looks up hashes for proofs.
#[derive(Debug)]
pub struct TileReader<'s, S: Storage> {
    storage: &'s S,
    size: u64,
    files: [OnceCell<S::File>; LEVELS as usize],
}

impl<'s, S: Storage> TileReader<'s, S> {
    /// Reads the tiles of the first `size` records.
    pub fn new(storage: &'s S, size: u64) -> Self {
        Self { storage, size, files: Default::default() }
    }

    /// The hashes of a tile, one behind the other; [`LedgerError::NoTile`] where the records have no such tile.
    pub fn tile(&self, name: &TileName) -> Result<Vec<u8>, LedgerError> {
        match name.kind {
            TileKind::Hashes(level) if name.exists_at(self.size) => self.hashes(level, name.index * WIDTH, name.width),
            _ => Err(LedgerError::NoTile(name.to_string())),
        }
    }

    /// `count` hashes of a level, from `first` on.
    fn hashes(&self, level: u32, first: u64, count: u64) -> Result<Vec<u8>, LedgerError> {
        let name = file_name(level);
        let missing = || LedgerError::NoTile(format!("{level}, hash {first}"));
        let cell = self.files.get(level as usize).ok_or_else(missing)?;
        let file = if let Some(file) = cell.get() {
            file
        } else {
            let opened = self.storage.open_to_read(&name).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => missing(),
                _ => LedgerError::disk("open", &name)(error),
            })?;
            cell.get_or_init(|| opened)
        };
        let mut hashes = vec![0; usize::try_from(count * LENGTH).unwrap_or_default()];
        let read = read_full(file, &mut hashes, first * LENGTH).map_err(LedgerError::disk("read", &name))?;
        if read == hashes.len() { Ok(hashes) } else { Err(missing()) }
    }
}

impl<S: Storage> Nodes for TileReader<'_, S> {
    type Error = LedgerError;

    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError> {
        let (level, above) = (height / HEIGHT, height % HEIGHT);
        let hashes = self.hashes(level, index << above, 1 << above)?;
        let mut row: Vec<Hash> = hashes.as_chunks().0.iter().map(|hash| Hash::from(*hash)).collect();
        while row.len() > 1 {
            row = row.as_chunks().0.iter().map(|[left, right]| Hash::node(*left, *right)).collect();
        }
        row.first().copied().ok_or_else(|| LedgerError::NoTile(format!("{level}, hash {index}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::proof::{is_consistent, is_included};
    use crate::ledger::storage::DiskStorage;

    fn leaf(index: u64) -> Hash {
        Hash::leaf(&index.to_be_bytes())
    }

    fn root(size: u64) -> Hash {
        let mut tree = Tree::default();
        (0..size).for_each(|index| tree.push(leaf(index)));
        tree.root()
    }

    /// The tiles of so many records, written in steps by one writer after another.
    fn written(folder: &tempfile::TempDir, sizes: &[u64]) -> DiskStorage {
        let storage = DiskStorage::at(folder.path());
        let mut written = 0;
        for size in sizes {
            let mut writer = TileWriter::open(storage.clone(), written, root(written)).unwrap().unwrap();
            (written..*size).for_each(|index| writer.push(leaf(index)).unwrap());
            writer.flush().unwrap();
            writer.sync().unwrap();
            written = *size;
        }
        storage
    }

    #[test]
    fn proofs_from_tiles_hold_at_every_size_around_the_borders_of_tiles() {
        let folder = tempfile::tempdir().unwrap();
        let storage = written(&folder, &[3, 255, 256, 600, 66_000]);
        let mut tree = Tree::default();
        let mut roots = vec![tree.root()];
        for index in 0..66_000 {
            tree.push(leaf(index));
            roots.push(tree.root());
        }
        for size in [1, 2, 3, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, 65_792, 66_000] {
            let tiles = TileReader::new(&storage, size);
            let root = tiles.root(size).unwrap();
            assert_eq!(root, roots[usize::try_from(size).unwrap()], "{size}");
            for index in [0, 1, 254, 255, 256, 300, 65_535, 65_536, size - 1].into_iter().filter(|index| *index < size)
            {
                let proof = tiles.prove_inclusion(index, size).unwrap();
                assert!(is_included(leaf(index), index, size, root, &proof), "{index} of {size}");
            }
            for from in [1, 2, 200, 256, 257, 65_536, size].into_iter().filter(|from| *from <= size) {
                let proof = tiles.prove_consistency(from, size).unwrap();
                assert!(
                    is_consistent(from, roots[usize::try_from(from).unwrap()], size, root, &proof),
                    "{from}, {size}"
                );
            }
        }
    }

    #[test]
    fn hashes_that_readers_would_not_find_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let storage = written(&folder, &[300]);
        let (file, away) = (folder.path().join("tiles-0"), folder.path().join("away"));
        for replace in [|_: &std::path::Path| (), |file: &std::path::Path| std::fs::write(file, "").unwrap()] {
            let mut writer = TileWriter::open(storage.clone(), 300, root(300)).unwrap().unwrap();
            std::fs::rename(&file, &away).unwrap();
            replace(&file);
            writer.push(leaf(300)).unwrap();
            writer.flush().unwrap();
            assert!(writer.sync().unwrap_err().to_string().contains("`tiles-0`"));
            std::fs::rename(&away, &file).unwrap();
            writer.sync().unwrap();
        }
    }

    #[test]
    fn tiles_hold_what_the_specification_says_and_no_more_than_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let storage = written(&folder, &[600]);
        let tiles = TileReader::new(&storage, 599);
        let tile = |text: &str| tiles.tile(&text.parse().unwrap());
        let second: Vec<u8> = (256..512).flat_map(|index| *leaf(index).as_bytes()).collect();
        assert_eq!(tile("0/001").unwrap(), second);
        assert_eq!(tile("0/001.p/3").unwrap(), second[..96]);
        let mut first = Tree::default();
        (0..256).for_each(|index| first.push(leaf(index)));
        assert_eq!(tile("1/000.p/1").unwrap(), first.root().as_bytes());
        for absent in ["0/002", "0/002.p/88", "1/000.p/3", "1/000", "2/000.p/1", "entries/000"] {
            assert!(matches!(tile(absent), Err(LedgerError::NoTile(_))), "{absent}");
        }
        assert_eq!(tile("0/002.p/87").unwrap().len(), 87 * 32);
    }

    #[test]
    fn a_writer_does_not_go_on_behind_tiles_that_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let storage = written(&folder, &[300]);
        let open = |size, of| TileWriter::open(storage.clone(), size, root(of)).unwrap();
        assert!(open(300, 300).is_some() && open(256, 256).is_some());
        assert!(open(301, 301).is_none() && open(300, 299).is_none() && open(100_000, 300).is_none());
        storage.remove("tiles-1").unwrap();
        assert!(open(300, 300).is_none());
    }
}
