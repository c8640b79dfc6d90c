//! A client library that is not ours gets, uses, refreshes, introspects and revokes tokens.

use std::convert::Infallible;

use crate::harness::{Request, Setup, TestDaemon};
use oauth2::basic::{BasicClient, BasicRequestTokenError, BasicTokenResponse};
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl, RefreshToken,
    RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl, http,
};
use serde_json::{Value, json};

/// Where clients believe the daemon to be; a proxy would be there.
const URL: &str = "https://acgs.example";

/// Sends what the library sends to the daemon, as the proxy would.
fn send(daemon: &TestDaemon, request: &HttpRequest) -> HttpResponse {
    let path = request.uri().to_string().strip_prefix(URL).unwrap().to_owned();
    let mut sent = Request::new(request.method().as_str(), &path).anonymous().body(request.body().clone());
    for (name, value) in request.headers() {
        sent = sent.header(name.as_str(), value.to_str().unwrap());
    }
    let answer = daemon.ask(&sent);
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(answer.body).unwrap()
}

/// An endpoint, as the metadata names it.
fn endpoint(metadata: &Value, name: &str) -> String {
    metadata[format!("{name}_endpoint")].as_str().unwrap().to_owned()
}

fn status(daemon: &TestDaemon, token: &AccessToken) -> u16 {
    daemon.ask(&Request::get("/v1/constitution").token(token.secret())).status
}

#[test]
fn a_client_library_gets_uses_refreshes_introspects_and_revokes_tokens() {
    let setup = Setup::new().set("http.public_url", URL);
    let daemon = setup.start();
    let made = setup.run(["client", "add", "library", "--role", "auditor", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let metadata = daemon.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(metadata["issuer"], URL);
    let proxy = |request: HttpRequest| Ok::<_, Infallible>(send(&daemon, &request));

    for how in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(made["client_id"].as_str().unwrap().to_owned()))
            .set_client_secret(ClientSecret::new(made["client_secret"].as_str().unwrap().to_owned()))
            .set_auth_type(how)
            .set_token_uri(TokenUrl::new(endpoint(&metadata, "token")).unwrap())
            .set_introspection_url(IntrospectionUrl::new(endpoint(&metadata, "introspection")).unwrap())
            .set_revocation_url(RevocationUrl::new(endpoint(&metadata, "revocation")).unwrap());
        let read = client.exchange_client_credentials().add_scope(Scope::new("read".to_owned()));
        let granted: BasicTokenResponse = read.request(&proxy).unwrap();
        assert_eq!(granted.scopes().unwrap(), &[Scope::new("read".to_owned())]);
        assert_eq!(status(&daemon, granted.access_token()), 200);
        let forbidden = Request::get("/v1/audit").token(granted.access_token().secret());
        assert_eq!(daemon.ask(&forbidden).status, 403);

        let found = client.introspect(granted.access_token()).request(&proxy).unwrap();
        assert!(found.active());
        assert_eq!(found.client_id().map(|id| id.as_str()), made["client_id"].as_str());
        client
            .revoke_token(StandardRevocableToken::from(granted.access_token().clone()))
            .unwrap()
            .request(&proxy)
            .unwrap();
        assert!(!client.introspect(granted.access_token()).request(&proxy).unwrap().active());
        assert_eq!(status(&daemon, granted.access_token()), 401);

        let refused = client.exchange_client_credentials().add_scope(Scope::new("ops".to_owned())).request(&proxy);
        let Err(BasicRequestTokenError::ServerResponse(refused)) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.error().to_string(), "invalid_scope");
    }
}

#[test]
fn a_client_library_refreshes_what_a_person_logged_in_for() {
    let setup = Setup::new().set("http.public_url", URL);
    let daemon = setup.start();
    let password = setup.run(["user", "add", "ann", "--role", "auditor"]).stdout;
    let password = String::from_utf8(password).unwrap();
    let login = json!({"username": "ann", "password": password.trim()});
    let session = daemon.post("/v1/auth/login", &login).json();
    let first = RefreshToken::new(session["refresh_token"].as_str().unwrap().to_owned());
    let proxy = |request: HttpRequest| Ok::<_, Infallible>(send(&daemon, &request));
    let client = BasicClient::new(ClientId::new("acgs".to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::new(format!("{URL}/oauth2/token")).unwrap());
    let second = client.exchange_refresh_token(&first).request(&proxy).unwrap();
    assert_eq!(status(&daemon, second.access_token()), 200);
    let third = client.exchange_refresh_token(second.refresh_token().unwrap()).request(&proxy).unwrap();
    assert_eq!(status(&daemon, third.access_token()), 200);
    // Who comes with a used one is not who has the session, or not the only one: it ends.
    let refused = client.exchange_refresh_token(&first).request(&proxy);
    let Err(BasicRequestTokenError::ServerResponse(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.error().to_string(), "invalid_grant");
    assert_eq!([&second, &third].map(|granted| status(&daemon, granted.access_token())), [401, 401]);
    assert!(client.exchange_refresh_token(third.refresh_token().unwrap()).request(&proxy).is_err());
}
