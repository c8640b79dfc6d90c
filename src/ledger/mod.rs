//! The audit log: frames, segments, recovery; its tree, tiles, checkpoints and proofs; verification.
//!
//! One [`Ledger`] appends: each [`Batch`] of records becomes one frame with one write and one sync, and only then is it
//! acknowledged. [`Ledger::open`] finds the end after any crash, [`records()`] reads records, [`retire`] moves old ones
//! into the archive. [`TileWriter`] adds the tree's tiles, a [`Note`] of a [`Checkpoint`] is the signed commitment to
//! the log, [`Nodes`] makes proofs, and [`audit()`] verifies all of it. This module has no threads and no HTTP, and
//! accesses the disk only through [`Storage`], except for the files of keys.
//!
//! # Format, version 1
//!
//! All numbers are big-endian, all hashes are SHA-256, all checksums CRC32C (Castagnoli). `‖` joins bytes.
//!
//! The folder holds `lock`, an empty file on which the writing process holds an exclusive lock (`flock`), and segments
//! named `segment-<first>.log`, where `<first>` is the index of the segment's first record in 20 decimal digits.
//! `segment-….tmp` and `archive-next.tmp` are files in the making and no part of the log; the next start removes them.
//! The other files have their formats at the top of the file that writes them:
//!
//! | files | what they hold | described in |
//! |---|---|---|
//! | `archive-<first>.gz` | old records, compressed in blocks | `archive.rs` |
//! | `tiles-<level>` | the tree's hashes, made again where they are missing | `tiles.rs` |
//! | `checkpoint`, `checkpoint.witnessed` | the newest checkpoint, and the newest one with a cosignature | `checkpoint_file.rs` |
//! | `key`, `key.previous`, `keys` | private keys, and the public keys of all there ever were | `keyring.rs` |
//!
//! The file `checkpoint` is created before the first record; if it is missing and there are records, it was removed.
//! Beside the log's folder, `audit-checkpoint` keeps a checkpoint that is not rolled back with the log: see
//! `kept_checkpoint.rs`.
//!
//! ## Segment
//! A segment has a fixed size, a multiple of 4096 bytes; sizes may differ from segment to segment. It is filled with
//! zeros, begun and synced under a temporary name and then renamed, so whatever has a segment's name is whole. Frames
//! follow each other from offset 4096 on; behind the last one there are only zeros up to the end. The header block:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `acgs-seg` |
//! | 8 | 2 | version: 1 |
//! | 10 | 2 | P, how many peaks |
//! | 12 | 8 | size of the segment in bytes |
//! | 20 | 8 | index of the first record, as in the name |
//! | 28 | 32 | hash of the frame before, zeros if there is none |
//! | 60 | 32 × P | the peaks of the tree before the first record |
//! | … | | zeros |
//! | 4092 | 4 | checksum of bytes 0 to 4091 |
//!
//! ## Frame
//! It begins at a multiple of 4096 bytes and is padded with zeros to the next one, so that no write touches a block
//! with an acknowledged record. The next frame follows at once; if it does not fit, in the next segment.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `acgs-frm` |
//! | 8 | 2 | version: 1 |
//! | 10 | 2 | P, how many peaks: the bits set in first index + count |
//! | 12 | 4 | L, length of the payload in bytes, at most 33,554,432 |
//! | 16 | 4 | count of records, at least 1 |
//! | 20 | 8 | index of the first record |
//! | 28 | 32 | hash of the frame before, zeros for the first frame of the log |
//! | 60 | 4 | checksum of peaks ‖ payload |
//! | 64 | 4 | checksum of bytes 0 to 63 |
//! | 68 | 32 × P | the peaks of the tree after this frame |
//! | 68 + 32 P | L | payload: each record as a `u16` length and so many bytes |
//! | 68 + 32 P + L | | zeros up to the next multiple of 4096 |
//!
//! The two checksums together cover every byte before the padding, and the padding must be zero. A record has 1 to
//! 65,535 bytes and none of them is NUL. The payload is an entry bundle of C2SP tlog-tiles.
//!
//! The *hash of a frame* is that of its header ‖ peaks. The records need not be hashed a second time for it: the peaks
//! commit to them.
//!
//! ## Record
//! A record is an object of JSON without spaces between its tokens, UTF-8, without duplicate keys. Its first members
//! are `v`, `id` (a `UUIDv7`), `ts` (RFC 3339, UTC, microseconds; the milliseconds are those of the id), `kind` and
//! `caller`. The other members are described where they are written: decisions in `decision.rs`, omissions from them in
//! `omission.rs`, events in `event.rs`, the entities that decisions read in `entity_set.rs`. `"v":1` marks an entry
//! that is a whole record. `"v":2` marks a part or the head of a record that is larger than an entry (`parts.rs`), a
//! member shared by several records, or a record that refers to such members (`shared.rs`). All entries that a record
//! consists of are in one frame; `whole.rs` joins them.
//!
//! ## Tree
//! RFC 6962: a leaf is `SHA-256(0x00 ‖ record)`, a node `SHA-256(0x01 ‖ left ‖ right)`, the empty tree `SHA-256("")`.
//! The *peaks* are the roots of the perfect subtrees that the tree consists of, one for each bit set in its size, the
//! largest (leftmost) first. The root is their fold from the right: the last peak, joined as right child with the one
//! before it, and so on.
//!
//! ## The end of the log
//! Going from frame to frame, the log ends at the end of the last segment or where no valid frame begins. There:
//!
//! - Only zeros follow: a clean end.
//! - The frame is *torn*: it was never written whole, so never acknowledged, and is cut off. That is so if its header
//!   is invalid and begins with a zero byte, or is invalid with nothing but zeros from byte 67 to byte 511 of the
//!   frame; or if its header is valid, the body's checksum is wrong, and the extent (header, peaks, payload) ends in a
//!   zero byte or has a 512-byte sector, counted from the frame's start, that begins or ends with two zero bytes. What
//!   was not written is zero still, and in what was written this does not occur: there are never two zero bytes in a
//!   row in a payload, since no record has any and no length is zero. (In peaks they occur by chance, once in 65,536
//!   for each end of a sector that lies within them.)
//! - Otherwise it was complete and was *damaged*: the log is corrupt and is not opened.
//! - If in any later block of the segment there is a valid frame header, the log is corrupt in every case. No payload
//!   looks like one, since the index in it has two zero bytes in a row.
//!
//! Opening reads the last segment only. It then writes the last frame once more, zeroes what is torn and at least the
//! MiB behind the last frame, and syncs: if the process before ended on a failed sync, the page cache may show what
//! the disk does not hold.
//!
//! ## What this folder alone cannot prove
//! That nothing was rewritten together with keys and checkpoint: this requires an earlier checkpoint, or the public
//! key, from another place. Without the private key nobody can change, drop or add a record that the stored checkpoint
//! covers; and a log with records but without a checkpoint is not accepted.

