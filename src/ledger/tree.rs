//! The Merkle tree of RFC 6962, kept as its peaks: enough to append and to know the root.

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, a node, a root or a frame. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash([u8; Hash::LEN]);

impl Hash {
    /// Its length in bytes.
    pub const LEN: usize = 32;

    /// The hash over the parts, one after the other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The hash of a leaf with this content: `SHA-256(0x00 ‖ record)` (RFC 6962, section 2.1).
    #[must_use]
    pub fn leaf(record: &[u8]) -> Self {
        Self::of(&[&[0], record])
    }

    /// The hash of the node above two others: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962, section 2.1).
    #[must_use]
    pub fn node(left: Self, right: Self) -> Self {
        // One update: three short ones cost noticeably more than hashing 65 bytes does.
        let mut bytes = [1; 1 + 2 * Self::LEN];
        let (_, hashes) = bytes.split_at_mut(1);
        let (first, second) = hashes.split_at_mut(Self::LEN);
        first.copy_from_slice(&left.0);
        second.copy_from_slice(&right.0);
        Self::of(&[&bytes])
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl From<[u8; Hash::LEN]> for Hash {
    fn from(bytes: [u8; Hash::LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A tree that only grows: its size and the roots of its perfect subtrees, the largest (leftmost) first.
// INVARIANT: there are as many peaks as the size has bits set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The most peaks a tree may have.
    pub const MAX_PEAKS: usize = 64;

    /// The tree with this many leaves and these peaks; `None` if their number does not fit the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == Self::peak_count(size)).then_some(Self { size, peaks })
    }

    /// How many peaks a tree of this size has.
    #[must_use]
    pub const fn peak_count(size: u64) -> usize {
        size.count_ones() as usize
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.grow(leaf, |_, _| {});
    }

    /// Appends a leaf by its hash, and reports the perfect subtrees that this completes: their heights, from 0 for the
    /// leaf itself, and hashes.
    pub(super) fn grow(&mut self, leaf: Hash, mut complete: impl FnMut(u32, Hash)) {
        let mut node = leaf;
        complete(0, node);
        for height in 1..=self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = Hash::node(left, node);
                complete(height, node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The tree's root; for the empty tree `SHA-256("")`.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.peaks.iter().rev().copied();
        let Some(smallest) = smallest_first.next() else { return Hash::of(&[]) };
        smallest_first.fold(smallest, |right, left| Hash::node(left, right))
    }

    /// Becomes a copy of the other without giving up its own memory.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.size = other.size;
        self.peaks.clone_from(&other.peaks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, section 2.1, word by word.
    fn naive_root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [one] => Hash::of(&[&[0], one]),
            many => {
                let left = many.len().next_power_of_two() / 2;
                let (left, right) = many.split_at(left);
                Hash::of(&[&[1], naive_root(left).as_bytes(), naive_root(right).as_bytes()])
            }
        }
    }

    #[test]
    fn the_root_is_that_of_rfc_6962_at_every_size() {
        let leaves: Vec<Vec<u8>> = (0..150_u8).map(|n| vec![n; usize::from(n)]).collect();
        let mut tree = Tree::default();
        for size in 0..=leaves.len() {
            assert_eq!(tree.root(), naive_root(&leaves[..size]), "size {size}");
            assert_eq!(tree.peaks().len(), Tree::peak_count(size as u64));
            if let Some(leaf) = leaves.get(size) {
                tree.push(Hash::leaf(leaf));
            }
        }
    }

    #[test]
    fn a_tree_goes_on_from_its_peaks() {
        let mut whole = Tree::default();
        for n in 0..100_u8 {
            whole.push(Hash::leaf(&[n]));
            let mut resumed = Tree::from_peaks(whole.size(), whole.peaks().to_vec()).unwrap();
            resumed.push(Hash::leaf(b"next"));
            let mut longer = whole.clone();
            longer.push(Hash::leaf(b"next"));
            assert_eq!(resumed.root(), longer.root());
        }
    }

    #[test]
    fn peaks_that_do_not_fit_the_size_are_no_tree() {
        assert_eq!(Tree::from_peaks(3, vec![Hash::default()]), None);
        assert_eq!(Tree::from_peaks(4, vec![Hash::default(); 3]), None);
    }
}
