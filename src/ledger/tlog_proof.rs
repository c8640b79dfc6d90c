//! Self-contained proofs (C2SP tlog-proof): a record's index, its path, and a signed checkpoint.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::evidence::open_checkpoint;
use super::note::{Note, NoteError, VerifierKey};
use super::proof::{MAX_PROOF, is_included};
use super::tree::Hash;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// An inclusion proof of a record (C2SP tlog-proof).
///
/// Its `extra` line, which the specification leaves to applications, contains the record as an entry bundle: the
/// entries of its parts, if any, and last the entry that the proof is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry bundle in the `extra` line.
    pub entries: Option<Vec<u8>>,
    /// The record's index.
    pub index: u64,
    /// The path from the record's sibling up to the root's child.
    pub path: Vec<Hash>,
    /// The checkpoint whose root it leads to.
    pub note: Note,
}

impl InclusionProof {
    /// Whether one of the keys signed a checkpoint of a log that has the record; answers that checkpoint.
    pub fn verify(&self, record: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, NoteError> {
        let checkpoint = open_checkpoint(&self.note, keys)?;
        let leaf = Hash::leaf(record);
        if is_included(leaf, self.index, checkpoint.size, checkpoint.root, &self.path) {
            Ok(checkpoint)
        } else {
            Err(NoteError::Unproven)
        }
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(entries) = &self.entries {
            writeln!(f, "extra {}", STANDARD.encode(entries))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for InclusionProof {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::NoProof;
        let (head, note) = text.split_once("\n\n").ok_or(wrong.clone())?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(wrong);
        }
        // Extra data is not authenticated by the proof; it has to be verified against the leaf.
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let entries = extra.map(|text| STANDARD.decode(text).map_err(|_| wrong.clone())).transpose()?;
        let digits = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = digits.and_then(|digits| digits.parse::<u64>().ok().filter(|index| index.to_string() == digits));
        let hash = |line| STANDARD.decode(line).ok().and_then(|hash| <[u8; 32]>::try_from(hash).ok()).map(Hash::from);
        let path: Option<Vec<Hash>> = lines.map(hash).collect();
        match (index, path) {
            (Some(index), Some(path)) if path.len() <= MAX_PROOF => {
                Ok(Self { entries, index, path, note: note.parse()? })
            }
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{SigningKey, Tree};

    fn signed(origin: &str) -> (InclusionProof, VerifierKey) {
        let (left, right) = (Hash::leaf(b"left"), Hash::leaf(b"right"));
        let mut tree = Tree::default();
        tree.push(left);
        tree.push(right);
        let key = SigningKey::generate("log").unwrap();
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 2, root: tree.root() };
        let note = Note::sign(checkpoint.to_string(), [&key]);
        (InclusionProof { entries: None, index: 1, path: vec![left], note }, key.verifier().clone())
    }

    #[test]
    fn a_proof_reads_back_and_proves_its_record_alone() {
        let (proof, key) = signed("log");
        let text = proof.to_string();
        assert_eq!(text.parse(), Ok(proof.clone()));
        let with_record = InclusionProof { entries: Some(b"\0\x05right".to_vec()), ..proof.clone() };
        assert_eq!(with_record.to_string().parse(), Ok(with_record.clone()));
        assert!(text.replacen("index", "extra ?\nindex", 1).parse::<InclusionProof>().is_err());
        let keys = [key];
        assert_eq!(proof.verify(b"right", &keys).unwrap().size, 2);
        assert!(proof.verify(b"left", &keys).is_err());
        assert!(InclusionProof { index: 0, ..proof.clone() }.verify(b"right", &keys).is_err());
        assert!(proof.verify(b"right", &[signed("log").1]).is_err(), "another key");
        let (foreign, key) = signed("another log");
        assert!(foreign.verify(b"right", &[key]).is_err(), "another origin");
        for wrong in [text.replace("@v1", "@v2"), text.replace("index 1", "index 01"), text.replace("index", "at")] {
            assert!(wrong.parse::<InclusionProof>().is_err(), "{wrong}");
        }
    }
}
