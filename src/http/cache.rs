//! `/v1/cache`: size and hit rates of the caches, and their clearing.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::authorization::RequestCaller;
use super::problem::{BAD_REQUEST, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::cache::hit_rates::{HitRate, TierRates};
use crate::actors::cache::service_cache::ServiceStatus;
use crate::actors::cache::tiers::Tier;
use crate::ledger::{Event, EventKind};
use crate::settings::DatabaseUrl;

/// Look-ups, and the share that found a value.
#[derive(Debug, Serialize, ToSchema)]
struct Rate {
    hits: u64,
    misses: u64,
    /// In percent; null without any look-up.
    #[serde(rename = "hit_rate")]
    #[schema(required)]
    percent: Option<f64>,
}

/// Something with the hit rates since the start, and in the window.
#[derive(Debug, Serialize, ToSchema)]
struct Rated<T: ToSchema> {
    #[serde(flatten)]
    subject: T,
    #[serde(flatten)]
    total: Rate,
    window: Rate,
}

/// All caches together.
#[derive(Debug, Serialize, ToSchema)]
struct Overall {
    /// The target for the hit rate, in percent.
    target: f64,
    window_s: u64,
    /// Null without any look-up in the window.
    #[schema(required)]
    is_met: Option<bool>,
}

/// The caches of the HTTP workers.
#[derive(Debug, Serialize, ToSchema)]
struct RequestTier {
    enabled: bool,
    entries: usize,
    capacity: usize,
    bytes: usize,
    max_bytes: usize,
    workers: usize,
}

/// Redis.
#[derive(Debug, Serialize, ToSchema)]
struct ServiceTier {
    enabled: bool,
    /// Null if it is off or does not answer.
    #[schema(value_type = Option<Object>, required)]
    status: Option<ServiceStatus>,
}

/// The cache of stored entities.
#[derive(Debug, Serialize, ToSchema)]
struct EntityTier {
    enabled: bool,
    entries: usize,
    capacity: usize,
    bytes: usize,
    max_bytes: usize,
}

/// How far changes of other daemons were followed.
#[derive(Debug, Serialize, ToSchema)]
struct Follower {
    /// The newest version of the database that was applied.
    applied: i64,
    /// Since when; null if no other daemon can write to the database.
    #[schema(required)]
    age_ms: Option<u64>,
    #[schema(required)]
    fault: Option<String>,
}

/// The caches.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Caches, examples(json!({
    "overall": {"target": 85.0, "window_s": 300, "is_met": true, "hits": 90, "misses": 10, "hit_rate": 90.0,
        "window": {"hits": 9, "misses": 1, "hit_rate": 90.0}},
    "tiers": {
        "l1": {"enabled": true, "entries": 10, "capacity": 40000, "bytes": 8120, "max_bytes": 134_217_728, "workers": 2,
            "hits": 80, "misses": 20, "hit_rate": 80.0, "window": {"hits": 8, "misses": 2, "hit_rate": 80.0}},
        "l2": {"enabled": false, "status": null, "hits": 0, "misses": 0, "hit_rate": null,
            "window": {"hits": 0, "misses": 0, "hit_rate": null}},
        "l3": {"enabled": true, "entries": 19, "capacity": 100_000, "bytes": 6220, "max_bytes": 268_435_456,
            "hits": 10, "misses": 10, "hit_rate": 50.0, "window": {"hits": 1, "misses": 1, "hit_rate": 50.0}}
    },
    "follower": {"applied": 18, "age_ms": null, "fault": null}
})))]
struct CachesBody {
    overall: Rated<Overall>,
    tiers: TiersBody,
    follower: Follower,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheTiers)]
struct TiersBody {
    l1: Rated<RequestTier>,
    l2: Rated<ServiceTier>,
    l3: Rated<EntityTier>,
}

