//! Arbitrary signed notes, checkpoints, proofs and keys are parsed or refused; parsed ones survive a round trip.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use acgs::ledger::{
    Checkpoint, Hash, InclusionProof, Note, Signature, SigningKey, TileName, VerifierKey, is_consistent, is_included,
    open_checkpoint,
};
use libfuzzer_sys::fuzz_target;

/// A key with no signature in the corpus.
static KEYS: LazyLock<[VerifierKey; 1]> =
    LazyLock::new(|| [SigningKey::generate("acgs.example/log").expect("there is chance").verifier().clone()]);

/// A parsed value is displayed as a text that parses to the same value.
fn read<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let written = value.to_string();
    assert_eq!(written.parse::<T>().ok().as_ref(), Some(&value), "{written}");
    Some(value)
}

fuzz_target!(|text: &str| {
    if let Some(note) = read::<Note>(text) {
        assert!(note.verify(&*KEYS).is_err(), "nobody knows that key");
        assert!(open_checkpoint(&note, &*KEYS).is_err());
        let _ = Checkpoint::from_str(note.text());
    }
    read::<Checkpoint>(text);
    read::<VerifierKey>(text);
    read::<TileName>(text);
    let _ = text.parse::<Signature>();
    let _ = SigningKey::from_secret(text);
    if let Some(proof) = read::<InclusionProof>(text) {
        assert!(proof.verify(b"record", &*KEYS).is_err());
        let leaf = Hash::leaf(b"record");
        for (index, size) in [(proof.index, u64::MAX), (0, proof.index), (proof.index, proof.index.saturating_add(1))] {
            let _ = is_included(leaf, index, size, leaf, &proof.path);
            let _ = is_consistent(index, leaf, size, leaf, &proof.path);
        }
    }
});
