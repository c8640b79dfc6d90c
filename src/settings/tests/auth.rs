//! Who may ask for decisions, whose tokens are accepted, and whose word on addresses.

use std::path::Path;

use super::{
    super::{DecisionAccess, ProxyProtocol},
    check, check_variable, faults, folder_with, load, variables,
};
use crate::settings::Settings;

const ACCESS: &str = "  = allowed: `http.bind` on a loopback address or a Unix socket, or `auth.decisions = \"token\"`, \
                      because others can reach this address";

#[test]
fn decisions_are_open_only_where_others_cannot_come() {
    for (bind, others) in [
        ("127.0.0.1:8080", false),
        ("127.9.9.9:80", false),
        ("[::1]:8080", false),
        ("[::ffff:127.0.0.1]:8080", false),
        ("unix:acgs.sock", false),
        ("0.0.0.0:8080", true),
        ("[::]:8080", true),
        ("192.0.2.1:80", true),
    ] {
        let text = format!("http.bind = '{bind}'");
        if others {
            let error = format!(
                "error: `http.bind` is `\"{bind}\"`, but `auth.decisions` is `\"open\"` (default)\n --> default.toml:1:13"
            );
            let printed = faults(&[("default.toml", &text)], &[]);
            assert!(printed.starts_with(&error) && printed.ends_with(ACCESS), "{printed}");
        } else {
            assert_eq!(load(&[("default.toml", &text)], &[]).settings.auth.decisions, DecisionAccess::Open, "{bind}");
        }
        let settings = load(&[("default.toml", &text), ("local.toml", "auth.decisions = 'token'")], &[]).settings;
        assert_eq!(settings.auth.decisions, DecisionAccess::Token, "{bind}");
    }
}

#[test]
fn that_decisions_are_open_is_said_where_it_was_written() {
    check(
        "[http]\nbind = '0.0.0.0:80'\n[auth]\ndecisions = 'open'",
        &[
            "error: `http.bind` is `\"0.0.0.0:80\"`, but `auth.decisions` is `\"open\"` (default.toml:4)",
            " --> default.toml:2:8",
            "  |",
            "2 | bind = '0.0.0.0:80'",
            "  |        ^^^^^^^^^^^^",
            ACCESS,
        ],
    );
    check_variable(
        "ACGS_HTTP__BIND",
        "[::]:80",
        &[
            "error: `http.bind` is `\"[::]:80\"`, but `auth.decisions` is `\"open\"` (default)",
            " --> environment variable ACGS_HTTP__BIND",
            ACCESS,
        ],
    );
    // What was meant is not known.
    let printed = faults(&[("default.toml", "http.bind = '0.0.0.0:80'\nauth.decisions = 'tokens'")], &[]);
    assert!(printed.starts_with("error: `auth.decisions` is `\"tokens\"`, not an allowed value"), "{printed}");
    assert!(printed.contains("did you mean `token`?") && !printed.contains("http.bind"), "{printed}");
}

#[test]
fn an_issuer_has_its_keys_at_a_url_or_in_a_file_of_the_settings_folder() {
    let text = "[[auth.issuers]]\nissuer = 'https://id.example/'\njwks_url = 'https://id.example/jwks'\n\
                [[auth.issuers]]\nissuer = 'https://id.example'\njwks_file = 'keys/b.json'\naudience = 'b'\n\
                role_claim = 'https://b.example/roles'\n\
                [[auth.issuers]]\nissuer = 'http://c.example'\njwks_file = '/etc/c.json'";
    let folder = folder_with(&[("default.toml", text)]);
    let first = Settings::load(folder.path(), None, variables(&[])).unwrap().settings;
    let found: Vec<_> = first
        .auth
        .issuers
        .iter()
        .map(|issuer| {
            let url = issuer.jwks_url.as_ref().map(ToString::to_string);
            let (audience, role_claim) = (issuer.audience.as_str(), issuer.role_claim.as_str());
            (issuer.issuer.as_str(), url, issuer.jwks_file.as_deref(), audience, role_claim)
        })
        .collect();
    let url = Some("https://id.example/jwks".to_owned());
    let file = folder.path().join("keys/b.json");
    assert_eq!(
        found,
        [
            ("https://id.example/", url, None, "acgs", "roles"),
            ("https://id.example", None, Some(&*file), "b", "https://b.example/roles"),
            ("http://c.example", None, Some(Path::new("/etc/c.json")), "acgs", "roles"),
        ]
    );
    let second = load(&[("default.toml", &first.to_string())], &[]).settings;
    assert_eq!(second.auth, first.auth);
    assert_eq!(
        load(&[], &[]).settings.restart_needed(&load(&[("default.toml", text)], &[]).settings),
        ["auth.issuers"]
    );
}

