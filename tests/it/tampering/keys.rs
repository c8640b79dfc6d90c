//! The keys beside the log: the list of public ones, and the one that signs.

use std::fs;

use acgs::ledger::SigningKey;

use super::case::{Case, Original};
use super::search_index;

fn foreign_key() -> SigningKey {
    SigningKey::generate(&Original::get().kept[0].checkpoint.origin).unwrap()
}

#[test]
fn a_list_without_the_key_that_signed_leaves_the_checkpoint_unsigned() {
    let (case, original) = (Case::new(), Original::get());
    for (what, list) in [("empty", String::new()), ("another key", format!("{}\n", foreign_key().verifier()))] {
        fs::write(case.file("keys"), list).unwrap();
        case.verify().is_false(what, "it is not signed by");
        // Who knows the key needs no list.
        case.verify_from(&original.kept, &["--vkey", &original.vkey]).is_sound(what);
        case.is_refused(what);
    }
    fs::remove_file(case.file("keys")).unwrap();
    case.verify().is_false("gone", "it is not signed by");
    case.is_refused("gone");
}

#[test]
fn a_list_that_is_none_is_not_read() {
    let case = Case::new();
    for list in ["x\n".to_owned(), Original::get().vkey.replace("+0", "+1").replace('A', "B"), "\n\n".to_owned()] {
        fs::write(case.file("keys"), &list).unwrap();
        let found = case.verify();
        assert_eq!(found.code, Some(74), "{list}: {}", found.text);
        assert!(found.text.contains("cannot be used"), "{list}: {}", found.text);
        case.is_refused(&list);
    }
}

#[test]
fn a_key_that_was_added_signs_for_those_who_do_not_know_the_true_one() {
    let (case, original) = (Case::new(), Original::get());
    let key = foreign_key();
    fs::write(case.file("keys"), format!("{}\n{}\n", original.vkey, key.verifier())).unwrap();
    case.verify_from(&original.kept, &["--vkey", &original.vkey]).is_sound("only added");
    let mut log = original.log();
    log.0[2].frames.truncate(10);
    case.put_log(&log);
    fs::write(case.file("key"), key.secret()).unwrap();
    case.sign();
    case.verify().is_sound("signed by it");
    case.verify_from(&[], &["--vkey", &original.vkey]).is_false("signed by it", "it is not signed by");
    case.verify_from(&original.kept, &[]).is_false_from("signed by it", log.size());
    case.is_refused_at_once("signed by it", "which this log does not continue");
    case.forget_kept();
    search_index::remove(&case.setup);
    case.goes_on("signed by it");
    case.verify_from(&[], &["--vkey", &original.vkey]).is_false("signed again", "it is not signed by");
    case.verify_from(&original.kept, &[]).is_false("signed again", "record `");
}

#[test]
fn a_key_that_is_not_on_the_list_signs_nothing() {
    let (case, original) = (Case::new(), Original::get());
    fs::write(case.file("key"), foreign_key().secret()).unwrap();
    case.verify().is_sound("another key, and nothing signed by it");
    case.is_refused_at_once("another key", "is not one of those listed in");
    case.verify_from(&original.kept, &["--vkey", &original.vkey]).is_sound("another key");
    fs::remove_file(case.file("key")).unwrap();
    case.is_refused_at_once("no key", "put the key back");
    case.verify_from(&original.kept, &["--vkey", &original.vkey]).is_sound("no key");
}
