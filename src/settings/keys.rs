//! All keys: their types, names, defaults and allowed values, each defined once.
//!
//! A section that no code reads yet does not exist yet.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use super::{
    address::{Bind, DatabaseUrl, HttpUrl},
    choice::{
        Archiving, DashboardAccess, DecisionAccess, Durability, HashEnforcement, LogFormat, MetricsAccess,
        ProxyProtocol, RequestProperties, RequestRecord,
    },
    hosts::{HostNames, Origins},
    issuer::{ClaimText, Issuer},
    list::Tables,
    log_level::LogLevel,
    origin::LogOrigin,
    percent::{Percent, Percents},
    postgres_url::PostgresUrl,
    proxies::TrustedProxies,
    redis_url::RedisUrl,
    rule::{Count, Flag, PathOrEmpty, Rule, Text, micros, millis, seconds},
    section::{Section, section},
    urls::Urls,
    webhook_url::WebhookUrl,
    witness::Witness,
};
use crate::domain::{ConstitutionDigest, ConstitutionalHash};

section! {
    /// All settings of the daemon.
    ///
    /// Every path in it is absolute.
    Settings {
        /// Folder of everything the daemon writes.
        ///
        /// A relative one starts at the working directory. Empty: `$STATE_DIRECTORY`, else `./data`.
        data_dir: PathBuf = "data_dir", "", PathOrEmpty;
    }
    sections {
        /// `[http]`
        http: Http;
        /// `[database]`
        database: Database;
        /// `[cache]`
        cache: Cache;
        /// `[constitution]`
        constitution: Constitution;
        /// `[auth]`
        auth: Auth;
        /// `[audit]`
        audit: Audit;
        /// `[monitor]`
        monitor: Monitor;
        /// `[log]`
        log: Log;
        /// `[trace]`
        trace: Trace;
    }
}

section! {
    /// The HTTP listener, its limits and timeouts.
    Http {
        /// Where the daemon listens.
        bind: Bind = "http.bind", "127.0.0.1:8080", Text;
        /// The address that clients use. None: derived from `bind`.
        public_url: Option<HttpUrl> = "http.public_url", "", Text;
        /// Hosts that requests to a loopback address may name, in addition to those of loopback and `public_url`.
        allowed_hosts: HostNames = "http.allowed_hosts", "", Text;
        /// Origins of other hosts whose web pages may call.
        allowed_origins: Origins = "http.allowed_origins", "", Text;
        /// The proxies whose word on a client's address is taken.
        trusted_proxies: TrustedProxies = "http.trusted_proxies", "", Text;
        /// Whether proxies begin each connection with a PROXY protocol header.
        proxy_protocol: ProxyProtocol = "http.proxy_protocol", "off", Text;
        /// Threads that serve requests. None (written as 0): one per core.
        workers: Option<NonZeroUsize> = "http.workers", 0, Count(0..=1024);
        /// The largest body of a request, in bytes.
        max_body_bytes: NonZeroUsize = "http.max_body_bytes", 262_144, Count(1_024..=67_108_864);
        /// The largest number of evaluations in one request.
        max_evaluations: NonZeroUsize = "http.max_evaluations", 1_000, Count(1..=100_000);
        /// Connections open at the same time; for one more, an idle one is closed.
        max_connections: NonZeroUsize = "http.max_connections", 16_384, Count(16..=1_000_000);
        /// The same for each client address, except those of trusted proxies. At most `max_connections`.
        max_connections_per_address: NonZeroUsize = "http.max_connections_per_address", 4_096, Count(1..=1_000_000);
        /// Requests that are worked on at the same time; one more is refused at once.
        max_in_flight: NonZeroUsize = "http.max_in_flight", 4_096, Count(1..=1_000_000);
        /// Large decision requests that each worker handles at the same time; others are queued.
        max_large_requests: NonZeroUsize = "http.max_large_requests", 2, Count(1..=1_000);
        /// After this long a request is answered with an error.
        request_timeout: Duration = "http.request_timeout_ms", 1_000, millis(1..=600_000);
        /// How long requests in flight may take to finish after a signal to stop.
        shutdown_timeout: Duration = "http.shutdown_timeout_s", 30, seconds(1..=3_600);
    }
}

