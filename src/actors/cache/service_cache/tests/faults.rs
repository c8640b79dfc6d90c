//! What the server does wrong costs evaluations, and nothing else.

use super::super::private_redis::free_port;
use super::*;

#[actix::test]
async fn nothing_waits_for_a_server_that_is_not_there_and_it_is_used_once_it_is() {
    let Some(mut redis) = PrivateRedis::start(&[]) else { return };
    redis.kill();
    let node = Node::start(options(redis.server()));
    assert!(node.fetch(1).await.is_none());
    until(async || node.shared.status().await.unwrap().error.is_some()).await;
    node.put(&[node.verdict(1)]).await;
    let counts = node.counts().await;
    assert_eq!((counts.bypassed, counts.lost, counts.misses), (1, 1, 0));
    redis.start_again();
    node.until_usable().await;
    node.put(&[node.verdict(1)]).await;
    assert!(node.fetch(1).await.is_some());
}

#[actix::test]
async fn a_server_that_hangs_is_not_asked_until_it_answers_again() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let timeout = Duration::from_millis(200);
    let node = Node::ready(L2Options { timeout, ..options(redis.server()) }).await;
    node.put(&[node.verdict(1)]).await;
    redis.stop();
    let mut late = 0;
    while node.shared.is_usable() {
        assert!(node.fetch(1).await.is_none());
        late += 1;
    }
    assert!(late <= 6, "{late} asks waited");
    for _ in 0..100 {
        assert!(node.fetch(1).await.is_none());
    }
    let status = node.shared.status().await.unwrap();
    assert_eq!((status.connections, status.outages), (0, 1));
    assert!(status.counts.late >= 5 && status.counts.bypassed >= 100, "{status:?}");
    redis.go_on();
    node.until_usable().await;
    assert!(node.fetch(1).await.is_some(), "what was there still is");
    until(async || node.shared.status().await.unwrap().connections == 2).await;
}

#[actix::test]
async fn a_server_that_was_killed_and_started_again_is_used_again() {
    let Some(mut redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    for round in 1..=2 {
        node.put(&[node.verdict(1)]).await;
        assert!(node.fetch(1).await.is_some());
        redis.kill();
        assert!(node.fetch(1).await.is_none());
        until(async || !node.shared.is_usable()).await;
        redis.start_again();
        node.until_usable().await;
        until(async || node.shared.fault().is_none()).await;
        assert!(node.fetch(1).await.is_none(), "it is empty");
        assert_eq!(node.shared.status().await.unwrap().outages, round);
    }
}

#[actix::test]
async fn a_server_that_was_killed_is_reported_before_it_is_asked() {
    let Some(mut redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    until(async || node.shared.status().await.unwrap().listening).await;
    assert_eq!(node.shared.fault(), None);
    redis.kill();
    until(async || node.shared.fault().is_some()).await;
}

#[actix::test]
async fn connections_that_the_server_closes_are_replaced() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    node.put(&[node.verdict(1)]).await;
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    until(async || node.fetch(1).await.is_some()).await;
    until(async || node.shared.status().await.unwrap().connections == 2).await;
}

#[actix::test]
async fn a_wiped_server_is_filled_again() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    node.put(&[node.verdict(1)]).await;
    redis.ask(&["FLUSHALL"]);
    assert!(node.fetch(1).await.is_none());
    node.put(&[node.verdict(1)]).await;
    assert!(node.fetch(1).await.is_some());
    assert_eq!(node.shared.status().await.unwrap().outages, 0);
}

#[actix::test]
async fn a_full_server_refuses_what_is_put_and_still_answers() {
    let Some(redis) = PrivateRedis::start(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]) else { return };
    let node = Node::ready(options(redis.server())).await;
    let large = |key| {
        let text = format!("{key}{}", "x".repeat(60_000));
        ([key; 32], CachedVerdict { entities: Some(Arc::new(EntitySet::new(text))), ..node.cached_verdict() })
    };
    for key in 0..=100 {
        node.put(&[large(key)]).await;
    }
    let counts = node.counts().await;
    assert!(counts.written > 5 && counts.refused > 5 && counts.lost == 0, "{counts:?}");
    assert!(node.fetch(0).await.is_some() && node.shared.is_usable());
    let error = node.shared.status().await.unwrap().error.unwrap();
    assert!(error.contains("OOM"), "{error}");
}

