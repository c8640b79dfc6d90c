//! The state available to the handlers of one HTTP worker.

use std::cell::OnceCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor as _, Addr};
use nonzero_ext::nonzero;

use super::app_state::AppState;
use super::body::Bounds;
use super::cors::WebPages;
use super::decision_records::RecordedSets;
use super::host::AcceptedHosts;
use crate::actors::audit::logger::AuditLogger;
use crate::actors::cache::request_cache::{RequestCache, RequestCacheOptions};
use crate::actors::decision::large_requests::LargeRequests;
use crate::actors::decision::registry::Register;
use crate::actors::decision::validator::{Validator, Warm};
use crate::actors::identity::authenticator::Authenticator;
use crate::metrics::WorkerMetrics;

/// How many callers a worker remembers.
const CALLERS: NonZeroUsize = nonzero!(16_384_usize);

/// One worker's own actors, and the state shared by all workers.
#[derive(Debug, Clone)]
pub struct WorkerState {
    /// The state shared by all workers.
    pub app: AppState,
    /// Decides.
    pub validator: Addr<Validator>,
    /// Knows callers.
    pub authenticator: Addr<Authenticator>,
    /// Records.
    pub audit: Addr<AuditLogger>,
    /// The metrics of this worker.
    pub metrics: Arc<WorkerMetrics>,
    /// Which entities are recorded already.
    pub recorded_sets: RecordedSets,
    /// The hosts that requests may name.
    pub hosts: Rc<AcceptedHosts>,
    /// The origins of web pages that may call.
    pub pages: Rc<WebPages>,
    /// The slots for large requests of this worker.
    pub large_requests: LargeRequests,
}

thread_local! {
    /// The app factory runs once per worker *and* per listener, so the actors are kept per thread.
    static HERE: OnceCell<WorkerState> = const { OnceCell::new() };
}

impl WorkerState {
    /// The state of this HTTP worker, started on first use.
    #[must_use]
    pub fn here(app: &AppState) -> Self {
        HERE.with(|here| here.get_or_init(|| Self::start(app)).clone())
    }

    fn start(app: &AppState) -> Self {
        let cache = &app.settings.cache;
        let options =
            RequestCacheOptions { capacity: cache.l1.capacity, max_bytes: cache.l1.max_bytes, ttl: cache.default_ttl };
        let cache = RequestCache::new(options, app.store.versions.clone()).start();
        app.decision.caches.add(cache.clone());
        let metrics = app.metrics.worker();
        let validator = Validator::start(
            app.decision.in_force.get(),
            cache,
            app.decision.entities.clone(),
            app.decision.verdicts.clone(),
            app.decision.caches.rates().worker(),
            Arc::clone(&metrics.evaluations),
        );
        app.decision.registry_addr.do_send(Register(validator.clone().recipient()));
        let (warmer, target) = (app.decision.warmer.clone(), validator.clone());
        actix::spawn(async move {
            target.do_send(Warm(warmer.questions().await));
        });
        let authenticator = Authenticator::start(
            app.identity.trust.clone(),
            app.identity.directory.clone(),
            app.identity.key_fetcher.clone(),
            CALLERS,
        );
        Self {
            validator,
            authenticator,
            audit: AuditLogger::start(app.audit.queue.clone(), app.settings.audit.durability),
            metrics,
            recorded_sets: RecordedSets::default(),
            hosts: Rc::new(AcceptedHosts::of(&app.settings.http)),
            pages: Rc::new(WebPages::of(&app.settings.http)),
            large_requests: LargeRequests::new(app.settings.http.max_large_requests),
            app: app.clone(),
        }
    }

    /// How large a body may be, and how long it may take to arrive.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds { bytes: self.app.settings.http.max_body_bytes.get(), time: self.deadline() }
    }

    /// How long a request may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.app.settings.http.request_timeout
    }

    /// Whether the daemon is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.app.draining.load(Ordering::Relaxed)
    }
}
