//! This host's administrator: root or the daemon's own user, on the admin socket.

use std::sync::Arc;

use actix_web::rt::net::UnixStream;
use smol_str::format_smolstr;

use crate::auth::caller::Caller;
use crate::auth::granter::Bounds;
use crate::auth::scope::Scopes;

/// The peer on the admin socket, as identified by the kernel.
#[derive(Debug, Clone)]
pub struct LocalAdmin(Arc<Caller>);

impl LocalAdmin {
    /// The administrator at the other end of a connection to the admin socket; `None` if the peer is another user.
    pub fn at(stream: &UnixStream) -> Option<Self> {
        let user = stream.peer_cred().ok()?.uid();
        let is_admin = user == 0 || user == rustix::process::geteuid().as_raw();
        is_admin.then(|| {
            Self(Arc::new(Caller {
                name: format_smolstr!("local:{user}"),
                scopes: Scopes::ALL,
                session: None,
                token_id: None,
                client: None,
                user: None,
                bounds: Bounds::default(),
            }))
        })
    }

    /// As whom it calls: `local:` and the number of the user.
    #[must_use]
    pub fn caller(&self) -> Arc<Caller> {
        Arc::clone(&self.0)
    }
}
