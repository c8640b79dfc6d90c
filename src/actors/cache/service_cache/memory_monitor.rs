//! Checks whether the server's memory is configured for a cache: bounded, with an LRU or LFU eviction policy.

use redis::{Cmd, FromRedisValue as _, Value};
use serde::Serialize;

use super::server::Request;

/// The server's memory figures; `None` where it does not report them. For a cluster, the sums, and the worst of its
/// masters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServerMemory {
    /// Bytes in use.
    pub used: Option<u64>,
    /// The limit in bytes; 0 without one.
    pub limit: Option<u64>,
    /// Which keys go when it is full.
    pub policy: Option<String>,
    /// Keys that went since the server started.
    pub evicted: Option<u64>,
}

impl ServerMemory {
    /// Advice for the server's administrator; `None` if nothing is to be changed, or nothing is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        if self.limit == Some(0) {
            return Some("`maxmemory` is not set: the cache grows until the server has no memory left");
        }
        match self.policy.as_deref() {
            None | Some("allkeys-lru" | "allkeys-lfu") => None,
            Some(_) => {
                Some("`maxmemory-policy` should be `allkeys-lru` or `allkeys-lfu`, so that old verdicts go first")
            }
        }
    }

    /// The request for the figures. Its answers may be errors, if the user's ACL forbids them.
    pub(super) fn request() -> Request {
        let command = |words: [&str; 2]| -> Cmd {
            let [name, argument] = words;
            let mut command = redis::cmd(name);
            command.arg(argument);
            command
        };
        let mut config = redis::cmd("CONFIG");
        config.arg("GET").arg("maxmemory*");
        Request::Many(vec![command(["INFO", "memory"]), command(["INFO", "stats"]), config])
    }

    /// Parses the answers. `INFO` is sufficient; if it is forbidden, `CONFIG GET` may be allowed.
    pub(super) fn of<E>(answers: &[Result<Value, E>]) -> Self {
        let mut memory = Self::default();
        for value in answers.iter().flatten() {
            match value {
                // Of each master, in a cluster; else the answer to `CONFIG GET` where that is no list.
                Value::Map(pairs) => {
                    for (name, value) in pairs {
                        memory.take(name, value);
                    }
                }
                Value::Array(items) => {
                    for [name, value] in items.as_chunks::<2>().0 {
                        memory.take(name, value);
                    }
                }
                text => memory.read(text),
            }
        }
        memory
    }

    /// Reads `name` → `value` of `CONFIG GET`, or `address` → text of `INFO`.
    fn take(&mut self, name: &Value, value: &Value) {
        match String::from_redis_value_ref(name).unwrap_or_default().as_str() {
            "maxmemory" if self.limit.is_none() => self.limit = text(value).parse().ok(),
            "maxmemory-policy" if self.policy.is_none() => self.policy = Some(text(value)),
            name if name.starts_with("maxmemory") => {}
            _ => self.read(value),
        }
    }

    fn read(&mut self, info: &Value) {
        for (name, value) in text(info).lines().filter_map(|line| line.split_once(':')) {
            let number = value.parse::<u64>().ok();
            match name {
                "used_memory" => self.used = sum(self.used, number),
                "evicted_keys" => self.evicted = sum(self.evicted, number),
                "maxmemory" => self.limit = least(self.limit, number),
                // The one that is no good is the one to show.
                "maxmemory_policy" if self.policy.is_none() || !value.starts_with("allkeys-l") => {
                    self.policy = Some(value.to_owned());
                }
                _ => {}
            }
        }
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.map(|a| a.saturating_add(b.unwrap_or(0))).or(b)
}

/// The tighter limit, or `None` if one is unlimited.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.zip(b).map(|(a, b)| a.min(b)).or(b)
}

fn text(value: &Value) -> String {
    String::from_redis_value_ref(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn of(answers: &[Result<Value, ()>]) -> (Option<u64>, Option<u64>, Option<String>, Option<u64>) {
        let ServerMemory { used, limit, policy, evicted } = ServerMemory::of(answers);
        (used, limit, policy, evicted)
    }

    #[test]
    fn what_is_known_is_taken_from_whoever_says_it() {
        let info = || Ok(bulk("# Memory\r\nused_memory:10\r\nmaxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n"));
        let stats = || Ok(bulk("# Stats\r\nevicted_keys:3\r\n"));
        let config = || {
            let words = ["maxmemory-samples", "5", "maxmemory", "7", "maxmemory-policy", "noeviction"];
            Ok(Value::Array(words.map(bulk).to_vec()))
        };
        let policy = |policy: &str| Some(policy.to_owned());
        let known = (Some(10), Some(100), policy("allkeys-lru"), Some(3));
        assert_eq!(of(&[info(), stats(), Err(())]), known);
        assert_eq!(of(&[info(), stats(), config()]), known);
        assert_eq!(of(&[Err(()), Err(()), config()]), (None, Some(7), policy("noeviction"), None));
        assert_eq!(of(&[Err(()), Err(()), Err(())]), (None, None, None, None));
        let other = bulk("used_memory:5\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n");
        let both = Ok(Value::Map(vec![(bulk("a:1"), info().unwrap()), (bulk("b:1"), other)]));
        assert_eq!(of(&[both]), (Some(15), Some(0), policy("noeviction"), None));
    }

    #[test]
    fn an_unbounded_cache_or_one_that_refuses_is_warned_of() {
        let rows = [
            (None, None, false),
            (Some(0), Some("allkeys-lru"), true),
            (Some(1), Some("noeviction"), true),
            (Some(1), Some("volatile-lru"), true),
            (Some(1), Some("allkeys-random"), true),
            (Some(1), Some("allkeys-lru"), false),
            (Some(1), Some("allkeys-lfu"), false),
        ];
        for (limit, policy, warned) in rows {
            let memory = ServerMemory { limit, policy: policy.map(str::to_owned), ..ServerMemory::default() };
            assert_eq!(memory.advice().is_some(), warned, "{limit:?} {policy:?}");
        }
    }
}
