//! Several nodes, and several servers.

use super::super::lease::LeaseOutcome;
use super::super::private_redis::free_port;
use super::super::server::ServerKind;
use super::*;

#[actix::test]
async fn a_message_of_one_node_wakes_the_others() {
    let Some(mut redis) = PrivateRedis::start(&[]) else { return };
    let (one, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    let calls = || other.calls.load(Ordering::Relaxed);
    until(async || calls() == 1).await;
    one.shared.publish(7);
    until(async || calls() == 2).await;
    assert_eq!((one.counts().await.published, other.counts().await.messages), (1, 1));

    redis.kill();
    until(async || !other.shared.status().await.unwrap().listening).await;
    one.shared.publish(8);
    until(async || one.counts().await.unpublished == 1).await;
    redis.start_again();
    until(async || calls() == 3).await;
    assert!(other.shared.status().await.unwrap().listening, "it looks after it was deaf");
    one.until_usable().await;
    one.shared.publish(9);
    until(async || calls() == 4).await;
}

#[actix::test]
async fn one_node_evaluates_and_the_others_find_its_verdict() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let (one, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    let long = Duration::from_secs(20);
    let LeaseOutcome::Granted(claimed) = one.shared.claim(&[1; 32], long).await else { panic!("nobody else asked") };
    let waiting = other.shared.claim(&[1; 32], long);
    let evaluating = async {
        one.put(&[one.verdict(1)]).await;
        drop(claimed);
    };
    let (found, ()) = tokio::join!(waiting, evaluating);
    assert!(matches!(found, LeaseOutcome::Found(found) if found.verdict == one.cached_verdict().verdict));
    until(async || redis.names().len() == 1).await;
    assert!(matches!(other.shared.claim(&[1; 32], long).await, LeaseOutcome::Granted(_)), "it was given back");
}

#[actix::test]
async fn nobody_waits_longer_than_evaluating_takes() {
    let Some(redis) = PrivateRedis::start(&[]) else { return };
    let (one, other) = (Node::ready(options(redis.server())).await, Node::ready(options(redis.server())).await);
    let long = Duration::from_secs(20);
    let LeaseOutcome::Granted(_claimed) = one.shared.claim(&[1; 32], long).await else { panic!("nobody else asked") };
    assert!(matches!(other.shared.claim(&[1; 32], Duration::from_millis(50)).await, LeaseOutcome::Unavailable));
    assert!(matches!(other.shared.claim(&[2; 32], long).await, LeaseOutcome::Granted(_)), "another question is free");
}

#[actix::test]
async fn without_a_server_everybody_evaluates() {
    let Some(mut redis) = PrivateRedis::start(&[]) else { return };
    let node = Node::ready(options(redis.server())).await;
    redis.kill();
    assert!(matches!(node.shared.claim(&[1; 32], Duration::from_secs(20)).await, LeaseOutcome::Unavailable));
}

#[actix::test]
async fn a_cluster_is_one_cache() {
    let nodes: Vec<PrivateRedis> = (0..3).map_while(|_| PrivateRedis::start(&["--cluster-enabled", "yes"])).collect();
    let [first, others @ ..] = nodes.as_slice() else { return };
    for (node, slots) in nodes.iter().zip([("0", "5000"), ("5001", "10000"), ("10001", "16383")]) {
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]);
    }
    for node in others {
        first.ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]);
    }
    let info = |node: &PrivateRedis| -> String { redis::from_redis_value(node.ask(&["CLUSTER", "INFO"])).unwrap() };
    let whole = |info: String| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
    until(async || nodes.iter().all(|node| whole(info(node)))).await;

    let server = Server { kind: ServerKind::Cluster, ..first.server() };
    let (one, other) = (Node::ready(options(server.clone())).await, Node::ready(options(server)).await);
    until(async || other.calls.load(Ordering::Relaxed) == 1).await;
    let verdicts: Vec<_> = (0..=255).map(|key| one.verdict(key)).collect();
    one.put(&verdicts).await;
    let keys: Vec<Key> = verdicts.iter().map(|(key, _)| *key).collect();
    assert!(other.shared.fetch(&keys).await.iter().all(Option::is_some));
    assert!(nodes.iter().all(|node| !node.names().is_empty()), "each node has a share");
    until(async || other.shared.status().await.unwrap().memory.limit == Some(0)).await;
    one.shared.publish(1);
    until(async || other.calls.load(Ordering::Relaxed) == 2).await;
    assert_eq!(other.shared.clear().await, Ok(256));
    assert_eq!(nodes.iter().map(|node| node.names().len()).sum::<usize>(), 0);
}

#[actix::test]
async fn sentinels_lead_to_the_master_and_to_the_next_one() {
    let Some(mut master) = PrivateRedis::start(&[]) else { return };
    let port = master.port().to_string();
    let Some(replica) = PrivateRedis::start(&["--replicaof", "127.0.0.1", &port]) else { return };
    let synced = |info: String| info.contains("master_link_status:up");
    let info = || redis::from_redis_value(replica.ask(&["INFO", "replication"])).unwrap();
    until(async || synced(info())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.conf");
    let lines =
        ["down-after-milliseconds fleet 300", "failover-timeout fleet 2000"].map(|line| format!("sentinel {line}\n"));
    std::fs::write(&file, format!("sentinel monitor fleet 127.0.0.1 {port} 1\n{}", lines.concat())).unwrap();
    let Some(sentinel) = PrivateRedis::start(&[file.to_str().unwrap(), "--sentinel"]) else { return };
    let knows =
        || format!("{:?}", sentinel.ask(&["SENTINEL", "REPLICAS", "fleet"])).contains(&replica.port().to_string());
    until(async || knows()).await;

    let kind = ServerKind::Sentinel { master: "fleet".to_owned() };
    // The first one is not there.
    let hosts = [vec![("127.0.0.1".to_owned(), free_port())], sentinel.server().hosts].concat();
    let node = Node::ready(options(Server { kind, hosts, ..sentinel.server() })).await;
    node.put(&[node.verdict(1)]).await;
    assert_eq!(master.names().len(), 1);
    master.kill();
    until(async || node.fetch(2).await.is_none() && !node.shared.is_usable()).await;
    until(async || {
        node.put(&[node.verdict(2)]).await;
        node.fetch(2).await.is_some()
    })
    .await;
    assert!(!replica.names().is_empty());
}
