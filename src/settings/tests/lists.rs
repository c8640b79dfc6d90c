//! The value that is a list of tables: `[[audit.witness]]`.

use super::{check, check_variable, faults, load};

const KEY_A: &str = "a.example/w+7c226652+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const KEY_B: &str = "b.example/w+eeb801c3+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

const LIST: &str = "  = allowed: an array of at most 16 tables `{ url = …, key = … }`";
const MEMBERS: &str = "  = allowed: `audit.witness.url`, `audit.witness.key`";
const URL: &str = "  = allowed: an `http` or `https` URL with a host, without user, query and fragment";
const KEY: &str =
    "  = allowed: a verifier key `<name>+<key id>+<base64>` of type 4, for Ed25519 cosignatures, each name once";

/// The URLs and names of the witnesses, and the value with its place.
fn witnesses(files: &[(&str, &str)], env: &[(&str, &str)]) -> (Vec<(String, String)>, String) {
    let loaded = load(files, env);
    let witness = loaded.settings.audit.witness.iter();
    let witness = witness.map(|witness| (witness.url.to_string(), witness.key.name().to_owned())).collect();
    let origin = loaded.origins.iter().find(|origin| origin.key == "audit.witness").unwrap();
    (witness, origin.to_string())
}

#[test]
fn witnesses_are_tables_of_files_or_the_value_of_a_variable_and_the_last_list_wins() {
    let none = "audit.witness = [] # ";
    let (a, b) = (("http://a.example", "a.example/w"), ("https://b.example/x", "b.example/w"));
    let table_a = format!("{{ url = \"http://a.example\", key = \"{KEY_A}\" }}");
    let table_b = format!("{{ url = \"https://b.example/x\", key = \"{KEY_B}\" }}");
    let both = &*format!("audit.witness = [{table_a}, {table_b}] # ");
    let only_b = &*format!("audit.witness = [{table_b}] # ");
    let header_a = &*format!("[[audit.witness]]\nurl = 'http://a.example/'\nkey = '{KEY_A}'\n");
    let header_b = &*format!("[[audit.witness]]\nkey = '{KEY_B}'\nurl = 'https://b.example/x'\n");
    let headers = &*format!("[audit]\nmax_queue = 9000\n{header_a}{header_b}");
    let inline = &*format!("audit.witness = [\n{table_a}, # first\n{table_b},\n]");
    let (inline_b, variable) = (&*format!("[{table_b}]"), &*format!(" [ {table_a},{table_b}, ]\n"));
    let no_files: &[(&str, &str)] = &[];
    for (files, value, expected, origin, place) in [
        (no_files, None, &[][..], none, "default"),
        (&[("default.toml", "audit.witness = []")], None, &[], none, "default.toml:1"),
        (&[("default.toml", headers)], None, &[a, b], both, "default.toml:3"),
        (&[("default.toml", inline)], None, &[a, b], both, "default.toml:1"),
        (&[("default.toml", headers), ("local.toml", header_b)], None, &[b], only_b, "local.toml:1"),
        (&[("default.toml", headers), ("local.toml", "audit.witness = []")], None, &[], none, "local.toml:1"),
        (&[("default.toml", headers)], Some(inline_b), &[b], only_b, "ACGS_AUDIT__WITNESS"),
        (&[("default.toml", headers)], Some("[]"), &[], none, "ACGS_AUDIT__WITNESS"),
        (&[("default.toml", headers)], Some(""), &[], none, "ACGS_AUDIT__WITNESS"),
        (no_files, Some(variable), &[a, b], both, "ACGS_AUDIT__WITNESS"),
    ] {
        let env: Vec<_> = value.map(|value| ("ACGS_AUDIT__WITNESS", value)).into_iter().collect();
        let expected: Vec<_> = expected.iter().map(|(url, name)| ((*url).to_owned(), (*name).to_owned())).collect();
        assert_eq!(witnesses(files, &env), (expected, format!("{origin}{place}")), "{files:?} {value:?}");
    }
}

