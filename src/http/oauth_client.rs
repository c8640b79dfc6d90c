//! Client authentication (RFC 6749, section 2.3; RFC 7523, section 2.2).

use std::collections::HashMap;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Query;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::actors::identity::directory::ClientProof;
use crate::auth::jws::Unverified;

/// The only type of assertion there is.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client, and its proof of identity.
#[derive(Debug)]
pub struct ShownClient {
    /// Its id.
    pub id: String,
    /// The proof.
    pub proof: ClientProof,
}

/// The client of a request; `None` without a proof. More than one method is an error.
pub fn shown(
    headers: &HeaderMap,
    id: Option<String>,
    secret: Option<String>,
    assertion: Option<(String, String)>,
    public_url: &str,
) -> Result<Option<ShownClient>, &'static str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = authorization.and_then(|value| {
        let (scheme, credentials) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| credentials.trim())
    });
    match (basic, secret, assertion) {
        (None, None, None) => Ok(id.map(|id| ShownClient { id, proof: ClientProof::Nothing })),
        (Some(basic), None, None) => {
            let (named, secret) = read_basic(basic).ok_or("the Basic credentials cannot be read")?;
            if id.is_some_and(|id| id != named) {
                return Err("`client_id` names another client than the Basic credentials");
            }
            Ok(Some(ShownClient { id: named, proof: ClientProof::Secret(secret) }))
        }
        (None, Some(secret), None) => {
            let id = id.ok_or("`client_id` is missing")?;
            Ok(Some(ShownClient { id, proof: ClientProof::Secret(secret) }))
        }
        (None, None, Some((kind, token))) => {
            if kind != JWT_BEARER {
                return Err("`client_assertion_type` is not known");
            }
            let claims = Unverified::parse(&token).and_then(|token| token.claims()).ok();
            let subject = claims.and_then(|claims| Some(claims.get("sub")?.as_str()?.to_owned()));
            let named = subject.ok_or("`client_assertion` cannot be read")?;
            if id.is_some_and(|id| id != named) {
                return Err("`client_id` names another client than the assertion");
            }
            let audiences = vec![public_url.to_owned(), format!("{public_url}/oauth2/token")];
            Ok(Some(ShownClient { id: named, proof: ClientProof::Assertion { token, audiences } }))
        }
        _ => Err("the client uses more than one authentication method"),
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749, section 2.3.1).
fn read_basic(credentials: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let query = format!("id={}&secret={}", escape(id), escape(secret));
    let mut decoded = Query::<HashMap<String, String>>::from_query(&query).ok()?.into_inner();
    Some((decoded.remove("id")?, decoded.remove("secret")?))
}

/// Escapes the characters that would end a part early.
fn escape(part: &str) -> String {
    part.replace('&', "%26").replace('=', "%3D")
}
