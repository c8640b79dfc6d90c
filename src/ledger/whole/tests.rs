use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::testing::{no_hurry, write_tiles};
use super::super::{
    BatchError, Batches, DecisionRecord, DiskStorage, Ledger, Options, Payload, SegmentSize, SharedMembers, Shortened,
    archived, new_id, retire, verify,
};
use super::*;
use crate::domain::{Defaults, Evaluation, Json, Object, Reason, Verdict};
use crate::settings::{HashEnforcement, RequestProperties, RequestRecord};

/// The questions of a batch.
fn questions(defaults: &Value, items: &[Value]) -> Vec<Evaluation> {
    let defaults: Object = serde_json::from_value(defaults.clone()).unwrap();
    let defaults = Defaults::read(&defaults);
    let item = |item: &Value| {
        let item: Json = serde_json::from_value(item.clone()).unwrap();
        Evaluation::from_item(&item, &defaults).unwrap()
    };
    items.iter().map(item).collect()
}

/// The members of a batch, each of them large. The resource has names that are too long to be repeated.
fn large_defaults() -> Value {
    json!({
        "subject": {"type": "Agent", "id": "a\"b", "properties": {"team": "\"é🦀\u{0}".repeat(300)}},
        "action": {"name": "call", "properties": {"n": vec![1.5; 300]}},
        "resource": {"type": "Tool", "id": "t".repeat(1_000)},
        "context": {"constitutional_hash": "\\h".repeat(500), "note": "x".repeat(7_000)},
    })
}

/// Adds the record of a question to a batch, in full.
fn push(evaluation: &Evaluation, id: Uuid, shared: &SharedMembers<'_>, batch: &mut Batch) -> Result<(), BatchError> {
    push_in(RequestRecord::Full, evaluation, id, shared, batch)
}

fn push_in(
    form: RequestRecord,
    evaluation: &Evaluation,
    id: Uuid,
    shared: &SharedMembers<'_>,
    batch: &mut Batch,
) -> Result<(), BatchError> {
    DecisionRecord {
        id,
        at: OffsetDateTime::UNIX_EPOCH,
        caller: "anonymous",
        request_id: "r-1",
        bench: None,
        evaluation,
        shortened: None,
        shared,
        verdict: &Verdict::deny(Reason::UnknownType, "what"),
        hash: "cdd01ef066bc6cf2".parse().unwrap(),
        digest: "d",
        hash_enforcement: HashEnforcement::WhenPresent,
        request_properties: RequestProperties::Ignore,
        entities: None,
        cached: false,
    }
    .push(form, batch)
}

/// The records of questions of one request, and the same records as they are where each has everything itself.
fn recorded(evaluations: &[Evaluation]) -> (Batch, Vec<Vec<u8>>) {
    let shared = SharedMembers::of(evaluations);
    let (mut batch, mut apart) = (Batch::default(), Batch::default());
    for evaluation in evaluations {
        let id = new_id(OffsetDateTime::UNIX_EPOCH);
        push(evaluation, id, &shared, &mut batch).unwrap();
        push(evaluation, id, &SharedMembers::default(), &mut apart).unwrap();
    }
    (batch, decisions(&texts(&apart)))
}

/// The whole text of every entry.
fn texts(batch: &Batch) -> Vec<Vec<u8>> {
    let mut assembly = Assembly::default();
    batch.records().map(|entry| assembly.take(entry).unwrap().into_owned()).collect()
}

/// The texts that are whole records of decisions.
fn decisions(texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    texts.iter().filter(|text| text.starts_with(b"{\"v\":1,")).cloned().collect()
}

fn parsed(entry: &[u8]) -> Value {
    serde_json::from_slice(entry).unwrap()
}

/// The entries of a batch that are a shared member each.
fn shared_entries(batch: &Batch) -> usize {
    batch.records().filter(|entry| parsed(entry)["kind"] == "shared").count()
}

fn stored(batches: &[&Batch]) -> (tempfile::TempDir, DiskStorage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(folder.path()).unwrap();
    let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
    for batch in batches {
        ledger.append(batch).unwrap();
    }
    (folder, storage)
}

