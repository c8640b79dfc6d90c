//! Redis: alone, with TLS, with users, as a cluster, and with a sentinel.

use super::{can, is_answered_only_after};
use crate::harness::authority::Authority;
use crate::harness::redis::{Cluster, Options, Redis, Sentinel, ask};

fn is_installed() -> bool {
    can(Redis::is_installed(), "Redis")
}

/// With everything that a caller may need credentials and certificates for, where that can be.
fn guarded() -> Options {
    let options = Redis::options().password("secret");
    if can(Authority::is_possible(), "`openssl`") { options.tls() } else { options }
}

/// The authority of a server that has one.
fn root(server: &Redis) -> Option<std::path::PathBuf> {
    server.url().starts_with("rediss:").then(|| server.authority().root())
}

#[test]
fn a_server_is_there_at_once_and_empty_again_after_each_end() {
    if !is_installed() {
        return;
    }
    let server = Redis::start();
    let ask = |command: &[&str]| ask(&server.url(), None, command);
    assert_eq!(ask(&["SET", "a", "1"]), Ok("OK".into()));
    assert_eq!(server.command(&["MGET", "a", "b"]), "1");
    assert_eq!(server.info("evicted_keys"), "0");
    server.flush();
    for down in [Redis::flush, Redis::kill, Redis::restart] {
        assert_eq!(ask(&["DBSIZE"]), Ok("0".into()));
        assert_eq!(ask(&["SET", "a", "1"]), Ok("OK".into()));
        down(&server);
        if ask(&["PING"]).is_err() {
            server.restart();
        }
    }
    assert_eq!(server.command(&["DBSIZE"]), "0");
    assert!(server.try_command(&["FROB"]).unwrap_err().contains("unknown command"));
}

#[test]
fn a_stopped_server_keeps_connections_and_answers_when_it_goes_on() {
    if !is_installed() {
        return;
    }
    let server = Redis::start();
    server.stop();
    is_answered_only_after(|| ask(&server.url(), None, &["PING"]), || server.cont(), &Ok("PONG".into()));
    server.stop();
    server.kill();
    server.restart();
}

#[test]
fn memory_can_be_short() {
    if !is_installed() {
        return;
    }
    let server = Redis::options().set("maxmemory", "2mb").set("maxmemory-policy", "allkeys-lru").start();
    assert_eq!(server.command(&["CONFIG", "GET", "maxmemory-policy"]), "maxmemory-policy\nallkeys-lru");
    for key in ["a", "b", "c", "d", "e", "f"] {
        server.command(&["SETRANGE", key, "300000", "x"]);
    }
    assert_ne!(server.info("evicted_keys"), "0");
}

#[test]
fn a_user_may_do_what_is_allowed_and_nobody_else_anything() {
    if !is_installed() {
        return;
    }
    let server = Redis::options().user("acgs", "secret", "~acgs:* +get +set").start();
    let url = server.url();
    assert_eq!(ask(&url, None, &["SET", "acgs:a", "1"]), Ok("OK".into()));
    assert!(ask(&url, None, &["SET", "b", "1"]).unwrap_err().contains("NOPERM"));
    assert!(ask(&url, None, &["FLUSHDB"]).unwrap_err().contains("NOPERM"));
    let [wrong, nobody] = ["acgs:other@", ""].map(|credentials| url.replace("acgs:secret@", credentials));
    for url in [wrong, nobody] {
        assert!(ask(&url, None, &["GET", "acgs:a"]).is_err(), "{url}");
    }
    assert_eq!(server.command(&["GET", "acgs:a"]), "1");
}

#[test]
fn tls_is_verified_and_a_password_asked_for() {
    if !is_installed() || !can(Authority::is_possible(), "`openssl`") {
        return;
    }
    let server = guarded().start();
    let url = server.url();
    let own = root(&server);
    assert!(url.starts_with("rediss://:secret@127.0.0.1:"), "{url}");
    assert_eq!(ask(&url, own.clone(), &["SET", "a", "1"]), Ok("OK".into()));
    let other = Authority::new();
    assert!(ask(&url, Some(other.root()), &["PING"]).unwrap_err().contains("certificate verify failed"));
    assert!(ask(&url.replace("rediss", "redis"), None, &["PING"]).is_err());
    assert!(ask(&url.replace("secret", "other"), own, &["GET", "a"]).is_err());
    assert_eq!(server.command(&["GET", "a"]), "1");
}

#[test]
fn a_cluster_spreads_keys_over_its_servers() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::with(&guarded());
    assert!(cluster.url().contains("+cluster://:secret@127.0.0.1:"), "{}", cluster.url());
    assert_eq!(cluster.url().matches(",127.0.0.1:").count(), 2);
    // Their slots are 15495, 3300 and 7365.
    for (key, place) in [("a", 2), ("b", 0), ("c", 1)] {
        let node = cluster.node_of(key);
        assert_eq!(node.port(), cluster.nodes[place].port(), "{key}");
        assert_eq!(ask(&node.url(), root(node), &["SET", key, "1"]), Ok("OK".into()));
        let other = &cluster.nodes[(place + 1) % 3];
        let moved = other.try_command(&["GET", key]).unwrap_err();
        assert!(moved.contains("MOVED") && moved.contains(&node.port().to_string()), "{moved}");
    }
}

#[test]
fn a_sentinel_names_another_master_when_the_first_is_gone() {
    if !is_installed() {
        return;
    }
    let service = Sentinel::with(&guarded());
    let named = || service.watch.command(&["SENTINEL", "get-master-addr-by-name", "acgs"]);
    let address = |server: &Redis| format!("127.0.0.1\n{}", server.port());
    assert!(service.url().ends_with("/acgs") && service.url().contains(&service.watch.port().to_string()));
    let [first, second] = &service.servers;
    assert_eq!(named(), address(first));
    first.command(&["SET", "a", "1"]);
    assert_eq!(first.command(&["WAIT", "1", "0"]), "1");
    service.fail_over();
    assert_eq!((named(), service.master().port()), (address(second), second.port()));
    assert_eq!(ask(&second.url(), root(second), &["GET", "a"]), Ok("1".into()));
    assert_eq!(second.command(&["SET", "a", "2"]), "OK");
    first.restart();
    assert_eq!((named(), &*first.command(&["DBSIZE"])), (address(second), "0"));
}
