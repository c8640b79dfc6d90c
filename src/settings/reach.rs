//! Whether other hosts can reach the daemon, as far as its settings tell.

use super::{DashboardAccess, Http, Settings, TrustedProxies};

impl Http {
    /// Whether only processes of this host are served: on a loopback address or a Unix socket, without a reverse proxy,
    /// which may be on this host while its clients are not.
    #[must_use]
    pub fn is_for_this_host(&self) -> bool {
        self.bind.is_local() && self.public_url.is_none() && self.trusted_proxies == TrustedProxies::default()
    }
}

impl Settings {
    /// Whether browsers may read the dashboard's data without a login.
    #[must_use]
    pub fn is_dashboard_open(&self) -> bool {
        self.auth.dashboard == DashboardAccess::Open && self.http.is_for_this_host()
    }
}
