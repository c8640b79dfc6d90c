//! Limits of grants: no more than the granter's own scopes, networks, rate and lifetime.

use std::num::NonZeroU32;

use smol_str::SmolStr;

use super::network::Networks;
use super::scope::{Roles, Scopes};

/// The bounds of a credential in addition to its scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The networks that it may be used from; `None`: any.
    pub networks: Option<Networks>,
    /// The most requests per second; `None`: no limit.
    pub rate_per_s: Option<NonZeroU32>,
    /// When it expires, in Unix seconds; `None`: never by itself.
    pub expires_at: Option<i64>,
}

impl Bounds {
    /// Whether the credential is unbounded.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.networks.is_none() && self.rate_per_s.is_none() && self.expires_at.is_none()
    }

    /// Fills missing bounds with those of `others`.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            networks: self.networks.or_else(|| others.networks.clone()),
            rate_per_s: self.rate_per_s.or(others.rate_per_s),
            expires_at: self.expires_at.or(others.expires_at),
        }
    }
}

/// How a grant exceeds its granter's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// The granter lacks these scopes.
    #[error("the caller does not have the scopes `{0}` itself, so it cannot grant them")]
    Scopes(Scopes),
    /// The networks are not all within the granter's.
    #[error("`networks` must be within those to which the caller's own key is bound")]
    Networks,
    /// The rate is above the granter's, which is given in requests per second.
    #[error("the rate must be at most that of the caller's own key, {0} requests per second")]
    Rate(NonZeroU32),
    /// The expiry is later than the granter's.
    #[error("the expiry must not be later than that of the caller's own key")]
    Time,
    /// The grant is unbounded, and the granter's credential is not.
    #[error("a key that is bound to networks, a rate or an expiry cannot grant rights to users or clients")]
    Unbounded,
}

/// A caller that grants rights to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granter {
    /// The caller's name in records.
    pub name: SmolStr,
    /// The caller's own scopes.
    pub scopes: Scopes,
    /// The bounds of the caller's own credential.
    pub bounds: Bounds,
}

impl Granter {
    /// The daemon itself, which may grant everything.
    #[must_use]
    pub fn daemon(name: &str) -> Self {
        Self { name: name.into(), scopes: Scopes::ALL, bounds: Bounds::default() }
    }

    /// Fails if the granter lacks one of the scopes.
    pub fn check_scopes(&self, scopes: Scopes) -> Result<(), Excess> {
        let beyond: Scopes = scopes.iter().filter(|scope| !self.scopes.contains(*scope)).collect();
        if beyond.is_empty() { Ok(()) } else { Err(Excess::Scopes(beyond)) }
    }

    /// Fails if the granter may not grant these roles to a user or client, which has no bounds.
    pub fn check_roles(&self, roles: Roles) -> Result<(), Excess> {
        self.check_scopes(roles.scopes())?;
        if self.bounds.are_none() { Ok(()) } else { Err(Excess::Unbounded) }
    }

    /// The bounds of a new key: the wanted ones, completed with the granter's. Fails if a wanted bound exceeds the
    /// granter's.
    pub fn bound(&self, wanted: Bounds) -> Result<Bounds, Excess> {
        if let (Some(wanted), Some(own)) = (&wanted.networks, &self.bounds.networks)
            && !own.contains_all(wanted)
        {
            return Err(Excess::Networks);
        }
        if let (Some(wanted), Some(own)) = (wanted.rate_per_s, self.bounds.rate_per_s)
            && wanted > own
        {
            return Err(Excess::Rate(own));
        }
        if let (Some(wanted), Some(own)) = (wanted.expires_at, self.bounds.expires_at)
            && wanted > own
        {
            return Err(Excess::Time);
        }
        Ok(wanted.or(&self.bounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::{Role, Scope};

    fn bounds(networks: &str, rate: u32, expires_at: i64) -> Bounds {
        Bounds {
            networks: (!networks.is_empty()).then(|| networks.parse().unwrap()),
            rate_per_s: NonZeroU32::new(rate),
            expires_at: (expires_at > 0).then_some(expires_at),
        }
    }

    #[test]
    fn a_key_is_bound_as_its_granter_or_more() {
        let granter = |own| Granter { bounds: own, ..Granter::daemon("ann") };
        let own = bounds("10.0.0.0/8, 2001:db8::/32", 5, 1_000);
        for (own, wanted, expected) in [
            (bounds("", 0, 0), own.clone(), Ok(own.clone())),
            (bounds("", 0, 0), bounds("", 0, 0), Ok(bounds("", 0, 0))),
            (own.clone(), bounds("", 0, 0), Ok(own.clone())),
            (own.clone(), bounds("10.1.0.0/16", 1, 10), Ok(bounds("10.1.0.0/16", 1, 10))),
            (own.clone(), bounds("10.1.0.0/16", 0, 0), Ok(bounds("10.1.0.0/16", 5, 1_000))),
            (own.clone(), own.clone(), Ok(own.clone())),
            (own.clone(), bounds("10.0.0.0/7", 0, 0), Err(Excess::Networks)),
            (own.clone(), bounds("10.1.0.0/16, 127.0.0.1", 0, 0), Err(Excess::Networks)),
            (own.clone(), bounds("0.0.0.0/0", 0, 0), Err(Excess::Networks)),
            (own.clone(), bounds("::/0", 0, 0), Err(Excess::Networks)),
            (own.clone(), bounds("", 6, 0), Err(Excess::Rate(NonZeroU32::new(5).unwrap()))),
            (own.clone(), bounds("", 0, 1_001), Err(Excess::Time)),
        ] {
            assert_eq!(granter(own).bound(wanted.clone()), expected, "{wanted:?}");
        }
    }

    #[test]
    fn who_may_only_manage_makes_no_administrator() {
        let granter = Granter { scopes: Scopes::of([Scope::AuthWrite, Scope::Read]), ..Granter::daemon("key:k") };
        assert_eq!(granter.check_scopes(Scopes::of([Scope::Read])), Ok(()));
        for role in Role::ALL {
            assert!(granter.check_roles(Roles::of([role])).is_err(), "{role}");
        }
        assert_eq!(granter.check_roles(Roles::EMPTY), Ok(()));
        let beyond = Scopes::of([Scope::Decide]);
        assert_eq!(granter.check_roles(Roles::of([Role::Agent])), Err(Excess::Scopes(beyond)));
        let all = Granter::daemon("local:0");
        assert!(Role::ALL.into_iter().all(|role| all.check_roles(Roles::of([role])).is_ok()));
        let bound = Granter { bounds: bounds("", 0, 1), ..all };
        assert_eq!(bound.check_roles(Roles::EMPTY), Err(Excess::Unbounded));
    }
}
