//! Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root at one moment.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::NoteError;
use super::tree::Hash;

/// A checkpoint's first three lines, as the text of a signed note. Lines behind them are read over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many records it has.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form("it is not a checkpoint");
        let lines = text.strip_suffix('\n').map(|text| text.split('\n').collect::<Vec<_>>());
        let Some([origin, size, root, more @ ..]) = lines.as_deref() else { return Err(wrong) };
        let plain = size.bytes().all(|byte| byte.is_ascii_digit()) && (*size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| plain);
        let root = STANDARD.decode(root).ok().and_then(|root| <[u8; 32]>::try_from(root).ok());
        match (size, root) {
            (Some(size), Some(root)) if !origin.is_empty() && more.iter().all(|line| !line.is_empty()) => {
                Ok(Self { origin: (*origin).to_owned(), size, root: root.into() })
            }
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::ledger::{Note, Tree};

    #[test]
    fn a_checkpoint_reads_back() {
        let checkpoint = Checkpoint { origin: "acgs.local/host".to_owned(), size: 7, root: Hash::leaf(b"x") };
        let text = checkpoint.to_string();
        assert_eq!(text.parse(), Ok(checkpoint.clone()));
        assert_eq!(format!("{text}extension\n").parse(), Ok(checkpoint));
        let root = STANDARD.encode(Hash::leaf(b"x").as_bytes());
        for wrong in [
            String::new(),
            format!("o\n7\n{root}"),
            format!("\n7\n{root}\n"),
            format!("o\n07\n{root}\n"),
            format!("o\n+7\n{root}\n"),
            format!("o\n7\n{}\n", root.replace('=', "")),
            format!("o\n7\n{root}\n\n"),
            "o\n7\nAAAA\n".to_owned(),
        ] {
            assert!(wrong.parse::<Checkpoint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_checkpoints_of_a_real_log_have_the_roots_of_its_entries() {
        let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/tessera-testdata/testdata/log");
        let Ok(bundle) = fs::read(log.join("tile/entries/000.p/15")) else {
            println!("skipped: no log in {}", log.display());
            return;
        };
        let mut tree = Tree::default();
        let mut entries = crate::ledger::batch::Payload(&bundle);
        for size in 0.. {
            let Ok(note) = fs::read_to_string(log.join(format!("checkpoint.{size}"))) else {
                assert_eq!(size, 16);
                break;
            };
            let note: Note = note.parse().unwrap();
            let checkpoint: Checkpoint = note.text().parse().unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (size, tree.root()));
            assert_eq!(note.text(), checkpoint.to_string());
            if let Some(entry) = entries.next() {
                tree.push(Hash::leaf(entry.unwrap()));
            }
            if let Ok(tile) = fs::read(log.join(format!("tile/0/000.p/{size}"))) {
                let (hashes, rest) = tile.as_chunks::<32>();
                let mut of_tile = Tree::default();
                for leaf in hashes {
                    of_tile.push(Hash::from(*leaf));
                }
                assert_eq!((of_tile.root(), rest.len()), (checkpoint.root, 0));
            }
        }
    }
}