#[test]
fn a_printed_list_gives_the_same_witnesses() {
    let text = format!("[[audit.witness]]\nurl = 'http://a.example'\nkey = '{KEY_A}'\n");
    let first = load(&[("default.toml", &text)], &[]).settings;
    let second = load(&[("default.toml", &first.to_string())], &[]).settings;
    assert_eq!(first, second);
    assert_eq!(second.audit.witness.len(), 1);
    let values = first.values();
    let (_, value) = values.iter().find(|(key, _)| *key == "audit.witness").unwrap();
    assert_eq!(load(&[], &[("ACGS_AUDIT__WITNESS", value)]).settings.audit, first.audit);
    assert_eq!(first.restart_needed(&load(&[], &[]).settings), ["audit.witness"]);
    assert_eq!(first.restart_needed(&second), [""; 0]);
}

#[test]
fn every_fault_of_a_list_has_its_place() {
    let printed = faults(
        &[(
            "default.toml",
            &format!(
                "[[audit.witness]]\nulr = 1\nurl = 'ftp://x'\n[[audit.witness]]\nurl = 5\nkey = '{KEY_A}'\n\
                 [[audit.witness]]\nkey = '{KEY_A}'\n[[audit.witness]]\n[http]\nworkers = -1"
            ),
        )],
        &[],
    );
    let lines = printed.lines().map(str::trim_start);
    let found: Vec<&str> =
        lines.filter_map(|line| line.strip_prefix("error: ").or(line.strip_prefix("--> default.toml:"))).collect();
    let again = format!("`audit.witness.key` is `\"{KEY_A}\"`, of the same name as one before it");
    assert_eq!(
        found,
        [
            "`audit.witness.key` is missing",
            "1:1",
            "`audit.witness.ulr` is not a key",
            "2:1",
            "`audit.witness.url` is `\"ftp://x\"`, not such a URL",
            "3:7",
            "`audit.witness.url` is `5`, not a string",
            "5:7",
            "`audit.witness.url` is missing",
            "7:1",
            &again,
            "8:7",
            "`audit.witness.url` is missing",
            "9:1",
            "`audit.witness.key` is missing",
            "9:1",
            "`http.workers` is `-1`, out of range",
            "11:11",
        ]
    );
}

#[test]
fn a_fault_of_a_list_in_a_file_is_shown_in_its_line() {
    let with_key = |rest: &str| format!("[[audit.witness]]\nkey = '{KEY_A}'\n{rest}");
    for (text, error, place, line, carets, rest) in [
        (
            with_key("ulr = 'http://a'\nurl = 'http://a'"),
            "`audit.witness.ulr` is not a key",
            "3:1",
            "3 | ulr = 'http://a'",
            "^^^",
            &["  = help: did you mean `audit.witness.url`?", MEMBERS][..],
        ),
        (
            with_key("proof = {}\nurl = 'http://a'"),
            "`audit.witness.proof` is not a key",
            "3:1",
            "3 | proof = {}",
            "^^^^^",
            &[MEMBERS],
        ),
        (
            with_key("url = 'https://me:secret@a'"),
            r#"`audit.witness.url` is `"https://…@a"`, not such a URL"#,
            "3:7",
            "3 | url = 'https://…@a'",
            "      ^^^^^^^^^^^^^",
            &[URL],
        ),
        (
            with_key("url = ['a']"),
            "`audit.witness.url` is an array, not a string",
            "3:7",
            "3 | url = ['a']",
            "      ^^^^^",
            &[URL],
        ),
        (with_key(""), "`audit.witness.url` is missing", "1:1", "1 | [[audit.witness]]", "^^^^^^^^^^^^^^^^^", &[URL]),
        (
            "audit.witness = [{ url = 'http://a', key = 'k' }]".to_owned(),
            r#"`audit.witness.key` is `"k"`, not a verifier key"#,
            "1:44",
            "1 | audit.witness = [{ url = 'http://a', key = 'k' }]",
            "                                           ^^^",
            &[KEY],
        ),
        (
            "audit.witness = [{ url = 'http://a' }]".to_owned(),
            "`audit.witness.key` is missing",
            "1:18",
            "1 | audit.witness = [{ url = 'http://a' }]",
            "                 ^^^^^^^^^^^^^^^^^^^^",
            &[KEY],
        ),
        (
            "audit.witness = ['http://a']".to_owned(),
            r#"`audit.witness` has `"http://a"` in it, not a table"#,
            "1:18",
            "1 | audit.witness = ['http://a']",
            "                 ^^^^^^^^^^",
            &[LIST],
        ),
        (
            "audit.witness = [[]]".to_owned(),
            "`audit.witness` has an array in it, not a table",
            "1:18",
            "1 | audit.witness = [[]]",
            "                 ^^",
            &[LIST],
        ),
        (
            "audit.witness = 'http://a'".to_owned(),
            r#"`audit.witness` is `"http://a"`, not an array of tables"#,
            "1:17",
            "1 | audit.witness = 'http://a'",
            "                ^^^^^^^^^^",
            &[LIST],
        ),
        (
            "[audit.witness]\nurl = 'http://a'".to_owned(),
            "`audit.witness` is a table, not an array of tables",
            "1:1",
            "1 | [audit.witness]",
            "^^^^^^^^^^^^^^^",
            &[LIST],
        ),
    ] {
        let (error, place) = (format!("error: {error}"), format!(" --> default.toml:{place}"));
        check(&text, &[&[&*error, &place, "  |", line, &format!("  | {carets}")], rest].concat());
    }
}

