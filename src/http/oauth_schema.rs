//! Schemas of the OAuth routes, for the API document: forms that share their parser, and answers with varying members.
#![expect(dead_code, reason = "the types only describe forms and JSON")]

use utoipa::ToSchema;

/// A request for tokens (RFC 6749). The client authenticates with HTTP Basic, or with members of the form.
#[derive(ToSchema)]
#[schema(examples(json!({"grant_type": "client_credentials", "scope": "decide"})))]
pub struct TokenForm {
    grant_type: GrantType,
    /// Scopes, separated by spaces; all that can be had by default.
    #[schema(value_type = String, required = false)]
    scope: (),
    /// With `grant_type=refresh_token`.
    #[schema(value_type = String, required = false)]
    refresh_token: (),
    #[schema(value_type = String, required = false)]
    client_id: (),
    #[schema(value_type = String, format = Password, required = false)]
    client_secret: (),
    /// A signed assertion (RFC 7523).
    #[schema(value_type = String, required = false)]
    client_assertion: (),
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`
    #[schema(value_type = String, required = false)]
    client_assertion_type: (),
}

/// The grants that there are.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum GrantType {
    ClientCredentials,
    RefreshToken,
}

/// A token to be introspected (RFC 7662).
#[derive(ToSchema)]
#[schema(examples(json!({"token": "eyJ…"})))]
pub struct IntrospectForm {
    token: String,
    #[schema(value_type = String, required = false)]
    client_id: (),
    #[schema(value_type = String, format = Password, required = false)]
    client_secret: (),
    #[schema(value_type = String, required = false)]
    client_assertion: (),
    #[schema(value_type = String, required = false)]
    client_assertion_type: (),
}

/// A token to be revoked (RFC 7009).
#[derive(ToSchema)]
#[schema(examples(json!({"token": "eyJ…"})))]
pub struct RevokeForm {
    token: String,
    #[schema(value_type = String, required = false)]
    client_id: (),
    #[schema(value_type = String, format = Password, required = false)]
    client_secret: (),
    #[schema(value_type = String, required = false)]
    client_assertion: (),
    #[schema(value_type = String, required = false)]
    client_assertion_type: (),
}

/// The claims of a token; of an invalid one, only that it is not active.
#[derive(ToSchema)]
#[schema(examples(json!({"active": false})))]
pub struct Introspection {
    active: bool,
    #[schema(value_type = String, required = false)]
    token_type: (),
    #[schema(value_type = String, required = false)]
    scope: (),
    #[schema(value_type = String, required = false)]
    iss: (),
    #[schema(value_type = String, required = false)]
    sub: (),
    #[schema(value_type = i64, required = false)]
    exp: (),
    #[schema(value_type = i64, required = false)]
    iat: (),
    #[schema(value_type = String, required = false)]
    client_id: (),
    #[schema(value_type = String, required = false)]
    username: (),
    /// The hash of the constitution that was in force when the token was issued.
    #[schema(value_type = String, required = false)]
    constitutional_hash: (),
}

/// A JSON Web Key Set (RFC 7517).
#[derive(ToSchema)]
#[schema(examples(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
    "kid": "mJ7Vw0rJ4fL2nqk9", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})))]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

/// A public key.
#[derive(ToSchema)]
pub struct Jwk {
    kty: String,
    kid: String,
}