#[test]
fn an_issuer_without_keys_or_with_keys_in_two_places_is_refused() {
    let allowed = "  = allowed: either `jwks_url` or `jwks_file` for the issuer `https://a`";
    check(
        "[[auth.issuers]]\nissuer = 'https://a'",
        &[
            "error: `auth.issuers.jwks_url` is missing",
            " --> default.toml:1:1",
            "  |",
            "1 | [[auth.issuers]]",
            "  | ^^^^^^^^^^^^^^^^",
            allowed,
        ],
    );
    check_variable(
        "ACGS_AUTH__ISSUERS",
        "[{ issuer = 'https://a', jwks_url = 'https://a/keys', jwks_file = '/a' }]",
        &[
            "error: `auth.issuers.jwks_url` is `\"https://a/keys\"`, but `auth.issuers.jwks_file` is `\"/a\"` \
             (ACGS_AUTH__ISSUERS)",
            " --> environment variable ACGS_AUTH__ISSUERS",
            allowed,
        ],
    );
}

#[test]
fn no_two_issuers_have_the_same_name() {
    let printed = faults(
        &[(
            "default.toml",
            "[[auth.issuers]]\nissuer = 'https://a'\njwks_file = 'a'\n[[auth.issuers]]\nissuer = 'https://a'\n\
             jwks_url = 'https://b'",
        )],
        &[],
    );
    let again =
        "error: `auth.issuers.issuer` is `\"https://a\"`, of the same name as one before it\n --> default.toml:5:10";
    assert!(printed.starts_with(again), "{printed}");
    let printed = faults(&[("default.toml", "[[auth.issuers]]\njwks_url = 'https://b'\njwks_fil = ''")], &[]);
    for part in ["`auth.issuers.issuer` is missing", "did you mean `auth.issuers.jwks_file`?"] {
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn proxies_are_networks() {
    let settings = load(&[], &[("ACGS_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,::1")]).settings;
    assert_eq!(settings.http.trusted_proxies.to_string(), "10.0.0.0/8, ::1");
    let none = load(&[], &[]).settings.http.trusted_proxies;
    assert!(none.has_no_network() && !none.contains_unix());
    let allowed =
        "  = allowed: networks and addresses like `10.0.0.0/8, ::1`, and `unix`, separated by commas, or nothing";
    let place = " --> environment variable ACGS_HTTP__TRUSTED_PROXIES";
    for (value, why) in
        [("proxy.example", "not a list of networks"), ("10.0.0.1/8", "but a network in it has bits beyond its prefix")]
    {
        let error = format!("error: `http.trusted_proxies` is `\"{value}\"`, {why}");
        check_variable("ACGS_HTTP__TRUSTED_PROXIES", value, &[&error, place, allowed]);
    }
}

#[test]
fn the_proxy_protocol_is_for_proxies_that_can_connect() {
    for (bind, proxies, fits) in [
        ("127.0.0.1:80", "10.0.0.0/8", true),
        ("127.0.0.1:80", "unix, ::1", true),
        ("unix:acgs.sock", "unix", true),
        ("127.0.0.1:80", "", false),
        ("127.0.0.1:80", "unix", false),
        ("unix:acgs.sock", "10.0.0.0/8", false),
    ] {
        let text = format!("[http]\nbind = '{bind}'\ntrusted_proxies = '{proxies}'\nproxy_protocol = 'v2'");
        if fits {
            assert_eq!(load(&[("default.toml", &text)], &[]).settings.http.proxy_protocol, ProxyProtocol::V2, "{bind}");
        } else {
            let printed = faults(&[("default.toml", &text)], &[]);
            let error =
                format!("error: `http.proxy_protocol` is `\"v2\"`, but `http.trusted_proxies` is `\"{proxies}\"`");
            assert!(printed.starts_with(&error), "{bind}: {printed}");
        }
    }
    let printed = faults(&[("default.toml", "http.max_connections = 4_000")], &[]);
    assert!(
        printed.starts_with("error: `http.max_connections` is `4000`, but `http.max_connections_per_address`"),
        "{printed}"
    );
}

#[test]
fn times_and_counts_of_tokens_have_bounds() {
    for (key, least, most) in [
        ("access_token_ttl_s", 60, 86_400),
        ("refresh_token_ttl_s", 60, 31_536_000),
        ("key_rotation_days", 1, 3_650),
        ("lockout_attempts", 1, 1_000),
        ("lockout_s", 1, 86_400),
    ] {
        for value in [least, most] {
            load(&[("default.toml", &format!("auth.{key} = {value}"))], &[]);
        }
        for value in [least - 1, most + 1] {
            let printed = faults(&[("default.toml", &format!("auth.{key} = {value}"))], &[]);
            assert!(printed.starts_with(&format!("error: `auth.{key}` is `{value}`, out of range")), "{printed}");
        }
    }
}
