//! Archives of old records: changed, gone, with a gap, and at odds with the segments that are still there.

use std::io::{Read as _, Write as _};
use std::sync::OnceLock;
use std::time::Instant;
use std::{fs, ops::Range};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::case::{Case, Files, Kept, files, segments};
use super::format::Log;
use super::retention::old_log;
use crate::audit;
use crate::harness::PATIENCE;

/// A log whose oldest segments the daemon has moved into archives.
struct Archived {
    files: Files,
    kept: Kept,
}

impl Archived {
    fn get() -> &'static Self {
        static ARCHIVED: OnceLock<Archived> = OnceLock::new();
        ARCHIVED.get_or_init(|| {
            let setup = audit::setup().in_files().set("audit.retention_days", 1);
            old_log(&setup, 1_500);
            // Segments that are not signed and indexed when the daemon starts are archived by a later start.
            let since = Instant::now();
            loop {
                assert!(since.elapsed() < PATIENCE, "no segment was archived within {PATIENCE:?}");
                assert!(setup.start().stop().success());
                let archived = Self { files: files(&setup.data_dir()), kept: Kept::newest(&setup) };
                if archived.firsts().len() > 3 && archived.log().0[0].tree.size > 1_000 {
                    return archived;
                }
            }
        })
    }

    fn case(&self) -> Case {
        let case = Case::of(audit::setup().in_files(), &self.files);
        case.verify_from(std::slice::from_ref(&self.kept), &[]).is_sound("nothing was done");
        case
    }

    /// The records that the segments have.
    fn log(&self) -> Log {
        Log::read(&segments(&self.files))
    }

    /// The first records of the archives.
    fn firsts(&self) -> Vec<u64> {
        let names = self.files.keys().filter_map(|path| path.file_name()?.to_str());
        names.filter_map(|name| name.strip_prefix("archive-")?.strip_suffix(".gz")?.parse().ok()).collect()
    }
}

fn name(first: u64) -> String {
    format!("archive-{first:020}.gz")
}

/// The records of an archive, in bundles of 256.
type Bundles = Vec<Vec<Vec<u8>>>;
/// What is done to the records of an archive.
type Change = fn(&mut Bundles);
/// What is done to its bytes.
type Damage = fn(&mut Vec<u8>);

/// The bundles of an archive, as `src/ledger/archive.rs` documents it.
fn bundles(archive: &[u8]) -> Bundles {
    let count = usize::try_from(u32::from_be_bytes(archive[10..14].try_into().unwrap())).unwrap();
    let lengths = archive[22..22 + 4 * count].as_chunks::<4>().0;
    let mut rest = &archive[22 + 4 * count + 4..];
    let bundle = |length: &[u8; 4]| {
        let (compressed, more) = rest.split_at(u32::from_be_bytes(*length) as usize);
        rest = more;
        let mut bytes = Vec::new();
        GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
        let (mut records, mut left) = (Vec::new(), bytes.as_slice());
        while let Some((length, more)) = left.split_first_chunk::<2>() {
            let (record, more) = more.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            left = more;
        }
        records
    };
    lengths.iter().map(bundle).collect()
}

