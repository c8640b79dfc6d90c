//! `/metrics`: the daemon's metrics for Prometheus. No label has a value of a caller's choice.

use std::sync::atomic::Ordering;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::problem::{INTERNAL, Problem};
use super::worker_state::WorkerState;
use crate::actors::audit::log_health::Health;
use crate::actors::cache::hit_rates::HitRate;
use crate::actors::database::pool_monitor::PoolStatus;
use crate::domain::Reason;
use crate::metrics::{Family, Format, Labels, Totals, process_families, render};
use crate::trace::SpanCounts;

/// Metrics for Prometheus
///
/// `OpenMetrics` 1.0 if `Accept` names it, otherwise the Prometheus text format 0.0.4.
#[utoipa::path(
    get, path = "/metrics", operation_id = "showMetrics", tag = "operation",
    responses((status = 200, description = "All metrics.", content(
        (String = "text/plain", example = "acgs_audit_writable 1\n"),
        (String = "application/openmetrics-text"),
    ))),
)]
pub async fn show(request: HttpRequest, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let accept = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let mut families = request_families(&state.app.metrics.totals());
    families.extend(state_families(&state));
    families.extend(audit_families(&state));
    families.extend(cache_families(&state).await);
    families.extend(pool_families(&state).await);
    families.extend(monitor_families(&state));
    families.extend(process_families());
    let text = render(families, format).map_err(|error| Problem::new(&INTERNAL, error.to_string()))?;
    Ok(HttpResponse::Ok().content_type(format.content_type()).body(text))
}

/// The route of requests that fit none.
const UNMATCHED: &str = "unmatched";