#[test]
fn a_batch_records_its_defaults_once_and_every_record_is_whole() {
    let mut items = vec![json!({}); 100];
    items[3] = json!({"context": {"own": "y".repeat(5_000)}});
    items[4] = json!({"subject": {"type": "Agent", "id": "other"}, "action": {"name": "other"}});
    let evaluations = questions(&large_defaults(), &items);
    let (batch, apart) = recorded(&evaluations);
    assert_eq!((shared_entries(&batch), batch.count()), (4, 104));
    assert_eq!(decisions(&texts(&batch)), apart);
    assert!(batch.bytes().len() < 20_000 + 100 * 1_536, "{}", batch.bytes().len());
    let first = parsed(batch.records().nth(4).unwrap());
    assert_eq!((&first["v"], &first["kind"], &first["decision"]), (&json!(2), &json!("decision"), &json!(false)));
    assert_eq!(first["subject"], json!({"type": "Agent", "id": "a\"b"}));
    assert_eq!((&first["action"], &first["resource"]), (&json!({"name": "call"}), &json!(null)));
    assert_eq!(first["context"], json!(null));
    assert_eq!(first["shared"]["context"]["back"], 1);
    // What counts before anything is decided is about what is recorded.
    let counted = SharedMembers::of(&evaluations).recorded_bytes(&evaluations);
    assert!((batch.bytes().len() / 3..batch.bytes().len()).contains(&counted), "{counted}");
}

#[test]
fn what_is_small_or_has_one_question_alone_is_in_its_record() {
    let small = json!({"subject": {"type": "Agent", "id": "a", "properties": {"team": "x".repeat(200)}},
        "action": {"name": "n".repeat(200)}, "resource": {"type": "Tool", "id": "t"}, "context": {"n": 1}});
    let own = |n: u32| {
        json!({"context": {"n": n, "own": "x".repeat(900)}, "subject": {"type": "A", "id": "a"},
            "action": {"name": "a"}, "resource": {"type": "A", "id": "a"}})
    };
    for (defaults, items) in [
        (small, vec![json!({}); 5]),
        (large_defaults(), vec![json!({})]),
        (large_defaults(), (0..5).map(own).collect()),
    ] {
        let (batch, apart) = recorded(&questions(&defaults, &items));
        assert_eq!(batch.records().collect::<Vec<_>>(), apart);
    }
    // The digest of a request is of one record alone.
    let evaluations = questions(&large_defaults(), &[json!({}), json!({})]);
    let shared = SharedMembers::of(&evaluations);
    let mut batch = Batch::default();
    for evaluation in &evaluations {
        push_in(RequestRecord::Digest, evaluation, Uuid::nil(), &shared, &mut batch).unwrap();
    }
    assert_eq!((batch.count(), shared_entries(&batch)), (2, 0));
    assert!(batch.records().all(|entry| parsed(entry)["v"] == 1));
}

