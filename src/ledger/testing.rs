//! What tests of several files need.

use super::{Hash, Storage, TileWriter, records};

/// Writes the tiles of all records.
pub fn write_tiles<S: Storage + Clone>(storage: &S) {
    let mut tiles = TileWriter::create(storage.clone()).unwrap();
    let mut found = records(storage, 0..u64::MAX);
    while let Some((_, record)) = found.advance().unwrap() {
        tiles.push(Hash::leaf(record)).unwrap();
    }
    tiles.flush().unwrap();
    tiles.sync().unwrap();
}

/// Always time to go on.
pub fn no_hurry() -> bool {
    true
}
