//! Proofs against each other, and against the vectors of transparency-dev/merkle.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;
use crate::ledger::Tree;

/// A tree in memory: its leaves.
struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    type Error = Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Hash, Infallible> {
        let first = usize::try_from(index << height).unwrap();
        let mut tree = Tree::default();
        self.0[first..first + (1 << height)].iter().for_each(|leaf| tree.push(*leaf));
        Ok(tree.root())
    }
}

fn leaves(count: u64) -> Leaves {
    Leaves((0..count).map(|n| Hash::leaf(&n.to_be_bytes())).collect())
}

#[test]
fn every_record_of_every_small_tree_is_proven_and_no_other() {
    let log = leaves(70);
    for size in 1..=70 {
        let Ok(root) = log.root(size);
        for (index, leaf) in (0..size).zip(&log.0) {
            let Ok(proof) = log.prove_inclusion(index, size);
            assert!(is_included(*leaf, index, size, root, &proof), "{index} of {size}");
            assert!(!is_included(Hash::leaf(b"other"), index, size, root, &proof));
            assert!(!is_included(*leaf, index + 1, size, root, &proof));
            assert!(!is_included(*leaf, size, size, root, &proof));
            let longer = [proof.as_slice(), &[root]].concat();
            assert!(!is_included(*leaf, index, size, root, &longer));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!is_included(*leaf, index, size, root, shorter));
            }
        }
    }
}

#[test]
fn every_small_tree_is_proven_to_continue_every_smaller_one() {
    let log = leaves(70);
    for to in 0..=70 {
        let Ok(to_root) = log.root(to);
        for from in 1..=to {
            let Ok(from_root) = log.root(from);
            let Ok(proof) = log.prove_consistency(from, to);
            assert!(is_consistent(from, from_root, to, to_root, &proof), "{from} of {to}");
            let other = Hash::leaf(b"other");
            assert!(!is_consistent(from, other, to, to_root, &proof));
            assert!(!is_consistent(from, from_root, to, other, &proof), "{from} of {to}");
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!is_consistent(from, from_root, to, to_root, shorter));
            }
        }
    }
}

#[test]
fn the_vectors_of_transparency_dev_are_judged_as_they_say() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/transparency-dev-merkle/testdata");
    let (mut judged, mut wrong) = (0, Vec::new());
    for path in files(&vectors) {
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = vector["wantErr"] != true;
        if judge(&path, &vector) != expected {
            wrong.push(format!("{}: {}", path.display(), vector["desc"]));
        }
        judged += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    match judged {
        0 => println!("skipped: no vectors in {}", vectors.display()),
        judged => assert!(judged >= 518, "{judged}"),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { files(&path) } else { vec![path] }
    });
    found.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect()
}

/// The result of our verifier for a vector. Malformed hashes prove nothing, except where two equal roots are compared.
fn judge(path: &Path, vector: &Value) -> bool {
    let number = |member: &str| vector[member].as_u64().unwrap_or_default();
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    let exact = |value: &Value| <[u8; 32]>::try_from(bytes(value)).ok().map(Hash::from);
    let root = |member: &str| exact(&vector[member]).unwrap_or_else(|| Hash::leaf(&bytes(&vector[member])));
    let proof = vector["proof"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(proof) = proof.iter().map(exact).collect::<Option<Vec<_>>>() else { return false };
    let is = |kind: &str| path.components().any(|part| part.as_os_str() == kind);
    let part = number("start")..number("end");
    if is("inclusion") || is("subtreeinclusion") {
        let (Some(leaf), Some(root)) = (exact(&vector["leafHash"]), exact(&vector["root"])) else { return false };
        let index = number("leafIdx");
        if is("inclusion") {
            is_included(leaf, index, number("treeSize"), root, &proof)
        } else {
            is_in_subtree(leaf, index, part, root, &proof)
        }
    } else if is("consistency") {
        is_consistent(number("size1"), root("root1"), number("size2"), root("root2"), &proof)
    } else {
        is_subtree_of(part, root("root1"), number("size"), root("root2"), &proof)
    }
}