section! {
    /// Where entities are stored.
    Database {
        /// The database. A relative path starts at `data_dir`.
        url: DatabaseUrl = "database.url", "sqlite:acgs.db", Text;
        /// The file that `url` was read from, if it was. A relative path starts at the settings folder.
        url_file: Option<PathBuf> = "database.url_file", "", Text;
        /// Copies of the database, PostgreSQL's, that may be read instead of it.
        replicas: Vec<PostgresUrl> = "database.replicas", [], Urls(16);
        /// The file that `replicas` was read from, if it was. A relative path starts at the settings folder.
        replicas_file: Option<PathBuf> = "database.replicas_file", "", Text;
        /// A copy that is further behind is not read.
        max_replica_lag: Duration = "database.max_replica_lag_ms", 1_000, millis(1..=600_000);
        /// Whether the daemon may keep state in a PostgreSQL session, such as prepared statements. False behind a
        /// pooler that assigns sessions to transactions, which is also detected at the start.
        prepared_statements: bool = "database.prepared_statements", true, Flag;
        /// How long a start waits for PostgreSQL to accept connections. 0: not at all.
        wait: Duration = "database.wait_s", 60, seconds(0..=86_400);
    }
    sections {
        /// `[database.pool]`
        pool: Pool;
    }
}

section! {
    /// Connections to the database.
    Pool {
        /// Connections kept open.
        size: NonZeroU32 = "database.pool.size", 20, Count(1..=1_000);
        /// How many more may be opened under load. They are closed when idle.
        max_overflow: u32 = "database.pool.max_overflow", 30, Count(0..=1_000);
        /// How many of those kept are opened before the daemon is ready. At most `size`.
        min_idle: u32 = "database.pool.min_idle", 10, Count(0..=1_000);
        /// Whether a connection is tested before it is used.
        pre_ping: bool = "database.pool.pre_ping", true, Flag;
        /// A connection older than this is replaced.
        recycle: Duration = "database.pool.recycle_s", 3_600, seconds(1..=604_800);
        /// How often idle connections are tested.
        health_check: Duration = "database.pool.health_check_s", 30, seconds(1..=3_600);
        /// How long a query waits for a free connection.
        acquire_timeout: Duration = "database.pool.acquire_timeout_ms", 500, millis(1..=600_000);
    }
}

section! {
    /// The caches, and how long entries are kept.
    Cache {
        /// How long a verdict or an entity may be kept.
        default_ttl: Duration = "cache.default_ttl_s", 300, seconds(1..=2_592_000);
        /// How long verdicts, and entries of the process's cache, are kept.
        constitutional_ttl: Duration = "cache.constitutional_ttl_s", 3_600, seconds(1..=2_592_000);
        /// The share of decisions that are meant to come from a cache.
        hit_rate_target: Percent = "cache.hit_rate_target", 85.0, Percents;
    }
    sections {
        /// `[cache.l1]`
        l1: RequestTier;
        /// `[cache.l2]`
        l2: ServiceTier;
        /// `[cache.l3]`
        l3: ApplicationTier;
    }
}

section! {
    /// The cache of each HTTP worker.
    RequestTier {
        /// Entries per worker. None (written as 0): the cache is off.
        capacity: Option<NonZeroUsize> = "cache.l1.capacity", 20_000, Count(0..=10_000_000);
        /// The most memory for entries per worker, in bytes.
        max_bytes: NonZeroUsize = "cache.l1.max_bytes", 67_108_864, Count(1_048_576..=1_099_511_627_776);
    }
}

section! {
    /// The cache that several daemons share: Redis.
    ServiceTier {
        /// The URL. None: the cache is off.
        url: Option<RedisUrl> = "cache.l2.url", "", Text;
        /// The file that `url` was read from, if it was. A relative path starts at the settings folder.
        url_file: Option<PathBuf> = "cache.l2.url_file", "", Text;
        /// Connections kept open.
        pool_size: NonZeroU32 = "cache.l2.pool_size", 20, Count(1..=1_000);
        /// The most connections under load. At least `pool_size`.
        max_connections: NonZeroU32 = "cache.l2.max_connections", 50, Count(1..=1_000);
        /// After this long without an answer there is none.
        timeout: Duration = "cache.l2.timeout_ms", 5, millis(1..=1_000);
    }
}

section! {
    /// The cache of the whole process.
    ApplicationTier {
        /// Entries. None (written as 0): the cache is off.
        capacity: Option<NonZeroUsize> = "cache.l3.capacity", 100_000, Count(0..=100_000_000);
        /// The most memory that they take, in bytes.
        max_bytes: NonZeroUsize = "cache.l3.max_bytes", 268_435_456, Count(1_048_576..=1_099_511_627_776);
    }
}

