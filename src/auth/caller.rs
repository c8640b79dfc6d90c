//! Who a request comes from.

use smol_str::{SmolStr, format_smolstr};

use super::granter::{Bounds, Granter};
use super::scope::{Scope, Scopes};

/// Somebody who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that the audit log knows: see [`Caller::user_name`] and its like.
    pub name: SmolStr,
    /// What the caller may do.
    pub scopes: Scopes,
    /// The session that ends with a logout, unless the caller has none.
    pub session: Option<SmolStr>,
    /// The `jti` of the token, unless the caller came with a key.
    pub token_id: Option<SmolStr>,
    /// The client that the token was handed to.
    pub client: Option<SmolStr>,
    /// The person's name, unless it is a machine that calls or somebody whom another issuer knows.
    pub user: Option<SmolStr>,
    /// The networks, rate and expiry to which the credential is bound.
    pub bounds: Bounds,
}

impl Caller {
    /// What a person is called in the log.
    #[must_use]
    pub fn user_name(name: &str) -> SmolStr {
        format_smolstr!("user:{name}")
    }

    /// What a client that acts for itself is called in the log.
    #[must_use]
    pub fn client_name(id: &str) -> SmolStr {
        format_smolstr!("client:{id}")
    }

    /// What the holder of an API key is called in the log.
    #[must_use]
    pub fn key_name(id: &str) -> SmolStr {
        format_smolstr!("key:{id}")
    }

    /// What somebody is called in the log whom another issuer vouches for.
    ///
    /// The issuer stands in it, so that nobody there can have the name of somebody here.
    #[must_use]
    pub fn foreign_name(issuer: &str, subject: &str) -> SmolStr {
        format_smolstr!("{issuer}#{subject}")
    }

    /// The caller as a granter of rights to others.
    #[must_use]
    pub fn granter(&self) -> Granter {
        Granter { name: self.name.clone(), scopes: self.scopes, bounds: self.bounds.clone() }
    }

    /// Whether the caller may do this.
    #[must_use]
    pub const fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_do_what_its_scopes_say() {
        let caller = Caller {
            name: Caller::key_name("k1"),
            scopes: Scopes::of([Scope::Decide]),
            session: None,
            token_id: None,
            client: None,
            user: None,
            bounds: Bounds::default(),
        };
        assert!(caller.may(Scope::Decide) && !caller.may(Scope::Read));
    }

    #[test]
    fn those_whom_others_vouch_for_have_no_names_of_ours() {
        assert_eq!(Caller::user_name("ada"), "user:ada");
        assert_eq!(Caller::client_name("ci"), "client:ci");
        assert_eq!(Caller::foreign_name("https://id.example", "user:ada"), "https://id.example#user:ada");
    }
}