/// Labels from names and values.
fn labels<const N: usize>(labels: [(&'static str, &str); N]) -> Labels {
    labels.map(|(name, value)| (name, value.to_owned())).to_vec()
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers; counts beyond 2^53 are rounded")]
fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

/// Decisions and requests, summed over the HTTP workers.
fn request_families(totals: &Totals) -> Vec<Family> {
    let decisions = Reason::ALL.into_iter().zip(totals.decisions).map(|(reason, count)| {
        let decision = if reason == Reason::Permitted { "permit" } else { "deny" };
        (labels([("decision", decision), ("reason", reason.as_str())]), number(count))
    });
    let denials = totals.denials.iter().map(|(principle, count)| (labels([("principle", principle)]), number(*count)));
    let requests = totals.requests.iter().map(|(request, durations)| {
        let status = request.status.to_string();
        let route = request.route.as_deref().unwrap_or(UNMATCHED);
        let labels = labels([("method", request.method), ("route", route), ("status", &status)]);
        (labels, durations.clone())
    });
    vec![
        Family::counter("acgs_decisions", "Answered decisions, each of them recorded.", decisions),
        Family::counter("acgs_denials", "Denials for a violated principle, one for each such principle.", denials),
        Family::histogram(
            "acgs_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer handed to the socket, by route template.",
            requests,
        ),
        Family::histogram(
            "acgs_evaluation_duration_seconds",
            "Time from the look-up that missed in a worker's cache to the verdict: `evaluated` here, or `shared`, found \
             in Redis. The verdicts of a batch have its time.",
            [
                (labels([("source", "evaluated")]), totals.evaluations.evaluated.clone()),
                (labels([("source", "shared")]), totals.evaluations.shared.clone()),
            ],
        ),
    ]
}

/// The version, the constitution in force, and requests in progress.
fn state_families(state: &WorkerState) -> Vec<Family> {
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let in_force = labels([
        ("name", constitution.name()),
        ("version", constitution.version()),
        ("hash", constitution.hash().as_str()),
        ("digest", &constitution.digest().to_string()),
    ]);
    let in_flight = number(state.app.in_flight.load(Ordering::Relaxed));
    let limit = number(state.app.settings.http.max_in_flight.get());
    let pending = number(state.app.identity.pending_withdrawals.count());
    let spans = state.app.tracer.as_ref().map(|tracer| tracer.counts().get());
    let spans = spans.unwrap_or_else(|| SpanCounts::default().get());
    let spans = spans.map(|(outcome, count)| (labels([("outcome", outcome)]), number(count)));
    vec![
        Family::info("acgs_build", "The daemon's version.", labels([("version", env!("CARGO_PKG_VERSION"))])),
        Family::info("acgs_constitution", "The constitution in force.", in_force),
        Family::value("acgs_http_requests_in_flight", "Requests in progress.", in_flight),
        Family::value("acgs_http_requests_in_flight_limit", "The most requests in progress.", limit),
        Family::counter("acgs_trace_spans", "Spans of sampled requests: exported, dropped, or failed.", spans),
        Family::value("acgs_pending_withdrawals", "Withdrawals of access that are in memory only.", pending),
    ]
}

fn audit_families(state: &WorkerState) -> Vec<Family> {
    let audit = &state.app.audit;
    // Read in this order, since indexed and signed records were durable before.
    let (indexed, signed) = (audit.index_status.next(), audit.checkpoints.size());
    let durable = audit.queue.durable();
    let is_writable = f64::from(u8::from(audit.queue.health() == Health::Writing));
    let commits = audit.queue.commits();
    let lag = indexed.map(|indexed| (Labels::new(), number(durable.saturating_sub(indexed))));
    vec![
        Family::histogram(
            "acgs_audit_commit_duration_seconds",
            "Time to write and sync one frame of the audit log.",
            [(Labels::new(), commits)],
        ),
        Family::value("acgs_audit_writable", "1 while the audit log can be written.", is_writable),
        Family::value(
            "acgs_audit_queue_records",
            "Records that wait for the audit log, those of undecided questions included.",
            number(audit.queue.waiting()),
        ),
        Family::value("acgs_audit_queue_limit_records", "The most of them.", number(audit.queue.limit())),
        Family::value("acgs_audit_records", "Durable records of the audit log.", number(durable)),
        Family::value("acgs_audit_signed_records", "Records that the newest checkpoint covers.", number(signed)),
        Family::gauge("acgs_audit_index_lag_records", "Durable records that are not in the search index yet.", lag),
    ]
}

async fn cache_families(state: &WorkerState) -> Vec<Family> {
    let caches = &state.app.decision.caches;
    let total = caches.rates().total();
    let rates = [("l1", total.l1), ("l2", total.l2), ("l3", total.l3)];
    let lookups = rates.into_iter().flat_map(|(tier, HitRate { hits, misses })| {
        [("hit", hits), ("miss", misses)]
            .map(|(outcome, count)| (labels([("tier", tier), ("outcome", outcome)]), number(count)))
    });
    let (l1, l3) = (caches.l1().await, caches.l3());
    let of = |l1: usize, l3: usize| [("l1", l1), ("l3", l3)].map(|(tier, n)| (labels([("tier", tier)]), number(n)));
    let redis = state.app.decision.verdicts.as_ref().map(|verdicts| f64::from(u8::from(verdicts.is_usable())));
    vec![
        Family::counter("acgs_cache_requests", "Look-ups in the caches.", lookups),
        Family::gauge("acgs_cache_entries", "Entries of the caches in memory.", of(l1.entries, l3.entries)),
        Family::gauge("acgs_cache_bytes", "Estimated memory of these entries.", of(l1.bytes, l3.bytes)),
        Family::gauge("acgs_redis_up", "1 while Redis is used.", redis.map(|up| (Labels::new(), up))),
    ]
}

async fn pool_families(state: &WorkerState) -> Vec<Family> {
    // A monitor that does not answer in time has no samples.
    let reports = state.app.store.pool_monitor.ask(PoolStatus).await.unwrap_or_default();
    let (mut connections, mut limits, mut waiting, mut waits, mut seconds, mut failures) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for report in &*reports {
        let (pool, counts) = (&*report.name, &report.stats);
        let of = |name, value| labels([("pool", pool), (name, value)]);
        let one = || labels([("pool", pool)]);
        let (open, busy) = (counts.open(), counts.busy());
        connections.push((of("state", "busy"), number(busy)));
        connections.push((of("state", "idle"), number(open.saturating_sub(busy))));
        limits.push((one(), number(counts.capacity())));
        waiting.push((one(), number(counts.waiting)));
        waits.push((one(), number(counts.waits.waited)));
        seconds.push((one(), counts.waits.total.as_secs_f64()));
        let both = |of: fn(&crate::store::TierStats) -> u64| number(of(&counts.base) + of(&counts.overflow));
        failures.push((of("cause", "connect"), both(|tier| tier.failed_connect)));
        failures.push((of("cause", "ping"), both(|tier| tier.failed_ping)));
        failures.push((of("cause", "timeout"), number(counts.late)));
        failures.push((of("cause", "refused"), number(counts.refused)));
    }
    vec![
        Family::gauge("acgs_pool_connections", "Open connections to the database.", connections),
        Family::gauge("acgs_pool_connections_limit", "The most connections, with the overflow.", limits),
        Family::gauge("acgs_pool_waiting", "Jobs that wait for a connection now.", waiting),
        Family::counter("acgs_pool_waits", "Jobs that had to wait for a connection.", waits),
        Family::counter("acgs_pool_wait_seconds", "The time that jobs waited for connections.", seconds),
        Family::counter("acgs_pool_failures", "Jobs without a connection, and connections that failed.", failures),
    ]
}

/// Alerts, and the compliance of decisions.
fn monitor_families(state: &WorkerState) -> Vec<Family> {
    let monitor = &state.app.monitor;
    let firing = monitor.firing().into_iter();
    let firing = firing.map(|(name, fires)| (labels([("name", name)]), f64::from(u8::from(fires))));
    let posted = monitor.deliveries().outcomes();
    let posted = posted.map(|(outcome, count)| (labels([("outcome", outcome)]), number(count)));
    let totals = monitor.compliance().get();
    let checks = [
        ("equal", totals.agreed),
        ("different", totals.disagreed),
        ("undecidable", totals.undecidable),
        ("left_out", totals.left_out),
    ];
    let checks = checks.map(|(outcome, count)| (labels([("outcome", outcome)]), number(count)));
    vec![
        Family::gauge("acgs_alert_firing", "1 while the alert fires.", firing),
        Family::counter("acgs_alert_posts", "Alerts for the webhook, delivered or dropped.", posted),
        Family::counter(
            "acgs_alert_post_failures",
            "Failed attempts to post an alert to the webhook.",
            [(Labels::new(), number(monitor.deliveries().failures()))],
        ),
        Family::counter(
            "acgs_noncompliant_decisions",
            "Decisions without a durable record, or under a constitution that was not in force.",
            [(Labels::new(), number(totals.noncompliant()))],
        ),
        Family::counter(
            "acgs_compliance_checks",
            "Sampled decisions, by the outcome of their comparison with an evaluation without caches; `left_out`: not \
             evaluated again.",
            checks,
        ),
    ]
}