section! {
    /// The constitution of this daemon, and how callers must claim it.
    Constitution {
        /// Folder of the constitution. A relative one starts at the settings folder.
        path: PathBuf = "constitution.path", "constitution", Text;
        /// The hash that the constitution must have. None: any.
        expected_hash: Option<ConstitutionalHash> = "constitution.expected_hash", "cdd01ef066bc6cf2", Text;
        /// The digest that the constitution must have. None: any.
        pinned_digest: Option<ConstitutionDigest> = "constitution.pinned_digest", "", Text;
        /// Whether callers must claim the hash.
        hash_enforcement: HashEnforcement = "constitution.hash_enforcement", "when_present", Text;
        /// How long the previous constitution's hash is accepted after a swap.
        grace: Duration = "constitution.grace_s", 60, seconds(0..=86_400);
        /// How properties in requests are treated.
        request_properties: RequestProperties = "constitution.request_properties", "merge", Text;
    }
}

section! {
    /// Authentication: tokens, users, and foreign issuers.
    Auth {
        /// The authorization that decisions require. `open` is only for addresses that other hosts cannot reach.
        decisions: DecisionAccess = "auth.decisions", "open", Text;
        /// The authorization that reading the dashboard's data requires.
        dashboard: DashboardAccess = "auth.dashboard", "login", Text;
        /// The lifetime of an access token.
        access_token_ttl: Duration = "auth.access_token_ttl_s", 900, seconds(60..=86_400);
        /// The lifetime of a refresh token, and so of an unused session.
        refresh_token_ttl: Duration = "auth.refresh_token_ttl_s", 604_800, seconds(60..=31_536_000);
        /// How long after its first use a refresh token gets the same successor again.
        refresh_grace: Duration = "auth.refresh_grace_s", 10, seconds(0..=60);
        /// The `aud` of access tokens.
        audience: ClaimText = "auth.audience", "acgs", Text;
        /// For how many days a key signs access tokens.
        key_rotation_days: NonZeroU32 = "auth.key_rotation_days", 90, Count(1..=3_650);
        /// The wrong passwords for one name from one address before it is locked.
        lockout_attempts: NonZeroU32 = "auth.lockout_attempts", 5, Count(1..=1_000);
        /// How long it waits then; at most four times that after more wrong ones.
        lockout: Duration = "auth.lockout_s", 900, seconds(1..=86_400);
        /// Whose tokens are accepted too, no two of the same `issuer`.
        issuers: Vec<Issuer> = "auth.issuers", [], Tables(16);
    }
}

section! {
    /// The audit log.
    Audit {
        /// Whether an answer waits until its record is on disk.
        durability: Durability = "audit.durability", "durable", Text;
        /// The shortest time between the beginnings of two syncs while requests overlap. For `durable` durability only.
        sync_interval: Duration = "audit.sync_interval_us", 300, micros(0..=100_000);
        /// The longest time whose records may be lost in a crash. For `async` durability only.
        flush_interval: Duration = "audit.flush_interval_ms", 10, millis(1..=60_000);
        /// How much of a request is recorded.
        request: RequestRecord = "audit.request", "full", Text;
        /// The log's name. None: `acgs.local/` and the name of the host.
        origin: Option<LogOrigin> = "audit.origin", "", Text;
        /// How often the growing log gets a signed checkpoint.
        checkpoint_interval: Duration = "audit.checkpoint_interval_ms", 1_000, millis(10..=3_600_000);
        /// Records that may wait for the disk; with more, requests are refused.
        max_queue: NonZeroUsize = "audit.max_queue", 8_192, Count(1..=1_000_000);
        /// Which segments are moved into the compressed archive.
        archive: Archiving = "audit.archive", "closed", Text;
        /// For how many days archived records are to be kept. None (written as 0): for ever. No record is deleted yet.
        retention_days: Option<NonZeroU32> = "audit.retention_days", 0, Count(0..=36_500);
        /// The witnesses that cosign each checkpoint, with different names.
        witness: Vec<Witness> = "audit.witness", [], Tables(16);
    }
}

section! {
    /// Measurements.
    Monitor {
        /// The authorization that `/metrics` requires.
        metrics: MetricsAccess = "monitor.metrics", "open", Text;
        /// The time that hit rates are of.
        cache_hit_rate_window: Duration = "monitor.cache_hit_rate_window_s", 300, seconds(1..=86_400);
        /// The share of decisions that are evaluated again without caches, to be compared.
        compliance_sample: Percent = "monitor.compliance_sample_percent", 1.0, Percents;
    }
    sections {
        /// `[monitor.alerts]`
        alerts: Alerts;
    }
}