#[actix::test]
async fn a_full_cache_forgets_the_oldest() {
    let Some(redis) = PrivateRedis::start(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]) else { return };
    let node = Node::ready(options(redis.server())).await;
    for key in 0..=100 {
        let text = format!("{key}{}", "x".repeat(60_000));
        node.put(&[(
            [key; 32],
            CachedVerdict { entities: Some(Arc::new(EntitySet::new(text))), ..node.cached_verdict() },
        )])
        .await;
    }
    let counts = node.counts().await;
    assert_eq!((counts.written, counts.refused), (101, 0));
    assert!(node.fetch(100).await.is_some());
    assert!(redis.names().len() < 101);
}

#[actix::test]
async fn more_connections_are_opened_while_all_are_busy() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    until(async || node.shared.status().await.unwrap().connections == 2).await;
    redis.ask(&["CLIENT", "PAUSE", "300", "ALL"]);
    let keys: Vec<Key> = (0..=255).map(|key| [key; 32]).collect();
    let asks = keys.iter().map(|key| node.shared.fetch(std::slice::from_ref(key)));
    let found = futures_util::future::join_all(asks).await;
    assert_eq!(found.len(), 256);
    until(async || node.counts().await.opened > 2).await;
    let status = node.shared.status().await.unwrap();
    assert!((3..=4).contains(&status.connections) && status.in_flight == 0, "{status:?}");
    assert_eq!((status.counts.misses, status.counts.late, status.outages), (256, 0, 0));
}

#[actix::test]
async fn what_the_access_list_forbids_is_done_without() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let user = |name: &str, more: &[&str]| {
        let rules = ["ACL", "SETUSER", name, "on", ">pw", "~acgs:v1:*", "&acgs:v1:*", "+get", "+mget", "+set"];
        redis.ask(&[&rules, more].concat());
        Server { user: Some(name.to_owned()), password: Some("pw".to_owned()), ..redis.server() }
    };
    let informed = Node::ready(options(user("informed", &["+info", "+unlink", "+scan"]))).await;
    until(async || informed.shared.status().await.unwrap().memory.limit == Some(0)).await;
    let memory = informed.shared.status().await.unwrap().memory;
    assert_eq!((memory.policy.as_deref(), memory.evicted), (Some("noeviction"), Some(0)));
    assert!(memory.advice().unwrap().contains("maxmemory"));
    informed.put(&[informed.verdict(1)]).await;
    assert_eq!(informed.shared.clear().await, Ok(1));

    let bare = Node::ready(options(user("bare", &[]))).await;
    bare.put(&[bare.verdict(1)]).await;
    assert!(bare.fetch(1).await.is_some());
    let refused = bare.shared.clear().await.unwrap_err().to_string();
    assert!(refused.contains("cannot be removed") && refused.contains("scan"), "{refused}");
    bare.shared.publish(1);
    until(async || bare.counts().await.unpublished == 1).await;
    let status = bare.shared.status().await.unwrap();
    assert_eq!((status.memory.limit, status.memory.policy, status.listening), (None, None, false));
    assert_eq!(status.outages, 0);

    let wrong = Server { password: Some("hunter2".to_owned()), ..user("stranger", &[]) };
    let stranger = Node::start(options(wrong.clone()));
    until(async || stranger.shared.status().await.unwrap().error.is_some()).await;
    let error = stranger.shared.status().await.unwrap().error.unwrap();
    assert!(error.contains("authentication failed") && !error.contains("hunter2"), "{error}");
    assert!(!format!("{wrong:?}").contains("hunter2"));
}

#[actix::test]
async fn a_port_where_somebody_else_answers_is_no_server() {
    let port = free_port();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let answering = std::thread::spawn(move || {
        use std::io::Write as _;
        for stream in listener.incoming().take(2) {
            drop(stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let hosts = vec![("127.0.0.1".to_owned(), port)];
    let kind = super::super::server::ServerKind::Standalone;
    let node = Node::start(options(Server { kind, hosts, tls: false, user: None, password: None, db: 0 }));
    until(async || node.counts().await.unopened > 0).await;
    assert!(node.fetch(1).await.is_none() && !node.shared.is_usable());
    answering.join().unwrap();
}
