//! Scopes, and the roles that stand for several of them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One thing that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Ask for decisions.
    Decide,
    /// Read the constitution, and the state of caches and pools.
    Read,
    /// Read entities.
    EntitiesRead,
    /// Change entities.
    EntitiesWrite,
    /// Change the constitution.
    ConstitutionWrite,
    /// Read the audit log.
    AuditRead,
    /// Manage people, clients and keys.
    AuthWrite,
    /// Run the daemon.
    Ops,
}

/// The word is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope `{}`{}", .0.escape_debug(), crate::domain::suggestion(.0, Scope::ALL.map(Scope::as_str)))]
pub struct UnknownScope(pub String);

/// The word is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{}`{}", .0.escape_debug(), crate::domain::suggestion(.0, Role::ALL.map(Role::as_str)))]
pub struct UnknownRole(pub String);

impl Scope {
    /// All scopes, in the order in which sets of them are written.
    pub const ALL: [Self; Self::Ops as usize + 1] = [
        Self::Decide,
        Self::Read,
        Self::EntitiesRead,
        Self::EntitiesWrite,
        Self::ConstitutionWrite,
        Self::AuditRead,
        Self::AuthWrite,
        Self::Ops,
    ];

    /// The scope's name in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Read => "read",
            Self::EntitiesRead => "entities:read",
            Self::EntitiesWrite => "entities:write",
            Self::ConstitutionWrite => "constitution:write",
            Self::AuditRead => "audit:read",
            Self::AuthWrite => "auth:write",
            Self::Ops => "ops",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u16);

impl Scopes {
    /// No scope.
    pub const EMPTY: Self = Self(0);
    /// Every scope.
    pub const ALL: Self = Self::of(Scope::ALL);

    /// The set of these.
    #[must_use]
    pub const fn of<const N: usize>(scopes: [Scope; N]) -> Self {
        let mut bits = 0;
        let mut rest: &[Scope] = &scopes;
        while let [scope, tail @ ..] = rest {
            bits |= scope.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Parses a space-separated list, and ignores unknown scopes: foreign issuers have scopes of their own.
    #[must_use]
    pub fn parse_known(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    /// Whether the scope is in the set.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every scope of the other set is in this one.
    #[must_use]
    pub const fn contains_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// The scopes in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The scopes in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is no scope in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes of the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.iter().map(Scope::as_str))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A role of users and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// May do everything.
    Admin,
    /// Runs the daemon and keeps its entities.
    Operator,
    /// Writes policies.
    PolicyAuthor,
    /// Puts constitutions in force.
    Ratifier,
    /// Reads decisions.
    Auditor,
    /// Asks for decisions, and nothing else.
    Agent,
}

impl Role {
    /// All roles, in the order in which sets of them are written.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Operator, Self::PolicyAuthor, Self::Ratifier, Self::Auditor, Self::Agent];

    /// The role's name in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::PolicyAuthor => "policy_author",
            Self::Ratifier => "ratifier",
            Self::Auditor => "auditor",
            Self::Agent => "agent",
        }
    }

    /// The scopes of the role.
    #[must_use]
    pub const fn scopes(self) -> Scopes {
        use Scope::{AuditRead, ConstitutionWrite, Decide, EntitiesRead, EntitiesWrite, Ops, Read};
        match self {
            Self::Admin => Scopes::ALL,
            Self::Operator => Scopes::of([Decide, Read, EntitiesRead, EntitiesWrite, AuditRead, Ops]),
            Self::PolicyAuthor => Scopes::of([Decide, Read, EntitiesRead, ConstitutionWrite]),
            Self::Ratifier => Scopes::of([Read, EntitiesRead, ConstitutionWrite, AuditRead]),
            Self::Auditor => Scopes::of([Read, EntitiesRead, AuditRead]),
            Self::Agent => Scopes::of([Decide]),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u16);

impl Roles {
    /// No role.
    pub const EMPTY: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of<const N: usize>(roles: [Role; N]) -> Self {
        let mut bits = 0;
        let mut rest: &[Role] = &roles;
        while let [role, tail @ ..] = rest {
            bits |= role.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// The set of those words that name a role here; others are left out.
    #[must_use]
    pub fn known<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().filter_map(|word| word.parse().ok()).collect()
    }

    /// Whether the role is in the set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The roles in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is no role in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles of the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }

    /// The scopes of all roles together.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        self.iter().fold(Scopes::EMPTY, |scopes, role| scopes.union(role.scopes()))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.iter().map(Role::as_str))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roles({self})")
    }
}

impl FromStr for Roles {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        text.split_ascii_whitespace().map(Role::from_str).collect()
    }
}

impl Serialize for Roles {
    /// A list of texts, as the claim `roles` has it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Role::as_str))
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = &'static str>) -> fmt::Result {
    for (at, word) in words.enumerate() {
        if at > 0 {
            f.write_str(" ")?;
        }
        f.write_str(word)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_in_one_order_and_read_back() {
        let scopes: Scopes = "ops  decide entities:read".parse().unwrap();
        assert_eq!(scopes.to_string(), "decide entities:read ops");
        assert_eq!(scopes.to_string().parse(), Ok(scopes));
        assert_eq!(Scopes::ALL.iter().count(), Scope::ALL.len());
        assert_eq!(Scopes::ALL.to_string().parse(), Ok(Scopes::ALL));
        assert_eq!("".parse(), Ok(Scopes::EMPTY));
    }

    #[test]
    fn an_unknown_scope_is_named_or_left_out() {
        let error = |text: &str| text.parse::<Scopes>().unwrap_err().to_string();
        assert_eq!(error("read Root"), "there is no scope `Root`");
        assert_eq!(error("deicde"), "there is no scope `deicde`; did you mean `decide`?");
        assert_eq!(Scopes::parse_known("openid read READ profile"), Scopes::of([Scope::Read]));
    }

    #[test]
    fn a_set_contains_only_what_it_was_given() {
        let agent = Role::Agent.scopes();
        assert!(agent.contains(Scope::Decide));
        assert!(!agent.contains(Scope::Read));
        assert!(Scopes::ALL.contains_all(agent) && !agent.contains_all(Scopes::ALL));
        assert!(agent.intersection(Role::Auditor.scopes()).is_empty());
        assert!(agent.contains_all(Scopes::EMPTY));
    }

    #[test]
    fn only_an_administrator_manages_people_and_keys() {
        for role in Role::ALL {
            assert_eq!(role.scopes().contains(Scope::AuthWrite), role == Role::Admin, "{role}");
        }
    }

    #[test]
    fn roles_add_up() {
        let roles: Roles = "agent auditor".parse().unwrap();
        assert_eq!(roles.to_string(), "auditor agent");
        assert_eq!(roles.scopes().to_string(), "decide read entities:read audit:read");
        assert_eq!(serde_json::to_string(&roles).unwrap(), r#"["auditor","agent"]"#);
        assert_eq!("root".parse::<Roles>().unwrap_err().to_string(), "there is no role `root`");
        assert_eq!(Roles::known(["admin", "superuser"]), Roles::of([Role::Admin]));
    }
}