section! {
    /// The targets and thresholds of alerts, and where they are sent.
    Alerts {
        /// For how long a figure must miss its target before its alert fires, and meet it before the alert ends.
        hold: Duration = "monitor.alerts.hold_s", 60, seconds(0..=86_400);
        /// Half of the decisions are to be answered within this time.
        latency_p50: Duration = "monitor.alerts.latency_p50_ms", 1, millis(1..=60_000);
        /// 95 of 100 decisions are to be answered within this time.
        latency_p95: Duration = "monitor.alerts.latency_p95_ms", 3, millis(1..=60_000);
        /// 99 of 100 decisions are to be answered within this time.
        latency_p99: Duration = "monitor.alerts.latency_p99_ms", 5, millis(1..=60_000);
        /// Decisions per second that are to be answered while at least as many are asked for. 0: none.
        min_throughput: u32 = "monitor.alerts.min_throughput_per_s", 100, Count(0..=10_000_000);
        /// The most memory of the process, in bytes.
        memory: NonZeroUsize = "monitor.alerts.memory_bytes", 2_147_483_648, Count(1_048_576..=1_099_511_627_776);
        /// The largest share of all processors that the process is to use.
        cpu_percent: Percent = "monitor.alerts.cpu_percent", 70.0, Percents;
        /// From which share of all connections on, those kept and those under load, the pool is nearly used up.
        pool_utilization_percent: Percent = "monitor.alerts.pool_utilization_percent", 90.0, Percents;
        /// From which share of its `maxmemory` on Redis is nearly full.
        redis_memory_percent: Percent = "monitor.alerts.redis_memory_percent", 90.0, Percents;
        /// The most records that the search index may be behind the log.
        index_lag: NonZeroUsize = "monitor.alerts.index_lag_records", 100_000, Count(1..=1_000_000_000);
        /// How long records may be without a signed checkpoint.
        checkpoint_age: Duration = "monitor.alerts.checkpoint_age_s", 60, seconds(1..=86_400);
        /// The smallest share of the disk of `data_dir` that is to be free.
        disk_free_percent: Percent = "monitor.alerts.disk_free_percent", 10.0, Percents;
        /// The shortest time in which that disk may be full at the present growth.
        disk_full_in: Duration = "monitor.alerts.disk_full_in_s", 3_600, seconds(1..=31_536_000);
        /// The fewest days for which that disk is to have space for the audit log, at the growth of the last day.
        disk_days_left: NonZeroU32 = "monitor.alerts.disk_days_left", 14, Count(1..=3_650);
        /// Refused logins and credentials in a minute from which on they are a surge.
        refused_credentials: NonZeroU32 = "monitor.alerts.refused_credentials_per_min", 60, Count(1..=1_000_000);
        /// How many times as many denials as usual are a surge.
        denial_surge: NonZeroU32 = "monitor.alerts.denial_surge_factor", 3, Count(2..=1_000);
        /// How long before the expiry of an API key that was used its alert fires.
        key_expiry_days: NonZeroU32 = "monitor.alerts.key_expiry_days", 14, Count(1..=3_650);
        /// The URL to which alerts are posted. None: alerts are not posted.
        webhook_url: Option<WebhookUrl> = "monitor.alerts.webhook_url", "", Text;
        /// A file with the key by which posted alerts are signed. A relative path starts at the settings folder.
        webhook_key_file: Option<PathBuf> = "monitor.alerts.webhook_key_file", "", Text;
    }
}

section! {
    /// The daemon's log messages.
    Log {
        /// The form of a line.
        format: LogFormat = "log.format", "auto", Text;
        /// The least severe level that is logged.
        level: LogLevel = "log.level", "info", Text;
    }
}

section! {
    /// Traces of requests, and their export.
    Trace {
        /// The collector to which spans are sent by OTLP over HTTP. None: none are recorded.
        otlp_endpoint: Option<HttpUrl> = "trace.otlp_endpoint", "", Text;
        /// The share of requests that are sampled, of those that continue no trace of a caller.
        sample_percent: Percent = "trace.sample_percent", 1.0, Percents;
        /// The name of the daemon in traces.
        service_name: ClaimText = "trace.service_name", "acgs", Text;
    }
}

/// Every key, in the order in which they are shown.
pub(super) fn keys() -> Vec<super::section::Key> {
    let mut keys = Vec::new();
    Settings::keys(&mut keys);
    keys
}
