//! How tiles and entry bundles are named (C2SP tlog-tiles): `<L>/<N>[.p/<W>]` and `entries/<N>[.p/<W>]`.

use std::fmt;
use std::str::FromStr;

/// The most hashes of a tile, and the most records of an entry bundle.
pub const WIDTH: u64 = 256;
/// The heights of the tree that a tile spans.
pub(super) const HEIGHT: u32 = 8;
/// The levels that a tree of less than 2^64 records can have.
pub(super) const LEVELS: u32 = 8;

/// The kind of hashes in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Hashes of perfect subtrees of 256^level records.
    Hashes(u32),
    /// Records.
    Entries,
}

/// One tile or bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileName {
    /// The kind of its hashes.
    pub kind: TileKind,
    /// Which one it is of its level.
    pub index: u64,
    /// How many hashes or records it holds: 1 to 256.
    pub width: u64,
}

impl TileName {
    /// Whether the tile exists in a log of `size` records.
    #[must_use]
    pub fn exists_at(&self, size: u64) -> bool {
        let level = match self.kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        };
        let hashes = size.checked_shr(level * HEIGHT).unwrap_or_default();
        self.index.checked_mul(WIDTH).and_then(|first| first.checked_add(self.width)).is_some_and(|end| end <= hashes)
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "{level}/")?,
            TileKind::Entries => f.write_str("entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place == 0 { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// The text is not the name of a tile in the one form that the specification allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the name of a tile")]
pub struct NoTile;

impl FromStr for TileName {
    type Err = NoTile;

    fn from_str(text: &str) -> Result<Self, NoTile> {
        let (kind, rest) = text.split_once('/').ok_or(NoTile)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level < LEVELS).ok_or(NoTile)?),
        };
        let (path, width) = match rest.split_once(".p/") {
            Some((path, width)) => (path, width.parse().ok().filter(|width| (1..WIDTH).contains(width)).ok_or(NoTile)?),
            None => (rest, WIDTH),
        };
        let digits = path.replace(['/', 'x'], "");
        let index = digits.parse().map_err(|_| NoTile)?;
        let name = Self { kind, index, width };
        // Each name has one form, so a text that is displayed differently is invalid.
        if name.to_string() == text { Ok(name) } else { Err(NoTile) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        let hashes = |level, index, width| TileName { kind: TileKind::Hashes(level), index, width };
        for (name, text) in [
            (hashes(0, 0, 256), "0/000"),
            (hashes(2, 1_234_067, 256), "2/x001/x234/067"),
            (hashes(1, 273, 112), "1/273.p/112"),
            (TileName { kind: TileKind::Entries, index: 1000, width: 1 }, "entries/x001/000.p/1"),
        ] {
            assert_eq!((name.to_string().as_str(), text.parse()), (text, Ok(name)));
        }
        for text in [
            "",
            "0",
            "0/",
            "0/0",
            "0/0000",
            "00/000",
            "8/000",
            "-1/000",
            "0/x000/001",
            "0/001/002",
            "0/x1/002",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/+00",
            "entries/",
            "Entries/000",
            "0/000/",
            "0//000",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(text.parse::<TileName>(), Err(NoTile), "{text}");
        }
    }

    #[test]
    fn a_log_of_70000_has_the_tiles_that_the_specification_says() {
        let hashes = |level, index, width| TileName { kind: TileKind::Hashes(level), index, width }.exists_at(70_000);
        assert!(hashes(0, 272, 256) && hashes(0, 273, 112) && !hashes(0, 273, 113) && !hashes(0, 274, 1));
        assert!(hashes(1, 0, 256) && hashes(1, 1, 17) && !hashes(1, 1, 18));
        assert!(hashes(2, 0, 1) && !hashes(2, 0, 2) && !hashes(7, 0, 1) && !hashes(0, u64::MAX, 256));
    }
}
