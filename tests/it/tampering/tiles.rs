//! Tiles that are changed, and tiles that are gone: auditors get them, but they can be made again from the records.

use std::fs;

use acgs::ledger::{DiskStorage, records};

use super::case::{Case, Original};
use super::format::{Hash, leaf, node};

/// The levels of tiles, from the records.
pub fn levels(storage: &DiskStorage, size: u64) -> Vec<Vec<Hash>> {
    let mut levels = vec![records(storage, 0..size).map(|record| leaf(&record.unwrap().1)).collect::<Vec<Hash>>()];
    while levels.last().unwrap().len() >= 256 {
        let above = levels.last().unwrap().chunks_exact(256).map(|tile| {
            let mut row = tile.to_vec();
            while row.len() > 1 {
                row = row.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect();
            }
            row[0]
        });
        levels.push(above.collect());
    }
    levels
}

/// The tiles on disk must be those of the records.
#[track_caller]
pub fn are_right(case: &Case, size: u64) {
    for (level, hashes) in levels(&case.storage(), size).iter().enumerate() {
        let bytes = fs::read(case.file(&format!("tiles-{level}"))).unwrap();
        assert!(bytes.starts_with(hashes.as_flattened()), "level {level}");
    }
}

#[test]
fn a_changed_tile_is_found_out_and_one_that_was_taken_away_is_made_again() {
    let (case, log) = (Case::new(), Original::get().log());
    let size = log.size();
    are_right(&case, size);
    let partial = size / 256;
    let last = usize::try_from(size).unwrap() * 32 - 1;
    let width = size % 256;
    for (level, byte, tile, index) in [
        (0, 0, "0/000".to_owned(), 255),
        (0, 100 * 32, "0/000".to_owned(), 255),
        (0, 256 * 32 - 1, "0/000".to_owned(), 255),
        (0, 300 * 32, "0/001".to_owned(), 511),
        (0, last, format!("0/{partial:03}.p/{width}"), size - 1),
        (1, 0, format!("1/000.p/{partial}"), size - 1),
        (1, 63, format!("1/000.p/{partial}"), size - 1),
    ] {
        let what = format!("byte {byte} of level {level}");
        case.edit(&format!("tiles-{level}"), |bytes| bytes[byte] ^= 1);
        let found = case.verify();
        found.is_false_from(&what, log.frame_of(index));
        found.is_false(&what, &format!("the tile `{tile}` is not that of the records"));
        let errors = case.goes_on(&what);
        // A start looks at the tiles that the root is made of.
        if errors.contains("tiles are missing or damaged: they are made again") {
            assert!(level == 1 || byte == last, "{what}");
        } else {
            case.verify().is_false(&what, "the tile `0/00");
            fs::remove_file(case.file("tiles-0")).unwrap();
            case.verify().is_sound(&what);
            case.goes_on(&what);
        }
        case.verify().is_sound(&what);
        are_right(&case, size);
        case.put(&Original::get().files);
    }
}

#[test]
fn tiles_behind_the_signed_records_mean_nothing() {
    let (case, size) = (Case::new(), Original::get().log().size());
    let behind = usize::try_from(size).unwrap() * 32;
    case.edit("tiles-0", |bytes| bytes[behind..behind + 64].fill(7));
    case.verify().is_sound("bytes behind the tiles");
    case.goes_on("bytes behind the tiles");
    case.verify().is_sound("bytes behind the tiles");
    are_right(&case, size);
}

#[test]
fn a_changed_tile_is_told_from_afar() {
    let (case, original) = (Case::new(), Original::get());
    case.edit("tiles-0", |bytes| bytes[700] ^= 1);
    let daemon = case.setup.start();
    let url = format!("http://{}", daemon.address());
    let found = case.verify_from(&original.kept, &["--url", &url, "--vkey", &original.vkey]);
    found.is_false_from("a changed tile", 255);
    fs::remove_file(case.file("tiles-0")).unwrap();
    assert!(daemon.stop().success());
    let daemon = case.setup.start();
    let url = format!("http://{}", daemon.address());
    // Its record of the start is proven under a checkpoint that comes after the tiles.
    let log = super::format::Log::read(&super::case::segments(&super::case::files(&case.setup.data_dir())));
    let proof = format!("/v1/audit/entries/{}/proof", log.size() - 1);
    assert_eq!(daemon.get(&proof).status, 200);
    let found = case.verify_from(&original.kept, &["--url", &url, "--vkey", &original.vkey]);
    found.is_sound("tiles made again");
}

#[test]
fn tiles_that_are_gone_are_no_fault_and_are_made_again() {
    let (case, size) = (Case::new(), Original::get().log().size());
    let gone: [(&str, &dyn Fn()); 5] = [
        ("level 0", &|| fs::remove_file(case.file("tiles-0")).unwrap()),
        ("level 1", &|| fs::remove_file(case.file("tiles-1")).unwrap()),
        ("both levels", &|| {
            fs::remove_file(case.file("tiles-0")).unwrap();
            fs::remove_file(case.file("tiles-1")).unwrap();
        }),
        ("half of level 0", &|| case.edit("tiles-0", |bytes| bytes.truncate(300 * 32 + 5))),
        ("all of level 1, but for its file", &|| case.edit("tiles-1", Vec::clear)),
    ];
    for (what, remove) in gone {
        remove();
        case.verify().is_sound(what);
        let errors = case.goes_on(what);
        assert!(errors.contains("they are made again"), "{what}: {errors}");
        case.verify_from(&Original::get().kept, &[]).is_sound(what);
        are_right(&case, size);
        case.put(&Original::get().files);
    }
}

#[test]
fn tiles_are_not_made_again_from_records_that_were_changed() {
    let (case, original) = (Case::new(), Original::get());
    let mut log = original.log();
    let record = &mut log.0[0].frames[9].records[0];
    let last = record.len() - 2;
    record[last] ^= 1;
    let changed = log.0[0].frames[9].first;
    case.put_log(&log);
    case.goes_on("with tiles, a start reads only the last segment");
    case.verify().is_false_from("a changed record", changed);
    fs::remove_file(case.file("tiles-0")).unwrap();
    case.is_refused("without tiles, a start reads all records");
    case.verify().is_false_from("a changed record", changed);
}