#[test]
fn nothing_is_left_out_of_what_is_shared() {
    let evaluations = questions(
        &large_defaults(),
        &[
            json!({}),
            json!({"resource": {"type": "Tool", "id": "own",
        "properties": {"padding": "y".repeat(2_000)}}}),
        ],
    );
    let shared = SharedMembers::of(&evaluations);
    let paths = ["/context/note".parse().unwrap(), "/resource/properties/padding".parse().unwrap()];
    let (context, own) = (&paths[0], &paths[1]);
    assert!(shared.has(&evaluations[1], context) && !shared.has(&evaluations[1], own));
    let rest = Shortened::new(&evaluations[1], &paths[1..]).rest;
    assert!(rest.context.is_shared_with(&evaluations[0].context));
    assert_eq!(rest.resource.text(), r#"{"type":"Tool","id":"own"}"#);
}

#[test]
fn records_in_parts_share_members_in_parts() {
    let mut defaults = large_defaults();
    defaults["context"]["note"] = "é".repeat(100_000).into();
    let own = json!({"resource": {"type": "Tool", "id": "own", "properties": {"n": "z".repeat(150_000)}}});
    let evaluations = questions(&defaults, &[json!({}), own.clone(), json!({}), own]);
    let (batch, apart) = recorded(&evaluations);
    assert_eq!((decisions(&texts(&batch)), shared_entries(&batch)), (apart.clone(), 4));
    let (_folder, storage) = stored(&[&batch]);
    let count = u64::from(batch.count());
    verify(&storage).unwrap();
    let expected = texts(&batch);
    for (index, (entry, expected)) in (0..).zip(batch.records().zip(&expected)) {
        assert_eq!(&*whole(&storage, index, entry).unwrap(), expected, "{index}");
    }
    // Wherever one begins to read.
    for from in 0..count {
        let mut found = whole_records(&storage, from..count);
        let mut next = from;
        while let Some(record) = found.advance().unwrap() {
            assert_eq!(record.index, next);
            assert_eq!(*record.text.unwrap(), *expected[usize::try_from(next).unwrap()], "{next} from {from}");
            next += 1;
        }
        assert_eq!(next, count);
    }
    // What proves a record has all that it is made of, and no other record.
    let mut proven = Vec::new();
    for index in 0..count {
        if parsed(&record(&storage, index).unwrap().unwrap())["kind"] == "part" {
            continue;
        }
        let bundle = entries_of(&storage, index).unwrap();
        let mut assembly = Assembly::of_proof();
        let mut texts: Vec<_> =
            Payload(&bundle).map(|entry| assembly.take(entry.unwrap()).unwrap().into_owned()).collect();
        let text = texts.pop().unwrap();
        assert_eq!(text, expected[usize::try_from(index).unwrap()], "{index}");
        proven.extend(decisions(&[text]));
    }
    assert_eq!(proven, apart);
}

#[test]
fn records_in_the_archive_are_read_with_what_they_share() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(folder.path()).unwrap();
    let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
    let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
    let mut expected = Vec::new();
    for _ in 0..60 {
        let (batch, _) = recorded(&questions(&large_defaults(), &vec![json!({}); 10]));
        expected.extend(texts(&batch));
        ledger.append(&batch).unwrap();
    }
    let size = ledger.size();
    let read = |from: u64| {
        let (mut found, mut read) = (whole_records(&storage, from..size), Vec::new());
        while let Some(record) = found.advance().unwrap() {
            read.push(record.text.unwrap().into_owned());
        }
        read
    };
    write_tiles(&storage);
    while retire(&storage, size, &no_hurry).unwrap().is_some() {
        for from in [0, 100, size - 300] {
            assert_eq!(read(from), expected[usize::try_from(from).unwrap()..], "from {from}");
        }
        verify(&storage).unwrap();
    }
    assert!(archived(&storage).unwrap() > 256);
    let entry = record(&storage, 14).unwrap().unwrap();
    assert_eq!(*whole(&storage, 14, &entry).unwrap(), *expected[14]);
}

#[test]
fn another_batch_has_the_shared_members_again() {
    let mut defaults = large_defaults();
    defaults["context"]["note"] = "x".repeat(900_000).into();
    let own =
        |n: u8| json!({"resource": {"type": "Tool", "id": "own", "properties": {"n": n, "s": "z".repeat(900_000)}}});
    let items: Vec<Value> = (0..12).map(own).collect();
    let evaluations = questions(&defaults, &items);
    let shared = SharedMembers::of(&evaluations);
    let mut batches = Batches::default();
    for evaluation in &evaluations {
        batches.add(|batch| push(evaluation, Uuid::nil(), &shared, batch)).unwrap();
    }
    let batches: Vec<&Batch> = batches.batches().collect();
    assert!(batches.len() > 1);
    assert!(batches.iter().all(|batch| shared_entries(batch) == 3), "{batches:?}");
    assert_eq!(batches.iter().map(|batch| decisions(&texts(batch)).len()).sum::<usize>(), 12);
    verify(&stored(&batches).1).unwrap();
}

#[test]
fn a_batch_without_room_for_a_record_has_nothing_of_it() {
    let evaluations = questions(&large_defaults(), &[json!({}), json!({})]);
    let shared = SharedMembers::of(&evaluations);
    let mut batch = Batch::default();
    let filler = vec![b'x'; 65_000];
    while batch.push(&filler).is_ok() {}
    // There is room for some of the shared members, and not for all.
    assert!((8_000..14_000).contains(&(Batch::MAX_BYTES - batch.bytes().len())));
    let before = (batch.bytes().to_vec(), batch.count());
    assert!(matches!(push(&evaluations[0], Uuid::nil(), &shared, &mut batch), Err(BatchError::Full(_))));
    assert!((batch.bytes().to_vec(), batch.count()) == before);
    batch.clear();
    push(&evaluations[0], Uuid::nil(), &shared, &mut batch).unwrap();
    assert_eq!(shared_entries(&batch), 4);
}

