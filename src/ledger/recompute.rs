//! Recomputes a log's tree from its records, and compares it with claims about it.

use super::checkpoint::Checkpoint;
use super::fault::{Fault, LedgerError, Problem};
use super::storage::Storage;
use super::tile::{HEIGHT, LEVELS, TileKind, TileName, WIDTH};
use super::tiles::TileReader;
use super::tree::{Hash, Tree};
use super::whole::Assembly;

/// A source of the tiles that are to be compared.
pub trait TileSource {
    /// The hashes of a tile; [`LedgerError::NoTile`] if it is missing.
    fn tile(&self, name: &TileName) -> Result<Vec<u8>, LedgerError>;
}

impl<S: Storage> TileSource for TileReader<'_, S> {
    fn tile(&self, name: &TileName) -> Result<Vec<u8>, LedgerError> {
        Self::tile(self, name)
    }
}

/// The tree so far, and the claims that are still to be checked.
#[derive(Debug)]
pub struct Recomputed<T> {
    tree: Tree,
    /// Parts and shared members of the present frame.
    assembly: Assembly,
    /// In the order of their sizes, from the first one not reached.
    checkpoints: Vec<Checkpoint>,
    tiles: T,
    covered: u64,
    levels: [Row; LEVELS as usize],
}

/// The newest tile of a level, as far as it goes.
#[derive(Clone, Debug, Default)]
struct Row {
    index: u64,
    hashes: Vec<u8>,
}

/// The state before a frame.
pub(super) struct Mark {
    tree: Tree,
    assembly: Assembly,
    levels: [Row; LEVELS as usize],
}

impl<T: TileSource> Recomputed<T> {
    /// Begins with the empty tree. Claimed are the roots of checkpoints, and the tiles of the first `covered` records.
    pub fn new(checkpoints: &[Checkpoint], tiles: T, covered: u64) -> Self {
        let mut checkpoints = checkpoints.to_vec();
        checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        let (tree, assembly) = (Tree::default(), Assembly::default());
        Self { tree, assembly, checkpoints, tiles, covered, levels: Default::default() }
    }

    /// The tree of the records so far.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Begins the next frame: no record has parts, nor shared members, in another frame.
    pub(super) fn begin_frame(&mut self) -> Mark {
        self.assembly = Assembly::default();
        // The rows are short, since complete tiles were checked before.
        Mark { tree: self.tree.clone(), assembly: self.assembly.clone(), levels: self.levels.clone() }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.tree = mark.tree;
        self.assembly = mark.assembly;
        self.levels = mark.levels;
    }

    /// Takes the next record; an error is a claim that does not hold.
    pub fn push(&mut self, record: &[u8]) -> Result<(), Problem> {
        self.assembly.take(record)?;
        let mut rows = std::mem::take(&mut self.levels);
        self.tree.grow(Hash::leaf(record), |height, hash| {
            if let Some(row) = rows.get_mut((height / HEIGHT) as usize).filter(|_| height.is_multiple_of(HEIGHT)) {
                row.hashes.extend_from_slice(hash.as_bytes());
            }
        });
        self.levels = rows;
        let size = self.tree.size();
        if size.is_multiple_of(WIDTH) || size == self.covered {
            self.check_tiles()?;
        }
        while let Some(checkpoint) = self.checkpoints.first().filter(|checkpoint| checkpoint.size <= size) {
            if checkpoint.size == size && checkpoint.root != self.tree.root() {
                return Err(Problem::Checkpoint { size, root: checkpoint.root });
            }
            self.checkpoints.remove(0);
        }
        Ok(())
    }

    /// Compares the complete tiles, or the last ones that must exist.
    fn check_tiles(&mut self) -> Result<(), Problem> {
        let size = self.tree.size();
        for (level, row) in (0..).zip(&mut self.levels) {
            let width = (row.hashes.len() / Hash::LEN) as u64;
            if width == WIDTH || (size == self.covered && width > 0) {
                let name = TileName { kind: TileKind::Hashes(level), index: row.index, width };
                if name.exists_at(self.covered) {
                    match self.tiles.tile(&name) {
                        Ok(tile) if tile == row.hashes => {}
                        // Tiles that are not there are made again; wrong ones would be given to auditors.
                        Err(LedgerError::NoTile(_)) => {}
                        _ => return Err(Problem::Tile(name.to_string())),
                    }
                }
            }
            if width == WIDTH {
                row.index += 1;
                row.hashes.clear();
            }
        }
        Ok(())
    }

    /// The end of the log: a checkpoint of more records than there are is a fault.
    pub fn finish(&self) -> Result<(), LedgerError> {
        let index = self.tree.size();
        match self.checkpoints.last() {
            Some(last) if index > 0 || last.size > 0 => {
                let problem = Problem::RolledBack { size: last.size };
                Err(Fault { index, segment: "end".to_owned(), offset: 0, problem }.into())
            }
            _ => Ok(()),
        }
    }
}
