//! `/v1/cache`: size and hit rates of the caches, and their clearing.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::authorization::RequestCaller;
use super::problem::{Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::actors::cache::hit_rates::{HitRate, TierRates};
use crate::actors::cache::tiers::Tier;
use crate::ledger::{Event, EventKind};
use crate::settings::DatabaseUrl;

/// `GET /v1/cache`: each tier, the overall hit rate, and how far changes of other daemons were followed.
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
    let overall = json!({
        "target": target,
        "window_s": app.settings.monitor.cache_hit_rate_window.as_secs(),
        "is_met": recent.overall.percent().map(|percent| percent >= target),
    });
    let l1 = json!({
        "enabled": cache.l1.capacity.is_some(),
        "entries": l1.entries,
        "capacity": l1.capacity,
        "bytes": l1.bytes,
        "max_bytes": l1.max_bytes,
        "workers": app.decision.caches.workers().len(),
    });
    let l2 = json!({"enabled": status.is_some(), "status": status.flatten()});
    let l3 = json!({
        "enabled": l3.capacity > 0,
        "entries": l3.entries,
        "capacity": l3.capacity,
        "bytes": l3.bytes,
        "max_bytes": l3.max_bytes,
    });
    let counted = |body, of: fn(&TierRates) -> HitRate| with_rates(body, of(&total), of(&recent));
    let body = json!({
        "overall": counted(overall, |shares| shares.overall),
        "tiers": {
            "l1": counted(l1, |shares| shares.l1),
            "l2": counted(l2, |shares| shares.l2),
            "l3": counted(l3, |shares| shares.l3),
        },
        "follower": follower(&state),
    });
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(body)
}

/// Adds the hit rates since the start, and in the window.
fn with_rates(body: Value, total: HitRate, recent: HitRate) -> Value {
    let Value::Object(mut body) = body else { return body };
    body.extend(share(total));
    body.insert("window".to_owned(), Value::Object(share(recent)));
    Value::Object(body)
}

fn share(share: HitRate) -> Map<String, Value> {
    let members = [("hits", share.hits.into()), ("misses", share.misses.into()), ("hit_rate", share.percent().into())];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// No other daemon writes to an SQLite database.
fn follower(state: &WorkerState) -> Value {
    let app = &state.app;
    let is_alone = matches!(app.settings.database.url, DatabaseUrl::Sqlite(_));
    let age = (!is_alone).then(|| u64::try_from(app.store.feed.age().as_millis()).unwrap_or(u64::MAX));
    json!({"applied": app.store.versions.applied().version, "age_ms": age, "fault": app.store.feed.fault()})
}

/// The tier to be emptied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearQuery {
    tier: Option<String>,
}

/// `DELETE /v1/cache`: empties all tiers, or one: those of this daemon, and the fleet's shared one. No answer changes
/// by that: a cached verdict is always one that would be decided again.
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
    let (mut cleared, mut failed) = (Map::new(), None);
    for tier in asked {
        // A failure of one tier does not keep the others from being emptied.
        match state.app.decision.caches.clear(tier).await {
            Ok(entries) => drop(cleared.insert(tier.as_str().to_owned(), entries.into())),
            Err(error) => {
                tracing::warn!(%error, tier = tier.as_str(), "a cache was not emptied");
                failed = Some(Problem::new(&UNAVAILABLE, format!("`{}` was not emptied", tier.as_str())));
            }
        }
    }
    failed.map_or_else(|| Ok(HttpResponse::Ok().json(json!({"cleared": cleared}))), Err)
}

fn named(name: &str) -> Result<Tier, Problem> {
    let tier = Tier::ALL.into_iter().find(|tier| tier.as_str() == name);
    tier.ok_or_else(|| Problem::fault("", format!("`tier` must be `l1`, `l2` or `l3`, not `{}`", name.escape_debug())))
}
