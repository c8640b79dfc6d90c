// @generated automatically by Diesel CLI.

diesel::table! {
    api_keys (id) {
        id -> Text,
        name -> Text,
        digest -> Binary,
        owner -> Text,
        scopes -> Text,
        networks -> Text,
        rate_per_s -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    assertions (client, jti) {
        client -> Text,
        jti -> Text,
        expires_at -> BigInt,
        due -> BigInt,
    }
}

diesel::table! {
    cache_keys (id) {
        id -> Integer,
        secret -> Binary,
    }
}

diesel::table! {
    changes (version) {
        version -> BigInt,
        kind -> Text,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        id -> Nullable<Text>,
        nonce -> BigInt,
    }
}

diesel::table! {
    clients (id) {
        id -> Text,
        name -> Text,
        secret -> Nullable<Binary>,
        jwks -> Nullable<Text>,
        roles -> Text,
        session -> Text,
        disabled_at -> Nullable<BigInt>,
        created_at -> BigInt,
        version -> BigInt,
        made_by -> Nullable<Text>,
    }
}

diesel::table! {
    ended_tokens (id) {
        id -> Text,
        until -> BigInt,
        due -> BigInt,
    }
}

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
        incarnation -> BigInt,
        nonce -> BigInt,
    }
}

diesel::table! {
    recovery_codes (user_id, digest) {
        user_id -> Text,
        digest -> Binary,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Binary,
        session -> Text,
        used_at -> Nullable<BigInt>,
        expires_at -> BigInt,
        seed -> Nullable<Binary>,
        used_by -> Nullable<Binary>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        created_at -> BigInt,
        last_used_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        end_reason -> Nullable<Text>,
        address -> Text,
        user_agent -> Text,
        client_id -> Nullable<Text>,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        pkcs8 -> Binary,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
        withdrawn_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    uptime (one) {
        one -> Integer,
        seconds -> BigInt,
        wall -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        name -> Text,
        password -> Text,
        roles -> Text,
        disabled_at -> Nullable<BigInt>,
        totp_secret -> Nullable<Binary>,
        totp_confirmed -> Bool,
        totp_last_step -> BigInt,
        created_at -> BigInt,
        password_changed_at -> BigInt,
        version -> BigInt,
        made_by -> Nullable<Text>,
    }
}

diesel::joinable!(recovery_codes -> users (user_id));
diesel::joinable!(refresh_tokens -> sessions (session));
diesel::joinable!(sessions -> clients (client_id));
diesel::joinable!(sessions -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(clients, recovery_codes, refresh_tokens, sessions, users,);
