// As the Diesel CLI would write it, without the columns that are made from others.

diesel::table! {
    audit_entries (place) {
        place -> BigInt,
        leaf -> Binary,
        at -> BigInt,
        kind -> Text,
        caller -> Nullable<Text>,
        subject_type -> Nullable<Text>,
        subject_id -> Nullable<Text>,
        action -> Nullable<Text>,
        resource_type -> Nullable<Text>,
        resource_id -> Nullable<Text>,
        decision -> Nullable<Bool>,
        reason -> Nullable<Text>,
        record -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

diesel::table! {
    audit_logs (id) {
        id -> BigInt,
        origin -> Text,
        next -> BigInt,
    }
}

diesel::table! {
    audit_spans (block) {
        block -> BigInt,
        earliest -> BigInt,
        latest -> BigInt,
    }
}

diesel::table! {
    audit_violations (principle, place) {
        principle -> Text,
        place -> BigInt,
    }
}
