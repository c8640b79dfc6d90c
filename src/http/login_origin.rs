//! The origin of a request for tokens, as sessions are listed with it.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::forwarded::address;
use crate::actors::identity::directory::LoginOrigin;

/// The origin of a request for tokens.
pub fn origin(request: &HttpRequest) -> LoginOrigin {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    LoginOrigin {
        address: address(request).to_string(),
        user_agent: user_agent.unwrap_or_default().chars().take(200).collect(),
    }
}