/// Show the caches
///
/// Each tier, the overall hit rate, and how far changes of other daemons were followed.
#[utoipa::path(
    get, path = "/v1/cache", operation_id = "showCaches", tag = "operation",
    responses((status = 200, description = "Sizes and hit rates.", body = CachesBody)),
)]
pub async fn show(state: Data<WorkerState>) -> HttpResponse {
    let app = &state.app;
    let (cache, rates) = (&app.settings.cache, app.decision.caches.rates());
    let (total, recent) = (rates.total(), rates.recent());
    let (l1, l3) = (app.decision.caches.l1().await, app.decision.caches.l3());
    let status = match &app.decision.verdicts {
        Some(verdicts) => Some(verdicts.status().await),
        None => None,
    };
    let target = cache.hit_rate_target.get();
    let overall = Overall {
        target,
        window_s: app.settings.monitor.cache_hit_rate_window.as_secs(),
        is_met: recent.overall.percent().map(|percent| percent >= target),
    };
    let l1 = RequestTier {
        enabled: cache.l1.capacity.is_some(),
        entries: l1.entries,
        capacity: l1.capacity,
        bytes: l1.bytes,
        max_bytes: l1.max_bytes,
        workers: app.decision.caches.workers().len(),
    };
    let l2 = ServiceTier { enabled: status.is_some(), status: status.flatten() };
    let l3 = EntityTier {
        enabled: l3.capacity > 0,
        entries: l3.entries,
        capacity: l3.capacity,
        bytes: l3.bytes,
        max_bytes: l3.max_bytes,
    };
    let rates = (total, recent);
    let body = CachesBody {
        overall: rated(overall, &rates, |rates| rates.overall),
        tiers: TiersBody {
            l1: rated(l1, &rates, |rates| rates.l1),
            l2: rated(l2, &rates, |rates| rates.l2),
            l3: rated(l3, &rates, |rates| rates.l3),
        },
        follower: follower(&state),
    };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(body)
}

/// Adds the hit rates since the start, and in the window.
fn rated<T: ToSchema>(subject: T, (total, recent): &(TierRates, TierRates), of: fn(&TierRates) -> HitRate) -> Rated<T> {
    Rated { subject, total: rate(of(total)), window: rate(of(recent)) }
}

fn rate(rate: HitRate) -> Rate {
    Rate { hits: rate.hits, misses: rate.misses, percent: rate.percent() }
}

/// No other daemon writes to an SQLite database.
fn follower(state: &WorkerState) -> Follower {
    let app = &state.app;
    let is_alone = matches!(app.settings.database.url, DatabaseUrl::Sqlite(_));
    let age_ms = (!is_alone).then(|| u64::try_from(app.store.feed.age().as_millis()).unwrap_or(u64::MAX));
    Follower { applied: app.store.versions.applied().version, age_ms, fault: app.store.feed.fault() }
}

/// The tier to be emptied.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClearQuery {
    /// The tier; all of them by default.
    #[param(inline, value_type = Option<TierName>)]
    tier: Option<String>,
}

/// A tier of the caches.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the parameter `tier`")]
enum TierName {
    L1,
    L2,
    L3,
}

/// The tiers that were emptied.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClearedCaches, examples(json!({"cleared": {"l1": 120, "l2": 0, "l3": 45}})))]
struct Cleared {
    /// The number of entries that each tier had.
    #[schema(value_type = BTreeMap<String, u64>)]
    cleared: BTreeMap<&'static str, u64>,
}

/// Empty the caches
///
/// All tiers, or one: those of this daemon, and the fleet's shared one. No answer changes by that: a cached verdict is
/// always one that would be decided again.
#[utoipa::path(
    delete, path = "/v1/cache", operation_id = "clearCaches", tag = "operation", params(ClearQuery),
    responses((status = 200, description = "What was emptied.", body = Cleared)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn clear(
    caller: RequestCaller,
    state: Data<WorkerState>,
    query: Query<ClearQuery>,
) -> Result<HttpResponse, Problem> {
    // From the bottom up, so that no tier is filled from one that is emptied after it.
    let asked = match query.tier.as_deref() {
        None => vec![Tier::L3, Tier::L2, Tier::L1],
        Some(name) => vec![named(name)?],
    };
    let names: Vec<&str> = Tier::ALL.into_iter().filter(|tier| asked.contains(tier)).map(Tier::as_str).collect();
    let event = Event::new(EventKind::Cache, caller.name()).name("event", "cleared").name("tiers", names);
    let journal = state.app.audit.journal.clone();
    let recorded = actix_web::rt::task::spawn_blocking(move || journal.record(&[event])).await;
    recorded.map_err(|error| Problem::new(&UNAVAILABLE, error.to_string()))??;
    let (mut cleared, mut failed) = (BTreeMap::new(), None);
    for tier in asked {
        // A failure of one tier does not keep the others from being emptied.
        match state.app.decision.caches.clear(tier).await {
            Ok(entries) => drop(cleared.insert(tier.as_str(), entries)),
            Err(error) => {
                tracing::warn!(%error, tier = tier.as_str(), "a cache was not emptied");
                failed = Some(Problem::new(&UNAVAILABLE, format!("`{}` was not emptied", tier.as_str())));
            }
        }
    }
    failed.map_or_else(|| Ok(HttpResponse::Ok().json(Cleared { cleared })), Err)
}

fn named(name: &str) -> Result<Tier, Problem> {
    let tier = Tier::ALL.into_iter().find(|tier| tier.as_str() == name);
    tier.ok_or_else(|| Problem::fault("", format!("`tier` must be `l1`, `l2` or `l3`, not `{}`", name.escape_debug())))
}
