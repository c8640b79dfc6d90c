//! What is found is what was put, or nothing.

use redis::Value;

use super::super::lease::LeaseOutcome;
use super::*;

#[actix::test]
async fn a_verdict_that_one_node_put_is_found_by_another() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let (one, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    assert!(other.fetch(1).await.is_none());
    one.put(&[one.verdict(1), one.verdict(2)]).await;
    let found = other.shared.fetch(&[[1; 32], [3; 32], [2; 32]]).await;
    assert!(found[1].is_none());
    for found in [found[0].as_ref().unwrap(), found[2].as_ref().unwrap()] {
        assert_eq!(found.verdict, one.cached_verdict().verdict);
        let set = found.entities.as_ref().unwrap();
        assert_eq!((set.text().as_deref(), set.digest()), (Some(TEXT), EntitySet::new(TEXT.to_owned()).digest()));
        assert!(found.stamps.len() == 2 && found.stamps.iter().all(|stamp| other.versions.is_current(stamp)));
    }
    let counts = other.counts().await;
    assert_eq!((counts.hits, counts.misses, counts.bypassed), (2, 2, 0));
    let Value::Int(left) = redis.ask(&["PTTL", &redis.names()[0]]) else { panic!("no number") };
    assert!((1..=300_000).contains(&left), "{left}");
}

#[actix::test]
async fn a_verdict_is_not_found_after_an_entity_changed_that_it_read() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let (one, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    one.put(&[one.verdict(1)]).await;
    other.versions.bump(&user("carl"), 1);
    let found = other.fetch(1).await.unwrap();
    other.versions.bump(&user("bob"), 2);
    assert!(other.fetch(1).await.is_none());
    assert!(found.stamps.iter().any(|stamp| !other.versions.is_current(stamp)), "who has it sees that too");
    assert_eq!(other.counts().await.outdated, 1);
    assert!(one.fetch(1).await.is_some(), "the other node has not heard of it");
}

#[actix::test]
async fn a_verdict_of_a_state_that_a_node_has_not_seen_is_not_found() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    let applied = node.versions.applied();
    let others = [Revision { version: 1, ..applied }, Revision { nonce: 5, ..applied }];
    for (nth, as_of) in (1..).zip(others) {
        node.shared.put(&[node.verdict(1)], as_of);
        until(async || node.counts().await.written == nth).await;
        assert!(node.fetch(1).await.is_none(), "{as_of}");
        assert_eq!(node.counts().await.outdated, nth);
    }
}

#[actix::test]
async fn what_is_of_an_incarnation_that_was_lost_is_neither_found_nor_claimed() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let (node, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    node.put(&[node.verdict(1)]).await;
    let long = Duration::from_secs(20);
    let LeaseOutcome::Granted(_claimed) = node.shared.claim(&[2; 32], long).await else { panic!("nobody else asked") };
    assert!(other.fetch(1).await.is_some());
    other.shared.replace_secret(Secret::new(&SECRET, 1));
    assert!(other.fetch(1).await.is_none());
    assert!(
        matches!(other.shared.claim(&[2; 32], long).await, LeaseOutcome::Granted(_)),
        "nobody waits for the lost history"
    );
}

#[actix::test]
async fn a_value_that_was_tampered_with_or_moved_or_is_old_is_not_found() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    node.put(&[node.verdict(1)]).await;
    let name = redis.names().pop().unwrap();
    let Value::BulkString(value) = redis.ask(&["GET", &name]) else { panic!("no value") };
    let put = |name: &str, value: &[u8]| drop(redis.ask_bytes(&[b"SET", name.as_bytes(), value]));

    let mut tampered = value.clone();
    tampered[30] ^= 1;
    put(&name, &tampered);
    assert!(node.fetch(1).await.is_none());
    assert_eq!(node.counts().await.forged, 1);

    node.put(&[node.verdict(2)]).await;
    let second = redis.names().into_iter().find(|other| *other != name).unwrap();
    put(&second, &value);
    assert!(node.fetch(2).await.is_none(), "it is for another question");
    assert_eq!(node.counts().await.forged, 2);

    for noise in [&b""[..], b"x", &vec![1; 100_000], &value[1..]] {
        put(&name, noise);
        assert!(node.fetch(1).await.is_none());
    }
    assert_eq!(node.counts().await.malformed, 4);

    redis.ask(&["DEL", &name]);
    redis.ask(&["LPUSH", &name, "a list"]);
    assert!(node.fetch(1).await.is_none());

    put(&name, &value);
    assert!(node.fetch(1).await.is_some(), "and it is found where it was put");

    let ttl = Duration::from_millis(1);
    let brief = Node::ready(L2Options { ttl, ..options(redis.server()) }).await;
    let content = brief.shared.state.content(&brief.cached_verdict(), Revision::default()).unwrap();
    let old = brief.shared.state.secret.load().seal(&[1; 32], &content).unwrap();
    put(&name, &old);
    until(async || super::super::shared_state::now() > content.expires).await;
    assert!(node.fetch(1).await.is_none(), "the server keeps it, but its time is over");
    assert_eq!(node.counts().await.expired, 1);
}

#[actix::test]
async fn another_secret_finds_nothing_and_overwrites_nothing() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    node.put(&[node.verdict(1)]).await;
    node.shared.replace_secret(Secret::new(&[2; 32], 0));
    assert!(node.fetch(1).await.is_none());
    node.put(&[node.verdict(1)]).await;
    assert!(node.fetch(1).await.is_some());
    assert_eq!(redis.names().len(), 2);
    node.shared.replace_secret(Secret::new(&SECRET, 0));
    assert!(node.fetch(1).await.is_some());
    let counts = node.counts().await;
    assert_eq!((counts.forged, counts.malformed), (0, 0));
}

#[actix::test]
async fn clearing_removes_what_is_the_fleets_own() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    redis.ask(&["SET", "somebody", "else's"]);
    redis.ask(&["SET", "acgs:v1:other:x", "y"]);
    let many: Vec<_> = (0..=255).map(|key| node.verdict(key)).collect();
    node.put(&many).await;
    assert_eq!(node.shared.clear().await, Ok(256));
    assert_eq!(node.shared.clear().await, Ok(0));
    assert!(node.fetch(1).await.is_none());
    let mut names = redis.names();
    names.sort_unstable();
    assert_eq!(names, ["acgs:v1:other:x", "somebody"]);
}

#[actix::test]
async fn what_cannot_be_shared_is_not_put() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    let large = CachedVerdict { entities: Some(Arc::new(EntitySet::new("x".repeat(70_000)))), ..node.cached_verdict() };
    node.put(&[([1; 32], large)]).await;
    let recorded = node.verdict(2);
    assert!(recorded.1.entities.as_ref().unwrap().take().is_some());
    node.put(&[recorded, node.verdict(3)]).await;
    let counts = node.counts().await;
    assert_eq!((counts.too_large, counts.lost, counts.written), (1, 1, 1));
    assert_eq!(redis.names().len(), 1);
    node.put(&[]).await;
    assert!(node.shared.fetch(&[]).await.is_empty() && node.shared.is_usable());
}
