//! Archives of old records: changed, gone, with a gap, and at odds with the segments that are still there.

use std::io::{Read as _, Write as _};
use std::sync::OnceLock;
use std::{fs, ops::Range};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::archiving::{old_log, run_until};
use super::case::{Case, Files, Kept, files, segments};
use super::format::Log;
use crate::audit;

/// A log whose oldest segments the daemon has moved into archives.
struct Archived {
    files: Files,
    kept: Kept,
}

impl Archived {
    fn get() -> &'static Self {
        static ARCHIVED: OnceLock<Archived> = OnceLock::new();
        ARCHIVED.get_or_init(|| {
            let setup = audit::setup().in_files().set("audit.archive", "closed");
            old_log(&setup, 1_950);
            run_until(&setup, "the segments are archived", |left| left[0] > 1_600);
            let archived = Self { files: files(&setup.data_dir()), kept: Kept::newest(&setup) };
            // Joined as bits are carried: of four, two, and one bundle.
            assert_eq!(archived.firsts(), [0, 1_024, 1_536]);
            archived
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

/// The records of an archive, in blocks of 32.
type Blocks = Vec<Vec<Vec<u8>>>;
/// What is done to the records of an archive.
type Change = fn(&mut Blocks);
/// What is done to its bytes.
type Damage = fn(&mut Vec<u8>);

/// The blocks of an archive, as `src/ledger/archive.rs` documents it.
fn blocks(archive: &[u8]) -> Blocks {
    let count = usize::try_from(u32::from_be_bytes(archive[10..14].try_into().unwrap())).unwrap();
    let offsets = archive[26..26 + 8 * (count + 1)].as_chunks::<8>().0;
    let offsets: Vec<usize> =
        offsets.iter().map(|offset| usize::try_from(u64::from_be_bytes(*offset)).unwrap()).collect();
    let block = |place: &[usize]| {
        let mut bytes = Vec::new();
        GzDecoder::new(&archive[place[0]..place[1]]).read_to_end(&mut bytes).unwrap();
        let (mut records, mut left) = (Vec::new(), bytes.as_slice());
        while let Some((length, more)) = left.split_first_chunk::<2>() {
            let (record, more) = more.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            left = more;
        }
        records
    };
    offsets.windows(2).map(block).collect()
}

fn archive(first: u64, blocks: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let compress = |(index, records): (u64, &Vec<Vec<u8>>)| {
        let builder = GzBuilder::new().extra(index.to_be_bytes());
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        for record in records {
            encoder.write_all(&u16::try_from(record.len()).unwrap().to_be_bytes()).unwrap();
            encoder.write_all(record).unwrap();
        }
        encoder.finish().unwrap()
    };
    let compressed: Vec<Vec<u8>> = (first..).step_by(32).zip(blocks).map(compress).collect();
    let mut bytes = b"acgs-arc\0\x02".to_vec();
    bytes.extend(u32::try_from(compressed.len()).unwrap().to_be_bytes());
    bytes.extend(first.to_be_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    let mut offset = 26 + 8 * (compressed.len() + 1);
    for one in &compressed {
        bytes.extend((offset as u64).to_be_bytes());
        offset += one.len();
    }
    bytes.extend((offset as u64).to_be_bytes());
    bytes.extend(compressed.concat());
    bytes
}

/// An archive of version 1, as earlier releases made them: bundles of 256 records.
fn archive_of_bundles(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let compress = |records: &[Vec<u8>]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for record in records {
            encoder.write_all(&u16::try_from(record.len()).unwrap().to_be_bytes()).unwrap();
            encoder.write_all(record).unwrap();
        }
        encoder.finish().unwrap()
    };
    let compressed: Vec<Vec<u8>> = records.chunks(256).map(compress).collect();
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
fn forge(case: &Case, first: u64, change: impl FnOnce(&mut Blocks)) {
    case.edit(&name(first), |bytes| {
        let mut found = blocks(bytes);
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
        ("a changed record", 0, |blocks| reword(&mut blocks[0][3])),
        ("records in another order", 0, |blocks| blocks[0].swap(10, 20)),
        ("a record in the place of another", firsts[1], |blocks| blocks[0][7] = blocks[0][8].clone()),
        ("a changed record at the end", firsts[1], |blocks| reword(blocks.last_mut().unwrap().last_mut().unwrap())),
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
    forge(&case, 0, |blocks| reword(&mut blocks[0][3]));
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
    forge(&case, 0, |blocks| reword(&mut blocks[0][3]));
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
        let damages: [(&str, Damage); 9] = [
            ("magic", |bytes| bytes[2] ^= 1),
            ("version", |bytes| bytes[9] ^= 1),
            ("count", |bytes| bytes[13] ^= 1),
            ("first record", |bytes| bytes[20] ^= 1),
            ("checksum of the head", |bytes| bytes[25] ^= 1),
            ("an offset", |bytes| bytes[26 + 8 + 7] ^= 1),
            ("the first offset", |bytes| bytes[26 + 7] ^= 1),
            ("a block", |bytes| {
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
    // Archives have whole bundles of 256.
    forge(&case, second, |blocks| blocks.truncate(blocks.len() - 8));
    let left = blocks(&fs::read(case.file(&name(second))).unwrap()).len() as u64 * 32;
    case.verify().is_false("a bundle less", &format!("record `{}`:", second + left));
}

/// The records that are both in the last archive and in the first segment.
fn shared(archived: &Archived) -> (u64, Range<u64>) {
    let last = *archived.firsts().last().unwrap();
    let archive = &archived.files[&std::path::Path::new("audit").join(name(last))];
    (last, archived.log().0[0].tree.size..last + blocks(archive).len() as u64 * 32)
}

#[test]
fn an_archive_that_disagrees_with_the_segments_is_found_out_while_they_are_there() {
    let archived = Archived::get();
    let case = archived.case();
    let (last, shared) = shared(archived);
    assert!(shared.start + 1 < shared.end, "{shared:?}");
    for index in [shared.start, shared.end - 1] {
        let place = usize::try_from(index - last).unwrap();
        forge(&case, last, |blocks| reword(&mut blocks[place / 32][place % 32]));
        case.verify().is_false_from("a record in archive and segment", index);
        case.put(&archived.files);
    }
}

#[test]
fn an_archive_put_beside_segments_that_are_all_there_has_to_agree_with_them() {
    let setup = audit::setup().in_files();
    old_log(&setup, 600);
    assert!(setup.start().stop().success());
    let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
    let records: Vec<Vec<u8>> =
        acgs::ledger::records(&case.storage(), 0..256).map(|record| record.unwrap().1).collect();
    let of = |records: &[Vec<u8>]| archive(0, &records.chunks(32).map(<[_]>::to_vec).collect::<Vec<_>>());
    let mut forged = records.clone();
    reword(&mut forged[100]);
    for (sound, forged) in
        [(of(&records), of(&forged)), (archive_of_bundles(0, &records), archive_of_bundles(0, &forged))]
    {
        fs::write(case.file(&name(0)), sound).unwrap();
        case.verify().is_sound("as a removal leaves it that was cut short");
        fs::write(case.file(&name(0)), forged).unwrap();
        case.verify().is_false_from("a forged archive", 100);
    }
}

#[test]
fn archives_of_earlier_releases_are_read_and_continued() {
    let archived = Archived::get();
    let case = archived.case();
    let storage = case.storage();
    let of = |indices: Range<u64>| -> Vec<Vec<u8>> {
        acgs::ledger::records(&storage, indices).map(|record| record.unwrap().1).collect()
    };
    let (first, second) = (of(0..1_024), of(1_024..1_536));
    let all = of(0..u64::MAX);
    fs::write(case.file(&name(0)), archive_of_bundles(0, &first)).unwrap();
    case.verify_from(std::slice::from_ref(&archived.kept), &[]).is_sound("the first is one of version 1");
    fs::write(case.file(&name(1_024)), archive_of_bundles(1_024, &second)).unwrap();
    case.verify_from(std::slice::from_ref(&archived.kept), &[]).is_sound("two are of version 1");
    assert!(of(0..u64::MAX) == all);
    assert!(of(1_000..1_600) == all[1_000..1_600]);
    case.goes_on("two are of version 1");
    case.verify_from(std::slice::from_ref(&archived.kept), &[]).is_sound("the log went on");
    case.edit(&name(0), |bytes| bytes[25] ^= 1);
    case.verify().is_false("the length of a bundle", "the archive is damaged");
    case.put(&archived.files);
}