mod archive;
mod archive_joiner;
mod archive_writer;
mod archiver;
mod batch;
mod checkpoint;
mod checkpoint_file;
mod decision;
mod entity_set;
mod event;
mod evidence;
mod fault;
mod faulty_item;
mod find;
mod frame;
mod growth;
mod kept_checkpoint;
mod keyring;
mod log;
mod lookup;
mod note;
mod omission;
mod parts;
mod proof;
mod recent_activity;
mod recompute;
mod record_text;
mod records;
mod recovery;
mod scan;
mod seen_revision;
mod segment;
mod shared;
mod storage;
mod tile;
mod tiles;
mod tlog_proof;
mod tree;
mod usage;
mod verify;
mod view;
mod whole;

#[cfg(test)]
mod corruption;
#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(crate) mod testing;

pub use archive::archived;
pub use archiver::{oldest_segment_end, retire};
pub use batch::{Batch, BatchError, Batches, NoRecord, Payload};
pub use checkpoint::Checkpoint;
pub use checkpoint_file::{CHECKPOINT_FILES, CheckpointFile, WITNESSED, has_checkpoint_file, last_checkpoint};
pub use decision::DecisionRecord;
pub use entity_set::EntitySet;
pub use event::{Event, EventKind};
pub use evidence::{Audited, EvidenceError, audit, is_unrecorded, open_checkpoint};
pub use fault::{AppendError, Fault, LedgerError, Problem};
pub use faulty_item::FaultyItemRecord;
pub use find::{Thoroughness, find_id, millis_of, size};
pub use growth::{Forecast, IndexUsage, forecast, free_bytes, records_per_day};
pub use kept_checkpoint::KeptCheckpoint;
pub use keyring::{KEY_FILE, KeyError, Keyring, PUBLIC_KEYS_FILE, claim_keys, public_keys};
pub use log::{Ledger, Options};
pub use lookup::RecordLookup;
pub use note::{Note, NoteError, Signature, SigningKey, Signs, VerifierKey};
pub use omission::Shortened;
pub use proof::{MAX_PROOF, Nodes, is_consistent, is_included};
pub use recent_activity::{RecentActivity, recent_activity};
pub use recompute::{Recomputed, TileSource};
pub use record_text::{hex, new_id};
pub use records::{Records, is_new, record, records};
pub use recovery::Recovery;
pub use scan::Torn;
pub use seen_revision::{RevisionMark, SeenRevision, seen_revision};
pub use segment::{FilledSegment, NextSegment, SegmentSize};
pub use shared::SharedMembers;
pub use storage::{DiskStorage, LOCK_FILE, Storage, StorageFile};
pub use tile::{NoTile, TileKind, TileName, WIDTH};
pub use tiles::{TileReader, TileWriter, tile_files};
pub use tlog_proof::InclusionProof;
pub use tree::{Hash, Tree};
pub use usage::{LogUsage, checkpoint_at, usage};
pub use verify::{Summary, verify, verify_against};
pub use view::{RecordView, text_of};
pub use whole::{Assembly, WholeRecord, WholeRecords, entries_of, whole, whole_records};