#[test]
fn a_reference_to_anything_else_is_a_fault() {
    let mut defaults = large_defaults();
    defaults["resource"] = json!({"type": "Tool", "id": "t", "properties": {"n": "x".repeat(1_000)}});
    let (batch, _) = recorded(&questions(&defaults, &[json!({}), json!({})]));
    let entries: Vec<Vec<u8>> = batch.records().map(<[u8]>::to_vec).collect();
    let place = entries.len() - 1;
    let changed = |from: &str, to: &str, at: usize| {
        let text = String::from_utf8(entries[at].clone()).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        let mut entries = entries.clone();
        entries[at] = text.replacen(from, to, 1).into_bytes();
        entries
    };
    let record = parsed(&entries[place]);
    let context = format!("\"context\":{}", record["shared"]["context"]);
    let back = record["shared"]["context"]["back"].as_u64().unwrap();
    let other = |back: u64| context.replace(&format!(":{back},"), &format!(":{},", back + 1));
    let subject = record["shared"]["subject"]["sha256"].as_str().unwrap();
    let cases = [
        ("another text", changed("xx", "xy", 3)),
        ("another member", changed("\"member\":\"context\"", "\"member\":\"action\"", 3)),
        ("no shared member", changed("\"kind\":\"shared\"", "\"kind\":\"Shared\"", 3)),
        ("another entry", changed(&context, &other(back), place)),
        ("an entry before the first", changed(&format!("\"back\":{back},"), "\"back\":99,", place)),
        ("the record itself", changed(&format!("\"back\":{back},"), "\"back\":0,", place)),
        ("another digest", changed(record["shared"]["context"]["sha256"].as_str().unwrap(), subject, place)),
        ("no place for it", changed("\"context\":null,", "", place)),
        ("other names", changed("\"subject\":{\"type\":\"Agent\"", "\"subject\":{\"type\":\"Agenz\"", place)),
        ("a part of the names", changed("\"id\":\"t\"}", "\"id\":\"\"}", place)),
        ("no names, but others", changed("\"context\":null", "\"context\":{\"n\":1}", place)),
        ("nothing that it refers to", changed(",\"shared\":", ",\"Shared\":", place)),
        ("a gap before it", [&entries[..place], &[b"{\"v\":1}".to_vec()], &entries[place..]].concat()),
        ("a member that is missing", [&entries[..1], &entries[2..]].concat()),
    ];
    for (what, entries) in cases {
        let mut assembly = Assembly::default();
        let taken = entries.iter().try_for_each(|entry| assembly.take(entry).map(drop));
        assert_eq!(taken, Err(Problem::Shared), "{what}");
        let mut batch = Batch::default();
        for entry in &entries {
            batch.push(entry).unwrap();
        }
        let (_folder, storage) = stored(&[&batch]);
        let is_found =
            |error: &LedgerError| matches!(error, LedgerError::Corrupt(fault) if fault.problem == Problem::Shared);
        assert!(verify(&storage).is_err_and(|error| is_found(&error)), "{what}");
        let read = (0..).zip(&entries).try_for_each(|(index, entry)| whole(&storage, index, entry).map(drop));
        assert!(read.is_err_and(|error| is_found(&error)), "{what}");
    }
    // A record with the right number, in the next frame.
    let (mut first, mut second) = (Batch::default(), Batch::default());
    for entry in &entries[..place] {
        first.push(entry).unwrap();
    }
    second.push(&entries[place]).unwrap();
    assert!(verify(&stored(&[&first, &second]).1).is_err_and(
        |error| matches!(error, LedgerError::Corrupt(fault) if fault.problem == Problem::Shared && fault.index == 5)
    ));
    // One that is further away than a frame is long.
    let mut assembly = Assembly::default();
    for entry in &entries[..place] {
        assembly.take(entry).unwrap();
    }
    assembly.bytes += Batch::MAX_BYTES;
    assert_eq!(assembly.take(&entries[place]).map(drop), Err(Problem::Shared));
}
