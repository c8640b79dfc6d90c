//! Removes all keys of one fleet from Redis, and no others.

use std::collections::HashMap;

use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, FromRedisValue as _, RedisError, RedisResult, Value};

use super::server::{Link, Request, Server};

/// The number of keys scanned by one command.
const COUNT: usize = 1000;

/// The cursor of a scan, and the keys that it found.
type Page = (u64, Vec<Vec<u8>>);

/// Removes all keys that begin with a prefix, on a connection of its own; how many they were.
pub(super) async fn clear(server: &Server, prefix: &str) -> RedisResult<u64> {
    let mut link = server.open().await?;
    let mut removed = 0;
    // Each server has its own place; a lone one has no name.
    let mut places = begin(&mut link, prefix).await?;
    while let Some((node, (cursor, keys))) = places.pop() {
        removed += unlink(&mut link, &keys).await?;
        if cursor != 0 {
            let page = go_on(&mut link, &node, scan(prefix, cursor)).await?;
            places.push((node, page));
        }
    }
    Ok(removed)
}

async fn begin(link: &mut Link, prefix: &str) -> RedisResult<Vec<(String, Page)>> {
    match link {
        Link::Single(_) => Ok(vec![(String::new(), go_on(link, "", scan(prefix, 0)).await?)]),
        Link::Cluster(cluster) => {
            let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            let pages = cluster.route_command(scan(prefix, 0), all).await?;
            Ok(HashMap::<String, Page>::from_redis_value(pages)?.into_iter().collect())
        }
    }
}

async fn go_on(link: &mut Link, node: &str, scan: Cmd) -> RedisResult<Page> {
    let page = match link {
        Link::Single(_) => only(link.ask(&Request::One(scan)).await?)?,
        Link::Cluster(cluster) => {
            let nowhere = || RedisError::from((ErrorKind::ClusterConnectionNotFound, "a node has no address"));
            let (host, port) = node.rsplit_once(':').ok_or_else(nowhere)?;
            let port = port.parse().map_err(|_| nowhere())?;
            let there = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
            cluster.route_command(scan, RoutingInfo::SingleNode(there)).await?
        }
    };
    Ok(Page::from_redis_value(page)?)
}

async fn unlink(link: &mut Link, keys: &[Vec<u8>]) -> RedisResult<u64> {
    if keys.is_empty() {
        return Ok(0);
    }
    let mut command = redis::cmd("UNLINK");
    for key in keys {
        command.arg(key.as_slice());
    }
    Ok(u64::from_redis_value(only(link.ask(&Request::One(command)).await?)?)?)
}

fn scan(prefix: &str, cursor: u64) -> Cmd {
    let mut command = redis::cmd("SCAN");
    // Nothing in a prefix has a meaning in a pattern.
    command.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(COUNT);
    command
}

fn only(answers: Vec<RedisResult<Value>>) -> RedisResult<Value> {
    answers.into_iter().next().unwrap_or(Ok(Value::Nil))
}
