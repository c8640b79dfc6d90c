//! Scopes and roles in the API document: their names, which are not those of the variants.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::scope::{Role, Scope};

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        names("One thing that a caller may do.", Self::ALL.map(Self::as_str))
    }
}

impl ToSchema for Scope {}

impl PartialSchema for Role {
    fn schema() -> RefOr<Schema> {
        names("A role of users and clients, which stands for several scopes.", Self::ALL.map(Self::as_str))
    }
}

impl ToSchema for Role {}

fn names<const N: usize>(about: &str, names: [&'static str; N]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(about)).enum_values(Some(names)).into()
}
