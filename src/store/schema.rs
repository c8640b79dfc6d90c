// @generated automatically by Diesel CLI.

diesel::table! {
    entities (type_, id) {
        #[sql_name = "type"]
        type_ -> Text,
        id -> Text,
        attrs -> Text,
        parents -> Text,
        tags -> Text,
        version -> BigInt,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    entity_versions (one) {
        one -> Integer,
        newest -> BigInt,
    }
}
