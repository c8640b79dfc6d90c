//! Authenticated callers, and their names in records.

use smol_str::{SmolStr, format_smolstr};

use super::granter::{Bounds, Granter};
use super::scope::{Scope, Scopes};

/// A caller that has proved its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that the audit log knows: see [`Caller::user_name`] and its like.
    pub name: SmolStr,
    /// The scopes that the caller has.
    pub scopes: Scopes,
    /// The session that ends with a logout, unless the caller has none.
    pub session: Option<SmolStr>,
    /// The `jti` of the token, unless the caller came with a key.
    pub token_id: Option<SmolStr>,
    /// The client that the token was handed to.
    pub client: Option<SmolStr>,
    /// The user's name; `None` for clients, keys and subjects of foreign issuers.
    pub user: Option<SmolStr>,
    /// The networks, rate and expiry to which the credential is bound.
    pub bounds: Bounds,
}

impl Caller {
    /// A user's name in records.
    #[must_use]
    pub fn user_name(name: &str) -> SmolStr {
        format_smolstr!("user:{name}")
    }

    /// A client's name in records, when it acts for itself.
    #[must_use]
    pub fn client_name(id: &str) -> SmolStr {
        format_smolstr!("client:{id}")
    }

    /// An API key's name in records.
    #[must_use]
    pub fn key_name(id: &str) -> SmolStr {
        format_smolstr!("key:{id}")
    }

    /// The name in records of a subject of a foreign issuer.
    ///
    /// It contains the issuer, so that it differs from the names of local callers.
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
