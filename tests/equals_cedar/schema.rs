//! The schema that all random cases share, once as text for the constitution and once as data for the generators.

pub const SCHEMA: &str = r#"
type Home = { city: String, zip?: Long, owner?: User, deep: { unit?: Org::Unit, n: Long } };
entity Colour enum ["red", "green", "blue"];
entity Group in [Group] { label: String, lead?: User };
entity User in [Group, Org::Unit] {
  age: Long, name: String, active: Bool, born: datetime, limit: decimal, colour: Colour, home: Home,
  friends: Set<User>, groups: Set<Group>, levels: Set<Long>, labels: Set<String>, homes: Set<{ city: String }>,
  manager?: User, host?: ipaddr, quota?: duration, hosts?: Set<ipaddr>
} tags String;
entity Folder in [Folder] { owner?: User, meta?: { author: User, n?: Long } } tags Long;
entity Document in [Folder] {
  owner: User, size: Long, public: Bool, readers: Set<User>,
  folder?: Folder, title?: String, colour?: Colour, expires?: datetime
} tags Set<String>;
namespace Org {
  entity Unit in [Unit] { size: Long, head?: User };
  action audit appliesTo {
    principal: [User, Unit], resource: [Document, Unit], context: { risk: Long, approved: Bool }
  };
}
type Case = {
  risk: Long, approved: Bool, amount: decimal, when: datetime,
  note?: String, approver?: User, ip?: ipaddr, span?: duration, colour?: Colour, people?: Set<User>,
  about?: { doc: Document, n?: Long, by?: User }, action?: { count?: Long, bulk?: Bool }
};
action readers, writers;
action view in [readers] appliesTo { principal: [User, Org::Unit], resource: [Document, Folder, User], context: Case };
action edit in [writers] appliesTo { principal: [User], resource: [Document, Folder], context: Case };
action share in [readers, writers] appliesTo { principal: [User], resource: [User], context: Case };
"#;

/// A type of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ty {
    Bool,
    Long,
    Str,
    Entity(&'static str),
    Ext(&'static str),
    Set(Box<Ty>),
    Record(Vec<Field>),
}

/// An attribute: its name, its type and whether it is required.
pub type Field = (&'static str, Ty, bool);

/// Who does what to what, by type; the action by its full name.
#[derive(Debug, Clone)]
pub struct Env {
    pub principal: &'static str,
    pub action: &'static str,
    pub resource: &'static str,
}

pub const ENTITY_TYPES: [&str; 5] = ["Group", "User", "Folder", "Document", "Org::Unit"];
pub const AUDIT: &str = "Org::Action::\"audit\"";
const VIEW: &str = "Action::\"view\"";
const EDIT: &str = "Action::\"edit\"";
const SHARE: &str = "Action::\"share\"";

/// Every way in which principal, action and resource go together.
pub fn environments() -> Vec<Env> {
    let all = [
        (VIEW, &["User", "Org::Unit"][..], &["Document", "Folder", "User"][..]),
        (EDIT, &["User"], &["Document", "Folder"]),
        (SHARE, &["User"], &["User"]),
        (AUDIT, &["User", "Org::Unit"], &["Document", "Org::Unit"]),
    ];
    let mut found = Vec::new();
    for (action, principals, resources) in all {
        for principal in principals {
            found.extend(resources.iter().map(|resource| Env { principal, action, resource }));
        }
    }
    found
}

/// The groups that an action is in.
pub fn action_groups(action: &str) -> &'static [&'static str] {
    match action {
        VIEW => &["readers"],
        EDIT => &["writers"],
        SHARE => &["readers", "writers"],
        _ => &[],
    }
}

/// The ids that entities of a type may have.
pub fn ids(kind: &str) -> &'static [&'static str] {
    if kind == "Colour" { &["red", "green", "blue"] } else { &["a", "b", "c", "d é"] }
}