fn archive(first: u64, bundles: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let compress = |records: &Vec<Vec<u8>>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for record in records {
            encoder.write_all(&u16::try_from(record.len()).unwrap().to_be_bytes()).unwrap();
            encoder.write_all(record).unwrap();
        }
        encoder.finish().unwrap()
    };
    let compressed: Vec<Vec<u8>> = bundles.iter().map(compress).collect();
    let mut bytes = b"acgs-arc\0\x01".to_vec();
    bytes.extend(u32::try_from(compressed.len()).unwrap().to_be_bytes());
    bytes.extend(first.to_be_bytes());
    for one in &compressed {
        bytes.extend(u32::try_from(one.len()).unwrap().to_be_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes.extend(compressed.concat());
    bytes
}

/// Changes records in the archive that begins with one of them.
fn forge(case: &Case, first: u64, change: impl FnOnce(&mut Bundles)) {
    case.edit(&name(first), |bytes| {
        let mut found = bundles(bytes);
        change(&mut found);
        *bytes = archive(first, &found);
    });
}

/// Changes one record so that it says something else.
fn reword(record: &mut [u8]) {
    let last = record.len() - 3;
    record[last] ^= 1;
}

#[test]
fn an_archive_of_other_records_does_not_fit_tiles_and_checkpoint() {
    let archived = Archived::get();
    let case = archived.case();
    let first_segment = archived.log().0[0].tree.size;
    let firsts = archived.firsts();
    let changes: [(&str, u64, Change); 4] = [
        ("a changed record", 0, |bundles| reword(&mut bundles[0][3])),
        ("records in another order", 0, |bundles| bundles[0].swap(10, 200)),
        ("a record in the place of another", firsts[1], |bundles| bundles[0][7] = bundles[0][8].clone()),
        ("a changed record at the end", firsts[1], |bundles| reword(bundles.last_mut().unwrap().last_mut().unwrap())),
    ];
    for (what, first, change) in changes {
        forge(&case, first, change);
        let found = case.verify();
        // A tile is compared when its last leaf is there.
        let bundle = found.text.split("record `").nth(1).and_then(|text| text.split('`').next()).unwrap();
        let index: u64 = bundle.parse().unwrap();
        assert!(index % 256 == 255 && index >= first && index < first_segment + 256, "{what}: {}", found.text);
        found.is_false(what, "is not that of the records");
        case.goes_on(what);
        case.verify().is_false_from(what, index);
        // Without its tile, the first segment says what tree it continues.
        fs::remove_file(case.file("tiles-0")).unwrap();
        fs::remove_file(case.file("tiles-1")).unwrap();
        case.verify().is_false_from(what, first_segment);
        case.is_refused(what);
        case.put(&archived.files);
    }
}

#[test]
fn archive_and_segments_that_were_written_anew_do_not_fit_the_checkpoint() {
    let archived = Archived::get();
    let case = archived.case();
    forge(&case, 0, |bundles| reword(&mut bundles[0][3]));
    let storage = case.storage();
    let mut log = archived.log();
    let mut tree = super::format::Tree::default();
    for record in acgs::ledger::records(&storage, 0..log.0[0].tree.size) {
        tree.push(&record.unwrap().1);
    }
    log.0[0].tree = tree;
    log.fit_from(0, 0);
    case.put_log(&log);
    case.verify().is_false("with tiles", "is not that of the records");
    fs::remove_file(case.file("tiles-0")).unwrap();
    fs::remove_file(case.file("tiles-1")).unwrap();
    case.verify().is_false_from("without tiles", log.frame_of(archived.kept.checkpoint.size - 1));
    case.is_refused("without tiles");
    case.put(&archived.files);
    forge(&case, 0, |bundles| reword(&mut bundles[0][3]));
    case.put_log(&log);
    case.sign();
    case.verify().is_sound("signed anew");
    case.verify_from(std::slice::from_ref(&archived.kept), &[]).is_false("signed anew", "do not have the root");
    case.is_refused_at_once("signed anew", "which this log does not continue");
    case.forget_kept();
    case.goes_on("signed anew");
}

#[test]
fn a_damaged_archive_is_found_out() {
    let archived = Archived::get();
    let case = archived.case();
    for first in [archived.firsts()[0], archived.firsts()[2]] {
        let damages: [(&str, Damage); 7] = [
            ("magic", |bytes| bytes[2] ^= 1),
            ("version", |bytes| bytes[9] ^= 1),
            ("count", |bytes| bytes[13] ^= 1),
            ("first record", |bytes| bytes[20] ^= 1),
            ("length of a bundle", |bytes| bytes[25] ^= 1),
            ("a bundle", |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }),
            ("the end", |bytes| bytes.truncate(bytes.len() - 1)),
        ];
        for (what, damage) in damages {
            let what = format!("{what} of archive {first}");
            case.edit(&name(first), damage);
            case.verify().is_false(&what, "the archive is damaged");
            case.put(&archived.files);
        }
        case.edit(&name(first), Vec::clear);
        case.verify().is_false_from("empty", first);
        case.goes_on("empty");
        case.put(&archived.files);
    }
}

#[test]
fn an_archive_that_is_gone_leaves_a_gap() {
    let archived = Archived::get();
    let case = archived.case();
    let firsts = archived.firsts();
    for first in [firsts[0], firsts[1], *firsts.last().unwrap()] {
        let what = format!("archive {first} is gone");
        fs::remove_file(case.file(&name(first))).unwrap();
        case.verify().is_false_from(&what, first);
        let export = case.setup.run(["audit", "export"]);
        assert_eq!(export.status.code(), Some(74), "{what}");
        assert_eq!(export.stdout.split(|byte| *byte == b'\n').count() as u64 - 1, first, "{what}");
        case.goes_on(&what);
        case.verify().is_false_from(&what, first);
        case.put(&archived.files);
    }
    // One that ends too soon leaves one too.
    let second = firsts[1];
    forge(&case, second, |bundles| drop(bundles.pop()));
    let left = bundles(&fs::read(case.file(&name(second))).unwrap()).len() as u64 * 256;
    case.verify().is_false("a bundle less", &format!("record `{}`:", second + left));
}

/// The records that are both in the last archive and in the first segment.
fn shared(archived: &Archived) -> (u64, Range<u64>) {
    let last = *archived.firsts().last().unwrap();
    let archive = &archived.files[&std::path::Path::new("audit").join(name(last))];
    (last, archived.log().0[0].tree.size..last + bundles(archive).len() as u64 * 256)
}

#[test]
fn an_archive_that_disagrees_with_the_segments_is_found_out_while_they_are_there() {
    let archived = Archived::get();
    let case = archived.case();
    let (last, shared) = shared(archived);
    assert!(shared.start + 1 < shared.end, "{shared:?}");
    for index in [shared.start, shared.end - 1] {
        let place = usize::try_from(index - last).unwrap();
        forge(&case, last, |bundles| reword(&mut bundles[place / 256][place % 256]));
        case.verify().is_false_from("a record in archive and segment", index);
        case.put(&archived.files);
    }
}

#[test]
fn an_archive_put_beside_segments_that_are_all_there_has_to_agree_with_them() {
    let setup = audit::setup().in_files().set("audit.retention_days", 0);
    old_log(&setup, 600);
    assert!(setup.start().stop().success());
    let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
    let records: Vec<Vec<u8>> =
        acgs::ledger::records(&case.storage(), 0..256).map(|record| record.unwrap().1).collect();
    fs::write(case.file(&name(0)), archive(0, std::slice::from_ref(&records))).unwrap();
    case.verify().is_sound("as a removal leaves it that was cut short");
    let mut forged = records;
    reword(&mut forged[100]);
    fs::write(case.file(&name(0)), archive(0, &[forged])).unwrap();
    case.verify().is_false_from("a forged archive", 100);
}