#[test]
fn a_list_has_sixteen_tables_at_most() {
    let list = |count: usize| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        use sha2::{Digest as _, Sha256};
        let key = |name: &str| {
            let key = [&[4], [1; 32].as_slice()].concat();
            let hash = Sha256::new().chain_update(name).chain_update("\n").chain_update(&key).finalize();
            format!("{name}+{:08x}+{}", u32::from_be_bytes(*hash.first_chunk().unwrap()), STANDARD.encode(key))
        };
        let table = |index| format!("[[audit.witness]]\nurl = 'http://w'\nkey = '{}'\n", key(&format!("w{index}")));
        (0..count).map(table).collect::<String>()
    };
    assert_eq!(load(&[("default.toml", &list(16))], &[]).settings.audit.witness.len(), 16);
    let long = "error: `audit.witness` is an array of 18, too long";
    let (line, carets) = ("49 | [[audit.witness]]", "   | ^^^^^^^^^^^^^^^^^");
    check(&list(18), &[long, "  --> default.toml:49:1", "   |", line, carets, &format!(" {LIST}")]);
}

#[test]
fn faults_of_a_list_in_a_variable_name_it() {
    let place = " --> environment variable ACGS_AUDIT__WITNESS";
    let missing = "error: `audit.witness.key` is missing";
    let again = &*format!("error: `audit.witness.key` is `\"{KEY_A}\"`, of the same name as one before it");
    let twice = &*format!("[{{key='{KEY_A}',url='http://a'}},{{url='http://b',key='{KEY_A}'}}]");
    for (value, expected) in [
        ("[{url = 'http://a'}]", &[missing, place, KEY][..]),
        ("['x']", &[r#"error: `audit.witness` has `"x"` in it, not a table"#, place, LIST]),
        ("7", &["error: `audit.witness` is `7`, not an array of tables", place, LIST]),
        ("http://a", &["error: string values must be quoted, expected literal string", place, LIST]),
        ("[] []", &["error: unexpected content, expected nothing", place, LIST]),
        (twice, &[again, place, KEY]),
        (
            "[{kye = 'x', url = 'a'}]",
            &[
                missing,
                place,
                KEY,
                "",
                "error: `audit.witness.kye` is not a key",
                place,
                "  = help: did you mean `audit.witness.key`?",
                MEMBERS,
                "",
                r#"error: `audit.witness.url` is `"a"`, not such a URL"#,
                place,
                URL,
            ],
        ),
    ] {
        check_variable("ACGS_AUDIT__WITNESS", value, expected);
    }
}

#[test]
fn a_misspelt_list_is_told_from_a_section() {
    for (text, error) in [
        ("[[audit.witnes]]\nurl = 1", "error: `audit.witnes` is not a section"),
        ("[[witness]]\nurl = 1", "error: `witness` is not a section"),
        ("audit.witnes = []", "error: `audit.witnes` is not a key"),
    ] {
        let printed = faults(&[("default.toml", text)], &[]);
        assert!(printed.starts_with(error), "{printed}");
        assert!(printed.contains("\n  = help: did you mean `audit.witness`?\n"), "{printed}");
    }
}
