//! More than 65,536 records, whose tiles have three levels.

use std::fs;

use acgs::ledger::{Batch, CheckpointFile, DiskStorage, InclusionProof, Ledger, Options, SegmentSize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::case::{Case, Files, Kept, files};
use super::format::{Hash, Tree, leaf, node};
use super::tiles;
use crate::audit;
use crate::harness::Setup;

const RECORDS: u64 = 70_500;

fn long_log(setup: &Setup) {
    fs::create_dir_all(setup.data_dir()).unwrap();
    let storage = DiskStorage::create(setup.data_dir().join("audit")).unwrap();
    let options = Options { segment_size: SegmentSize::new(2 << 20).unwrap() };
    let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
    // As a first start creates it.
    CheckpointFile::open(&storage).unwrap();
    let mut batch = Batch::default();
    for index in 0..RECORDS {
        batch.push(format!(r#"{{"v":1,"id":"{index}","kind":"x","caller":"y"}}"#).as_bytes()).unwrap();
        if batch.count() == 1_000 || index + 1 == RECORDS {
            ledger.append(&batch).unwrap();
            batch.clear();
        }
    }
}

/// The root of a tree that a proof leads to (RFC 9162, section 2.1.3.2).
fn root(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Hash {
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if place % 2 == 1 || place == last {
            hash = node(sibling, &hash);
            while place.is_multiple_of(2) && place > 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (place, last) = (place / 2, last / 2);
    }
    assert_eq!(last, 0, "the proof is too short");
    hash
}

/// Proofs of a running daemon lead from the records to the root that they make.
fn proofs_are_right(case: &Case) {
    let daemon = case.setup.start();
    // Its own first record is proven under a checkpoint that comes after all tiles.
    let newest = daemon.get(&format!("/v1/audit/entries/{}/proof", Kept::newest(&case.setup).checkpoint.size));
    assert_eq!(newest.status, 200, "{newest}");
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_537, 70_000, RECORDS - 1] {
        let record = daemon.get(&format!("/v1/audit/entries/{index}"));
        let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof"));
        let proof: InclusionProof = proof.text().parse().unwrap();
        let kept = Kept::read(proof.note.to_string());
        let path: Vec<Hash> = proof.path.iter().map(|hash| *hash.as_bytes()).collect();
        let found = root(leaf(&record.body), index, kept.checkpoint.size, &path);
        assert_eq!(kept.checkpoint.root, found.into(), "record {index}");
    }
    let newest = Kept::newest(&case.setup).checkpoint;
    let mut tree = Tree::default();
    for record in acgs::ledger::records(&case.storage(), 0..newest.size) {
        tree.push(&record.unwrap().1);
    }
    assert_eq!(newest.root, tree.root().into(), "the proofs lead to a root that is not the records'");
    let consistency = daemon.get("/v1/audit/consistency?from=65536&to=70000").json();
    let proof: Vec<Hash> = serde_json::from_value::<Vec<String>>(consistency["proof"].clone())
        .unwrap()
        .iter()
        .map(|hash| STANDARD.decode(hash).unwrap().try_into().unwrap())
        .collect();
    // The tree of 65,536 records is the left half of the other one, whose right half is all the proof has.
    let mut trees = (Tree::default(), Tree::default());
    for record in acgs::ledger::records(&case.storage(), 0..70_000) {
        let (index, record) = record.unwrap();
        if index < 65_536 { trees.0.push(&record) } else { trees.1.push(&record) }
    }
    assert!(trees.0.root() != trees.1.root() && proof == [trees.1.root()]);
    assert!(daemon.stop().success());
}

fn remove_tiles(case: &Case, levels: &[u32]) {
    for level in levels {
        fs::remove_file(case.file(&format!("tiles-{level}"))).unwrap();
    }
}

#[test]
fn tiles_of_three_levels_are_checked_and_made_again() {
    let setup = audit::setup().in_files();
    long_log(&setup);
    assert!(setup.start().stop().success());
    let original: Files = files(&setup.data_dir());
    let kept = Kept::newest(&setup);
    // A proof waits until all tiles are made again.
    let case = Case::of(audit::setup().in_files().set("http.request_timeout_ms", 20_000), &original);
    let size = kept.checkpoint.size;
    tiles::are_right(&case, size);
    let kept = std::slice::from_ref(&kept);
    for (level, byte, tile) in [
        (0, 40_000 * 32, "0/156"),
        (0, 65_536 * 32, "0/256"),
        (1, 100 * 32, "1/000"),
        (1, 260 * 32, "1/001.p/19"),
        (2, 5, "2/000.p/1"),
    ] {
        case.edit(&format!("tiles-{level}"), |bytes| bytes[byte] ^= 16);
        case.verify().is_false(tile, &format!("the tile `{tile}` is not that of the records"));
        case.put(&original);
    }
    for levels in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        remove_tiles(&case, levels);
        case.verify_from(kept, &[]).is_sound("tiles are gone");
        let errors = case.goes_on("tiles are gone");
        assert!(errors.contains("they are made again"), "{levels:?}: {errors}");
        tiles::are_right(&case, Kept::newest(&case.setup).checkpoint.size);
        case.verify_from(kept, &[]).is_sound("tiles were made again");
    }
    remove_tiles(&case, &[0, 1, 2]);
    proofs_are_right(&case);
    case.verify_from(kept, &[]).is_sound("proofs were right");
}
