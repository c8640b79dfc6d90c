//! Merkle proofs: that a record is in a tree (RFC 6962, section 2.1.1), and that one tree continues another (2.1.2).
//!
//! Making a proof needs the hashes of perfect subtrees, which the caller looks up. Checking one needs only the proof.
//! The checks also accept subtrees, which begin at any multiple of the power of two that holds them
//! (draft-ietf-plants-merkle-tree-certs, section 4); a whole tree is the subtree that begins with record 0.

use std::ops::Range;

use super::tree::Hash;

/// The most hashes of a proof.
pub const MAX_PROOF: usize = 64;

/// Looks up the hash of a perfect subtree: the one with 2^`height` records, the first of them at `index` × 2^`height`.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;

    /// The subtree's hash.
    fn node(&self, height: u32, index: u64) -> Result<Hash, Self::Error>;

    /// The root of the tree of the first `size` records.
    fn root(&self, size: u64) -> Result<Hash, Self::Error> {
        if size == 0 { Ok(Hash::of(&[])) } else { self.subtree(0..size) }
    }

    /// The roots of the perfect subtrees that the tree of `size` records consists of, the largest first.
    fn peaks(&self, size: u64) -> Result<Vec<Hash>, Self::Error> {
        perfect(0..size).map(|(height, index)| self.node(height, index)).collect()
    }

    /// The path from a record up to the root of the tree of `size` records, its sibling first.
    ///
    /// Empty where the record is not in the tree.
    fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Self::Error> {
        let mut siblings = Vec::new();
        let (mut start, mut end) = (0, size);
        while index < size && end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                siblings.push(middle..end);
                end = middle;
            } else {
                siblings.push(start..middle);
                start = middle;
            }
        }
        siblings.into_iter().rev().map(|range| self.subtree(range)).collect()
    }

    /// The proof that the tree of `to` records continues that of the first `from`.
    ///
    /// Empty if there is nothing to prove: `from` is 0, or not less than `to`.
    fn prove_consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, Self::Error> {
        if from == 0 || from >= to {
            return Ok(Vec::new());
        }
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, to);
        while from < end {
            let middle = start + split(end - start);
            if from <= middle {
                parts.push(middle..end);
                end = middle;
            } else {
                parts.push(start..middle);
                start = middle;
            }
        }
        // The old tree is one perfect subtree of the new one: the verifier knows its hash already.
        if start > 0 {
            parts.push(start..end);
        }
        parts.into_iter().rev().map(|range| self.subtree(range)).collect()
    }

    /// The hash of a subtree that begins at a multiple of its size, rounded up to a power of two.
    fn subtree(&self, range: Range<u64>) -> Result<Hash, Self::Error> {
        let mut smallest_first: Vec<_> = perfect(range).collect();
        smallest_first.reverse();
        let mut hash = None;
        for (height, index) in smallest_first {
            let left = self.node(height, index)?;
            hash = Some(hash.map_or(left, |right| Hash::node(left, right)));
        }
        Ok(hash.unwrap_or_else(|| Hash::of(&[])))
    }
}

/// The perfect subtrees that a range consists of, the largest first, as height and index.
fn perfect(range: Range<u64>) -> impl Iterator<Item = (u32, u64)> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let height = (range.end - start).checked_ilog2()?;
        let index = start >> height;
        start += 1 << height;
        Some((height, index))
    })
}

/// The largest power of two less than `size`, which is 2 or more.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Verifies an inclusion proof, such as by [`Nodes::prove_inclusion`], for the record `index` of a tree.
#[must_use]
pub fn is_included(leaf: Hash, index: u64, size: u64, root: Hash, proof: &[Hash]) -> bool {
    is_in_subtree(leaf, index, 0..size, root, proof)
}

/// Whether it is proven that the tree of `to` records with one root continues the tree of `from` with the other.
///
/// Of the empty tree nothing can be proven, as every tree continues it.
#[must_use]
pub fn is_consistent(from: u64, from_root: Hash, to: u64, to_root: Hash, proof: &[Hash]) -> bool {
    from > 0 && is_subtree_of(0..from, from_root, to, to_root, proof)
}

/// Whether the leaf is proven to be the record `index` of the log, in the subtree of these records.
#[must_use]
pub fn is_in_subtree(leaf: Hash, index: u64, subtree: Range<u64>, root: Hash, proof: &[Hash]) -> bool {
    if !is_subtree(&subtree) || !subtree.contains(&index) {
        return false;
    }
    let (mut at, mut last) = (index - subtree.start, subtree.end - subtree.start - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(*sibling, hash);
            while at & 1 == 0 && at > 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = Hash::node(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Whether the subtree of these records is proven to be part of the tree of `size` records.
#[must_use]
pub fn is_subtree_of(subtree: Range<u64>, hash: Hash, size: u64, root: Hash, proof: &[Hash]) -> bool {
    if subtree.is_empty() {
        // Part of every tree: there is nothing that could differ.
        return subtree.end <= size && proof.is_empty() && hash == Hash::of(&[]);
    }
    if !is_subtree(&subtree) || subtree.end > size {
        return false;
    }
    let (mut first, mut last, mut tree) = (subtree.start, subtree.end - 1, size - 1);
    while first != last && (last == tree || last & 1 == 1) {
        (first, last, tree) = (first >> 1, last >> 1, tree >> 1);
    }
    if last == tree && first != last {
        return false;
    }
    let mut proof = proof.iter().copied();
    let Some(begin) = (if first == last { Some(hash) } else { proof.next() }) else { return false };
    let (mut of_subtree, mut of_tree) = (begin, begin);
    for sibling in proof {
        if tree == 0 {
            return false;
        }
        if last & 1 == 1 || last == tree {
            if first < last {
                of_subtree = Hash::node(sibling, of_subtree);
            }
            of_tree = Hash::node(sibling, of_tree);
            while last & 1 == 0 && last > 0 {
                (first, last, tree) = (first >> 1, last >> 1, tree >> 1);
            }
        } else {
            of_tree = Hash::node(of_tree, sibling);
        }
        (first, last, tree) = (first >> 1, last >> 1, tree >> 1);
    }
    tree == 0 && of_subtree == hash && of_tree == root
}

/// Whether it begins at a multiple of its size, rounded up to a power of two, and is not empty.
fn is_subtree(range: &Range<u64>) -> bool {
    let size = range.end.saturating_sub(range.start);
    size > 0 && size.checked_next_power_of_two().is_some_and(|size| range.start.is_multiple_of(size))
}

#[cfg(test)]
mod tests;