/// The types whose entities an entity of that type may be in.
pub fn parents(kind: &str) -> &'static [&'static str] {
    match kind {
        "Group" => &["Group"],
        "User" => &["Group", "Org::Unit"],
        "Folder" | "Document" => &["Folder"],
        "Org::Unit" => &["Org::Unit"],
        _ => &[],
    }
}

/// The type of the tags of entities of that type.
pub fn tags(kind: &str) -> Option<Ty> {
    match kind {
        "User" => Some(Ty::Str),
        "Folder" => Some(Ty::Long),
        "Document" => Some(set(Ty::Str)),
        _ => None,
    }
}

/// The attributes of entities of that type.
pub fn attributes(kind: &str) -> Vec<Field> {
    let user = || Ty::Entity("User");
    match kind {
        "Group" => vec![("label", Ty::Str, true), ("lead", user(), false)],
        "User" => vec![
            ("age", Ty::Long, true),
            ("name", Ty::Str, true),
            ("active", Ty::Bool, true),
            ("born", Ty::Ext("datetime"), true),
            ("limit", Ty::Ext("decimal"), true),
            ("colour", Ty::Entity("Colour"), true),
            ("home", home(), true),
            ("friends", set(user()), true),
            ("groups", set(Ty::Entity("Group")), true),
            ("levels", set(Ty::Long), true),
            ("labels", set(Ty::Str), true),
            ("homes", set(city()), true),
            ("manager", user(), false),
            ("host", Ty::Ext("ip"), false),
            ("quota", Ty::Ext("duration"), false),
            ("hosts", set(Ty::Ext("ip")), false),
        ],
        "Folder" => {
            let meta = Ty::Record(vec![("author", user(), true), ("n", Ty::Long, false)]);
            vec![("owner", user(), false), ("meta", meta, false)]
        }
        "Document" => vec![
            ("owner", user(), true),
            ("size", Ty::Long, true),
            ("public", Ty::Bool, true),
            ("readers", set(user()), true),
            ("folder", Ty::Entity("Folder"), false),
            ("title", Ty::Str, false),
            ("colour", Ty::Entity("Colour"), false),
            ("expires", Ty::Ext("datetime"), false),
        ],
        "Org::Unit" => vec![("size", Ty::Long, true), ("head", user(), false)],
        _ => Vec::new(),
    }
}

/// What the context of an action holds.
pub fn context(action: &str) -> Vec<Field> {
    let mut fields = vec![("risk", Ty::Long, true), ("approved", Ty::Bool, true)];
    if action == AUDIT {
        return fields;
    }
    let about = [("doc", Ty::Entity("Document"), true), ("n", Ty::Long, false), ("by", Ty::Entity("User"), false)];
    fields.extend([
        ("amount", Ty::Ext("decimal"), true),
        ("when", Ty::Ext("datetime"), true),
        ("note", Ty::Str, false),
        ("approver", Ty::Entity("User"), false),
        ("ip", Ty::Ext("ip"), false),
        ("span", Ty::Ext("duration"), false),
        ("colour", Ty::Entity("Colour"), false),
        ("people", set(Ty::Entity("User")), false),
        ("about", Ty::Record(about.to_vec()), false),
        ("action", Ty::Record(vec![("count", Ty::Long, false), ("bulk", Ty::Bool, false)]), false),
    ]);
    fields
}

pub fn set(element: Ty) -> Ty {
    Ty::Set(Box::new(element))
}

/// The record type of the items of `homes`.
pub fn city() -> Ty {
    Ty::Record(vec![("city", Ty::Str, true)])
}

fn home() -> Ty {
    let deep = Ty::Record(vec![("unit", Ty::Entity("Org::Unit"), false), ("n", Ty::Long, true)]);
    Ty::Record(vec![
        ("city", Ty::Str, true),
        ("zip", Ty::Long, false),
        ("owner", Ty::Entity("User"), false),
        ("deep", deep, true),
    ])
}
