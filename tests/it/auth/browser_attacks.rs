//! What else sends the cookie of a browser's session, or something like it: other sites, forgers and guessers.

use serde_json::json;

use super::browser::{Browser, COOKIE, SESSION, bare, is_cleared, signing_in, slug, with_ann};
use super::{PASSWORD, Tokens, add_user, setup};
use crate::harness::issuer;

#[test]
fn a_change_needs_the_csrf_token_of_its_own_session() {
    let (_, daemon) = with_ann();
    let (browser, other) = (Browser::sign_in(&daemon, "ann"), Browser::sign_in(&daemon, "ann"));
    assert_ne!(browser.csrf, other.csrf);
    let forged = |token: Option<&str>| {
        let requests = [
            browser.request("DELETE", "/v1/cache"),
            browser.request("POST", "/v1/validate"),
            browser.request("POST", "/v1/auth/logout-all"),
        ];
        requests.map(|request| match token {
            Some(token) => request.header("X-CSRF-Token", token),
            None => request,
        })
    };
    let (cut, long) = (&browser.csrf[1..], format!("{}A", browser.csrf));
    for token in [None, Some(""), Some(&*other.csrf), Some(cut), Some(&*long), Some("null")] {
        for request in forged(token) {
            let answer = daemon.ask(&request.json(&super::question()));
            assert_eq!(slug(&answer), (403, "csrf".to_owned()), "{token:?}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    let twice = browser.change("DELETE", "/v1/cache").header("X-CSRF-Token", &browser.csrf);
    assert_eq!(slug(&daemon.ask(&twice)), (403, "csrf".to_owned()));
    assert_eq!(daemon.ask(&browser.change("DELETE", "/v1/cache")).status, 200);
    let decision = daemon.ask(&browser.change("POST", super::EVALUATION).json(&super::question()));
    assert_eq!(decision.status, 200, "{decision}");
    assert_eq!(daemon.get("/problems/csrf").status, 200);
    // A page cannot get the header past a preflight of another origin.
    let preflight = daemon.ask(&bare("OPTIONS", SESSION).header("Access-Control-Request-Method", "POST"));
    let allowed = preflight.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(!allowed.contains("csrf"), "{allowed}");
}

#[test]
fn a_cookie_counts_for_nothing_that_another_site_sends() {
    let console = "https://console.example";
    let setup = setup().set("http.allowed_origins", console);
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let browser = Browser::sign_in(&daemon, "ann");
    let from = |method: &str, headers: &[(&str, &str)]| {
        let request = bare(method, "/v1/cache").header("Cookie", &browser.cookie).header("X-CSRF-Token", &browser.csrf);
        daemon.ask(&headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    };
    for method in ["GET", "DELETE"] {
        for site in ["cross-site", "same-site", "Same-Origin", ""] {
            let answer = from(method, &[("Sec-Fetch-Site", site)]);
            assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{method} {site}: {answer}");
        }
        let both = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(from(method, &both).status, 401, "{method}");
        for origin in ["https://evil.example", "null"] {
            assert_eq!(slug(&from(method, &[("Origin", origin)])), (403, "foreign-origin".to_owned()), "{origin}");
        }
        // Pages of allowed origins may call, but with a token only.
        assert_eq!(from(method, &[("Origin", console)]).status, 401, "{method}");
        for own in ["https://acgs.example", "http://localhost"] {
            let answer = from(method, &[("Origin", own), ("Sec-Fetch-Site", "same-origin")]);
            assert!(answer.status < 300, "{method} {own}: {answer}");
        }
    }
    // Nobody is signed in by a page of another origin.
    for (name, value) in [("Origin", console), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")] {
        let answer = daemon.ask(&signing_in("ann", PASSWORD).header(name, value));
        assert_eq!(slug(&answer), (403, "foreign-origin".to_owned()), "{name} {value}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn another_credential_takes_the_place_of_the_cookie() {
    let (_, daemon) = with_ann();
    let browser = Browser::sign_in(&daemon, "ann");
    let with = |name: &str, value: &str| daemon.ask(&browser.get("/v1/auth/me").header(name, value));
    let token = issuer::token("somebody", "agent");
    assert!(with("Authorization", &format!("Bearer {token}")).json()["name"].as_str().unwrap().ends_with("#somebody"));
    for (name, value) in [
        ("Authorization", "Bearer wrong"),
        ("Authorization", "Basic YTpi"),
        ("Authorization", "Negotiate x"),
        ("Authorization", ""),
        ("X-API-Key", "acgs_ak_x"),
    ] {
        let answer = with(name, value);
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{name}: {value}: {answer}");
    }
    // With a token a change needs no CSRF token.
    let answer = daemon.ask(&bare("DELETE", "/v1/cache").header("Cookie", &browser.cookie).token(issuer::admin()));
    assert_eq!(answer.status, 200, "{answer}");
}

#[test]
fn a_changed_cookie_is_refused_and_removed() {
    let (_, daemon) = with_ann();
    let (browser, other) = (Browser::sign_in(&daemon, "ann"), Tokens::log_in(&daemon, "ann", PASSWORD));
    let value = browser.cookie.split_once('=').unwrap().1;
    let parts: Vec<&str> = value.split('~').collect();
    let (secret, refresh, access) = (parts[0], parts[1], parts[2]);
    let flipped = |text: &str| {
        let last = if text.ends_with('A') { "Q" } else { "A" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    let (head, rest) = access.split_once('.').unwrap();
    let unsigned = format!("{head}.{}.", rest.split_once('.').unwrap().0);
    for changed in [
        String::new(),
        "x".to_owned(),
        access.to_owned(),
        format!("{secret}~{refresh}~"),
        format!("{secret}~{refresh}~{}", flipped(access)),
        format!("{secret}~{refresh}~{unsigned}"),
        format!("{secret}~{refresh}~{}", other.refresh),
        format!("{secret}~{access}~{refresh}"),
        format!("{value}~x"),
        "A".repeat(8_000),
    ] {
        let answer = daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &format!("{COOKIE}={changed}")));
        assert_eq!(answer.status, 401, "{changed}: {answer}");
        is_cleared(&answer);
    }
    let twice = format!("{}; {COOKIE}=x", browser.cookie);
    assert_eq!(daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &twice)).status, 401);
    // A longer header is refused as a whole, and the daemon goes on.
    let long = format!("a={}; {}", "b".repeat(200_000), browser.cookie);
    let refused = daemon.connect().try_ask(&bare("GET", "/v1/auth/me").header("Cookie", &long));
    assert!(refused.as_ref().map_or(true, |answer| (400..500).contains(&answer.status)), "{refused:?}");
    let among = format!("a={}; {}; c=d", "b".repeat(8_000), browser.cookie);
    assert_eq!(daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &among)).status, 200);
    // On a route that needs no credential, a wrong one is refused all the same.
    let request = bare("POST", super::EVALUATION).json(&super::question()).header("X-CSRF-Token", &browser.csrf);
    let wrong = format!("{COOKIE}={secret}~{refresh}~{}", flipped(access));
    assert_eq!(daemon.ask(&request.header("Cookie", &wrong)).status, 401);
}

#[test]
fn guessing_refresh_tokens_by_cookie_is_throttled() {
    let (_, daemon) = with_ann();
    let browser = Browser::sign_in(&daemon, "ann");
    // Nothing is verified of an access token that says that it has expired.
    let expired = issuer::key().sign("at+jwt", &json!({"exp": 1})).unwrap();
    let guess = |nth: u32| {
        let cookie = format!("{COOKIE}=acgs_ss_{}~acgs_rt_{nth:0>42}A~{expired}", "A".repeat(43));
        daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &cookie)).status
    };
    let statuses: Vec<u16> = (0..1_000).map(guess).collect();
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    assert!(throttled > 300 && statuses[0] == 401, "{throttled}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    assert_eq!(daemon.ask(&browser.get(SESSION)).status, 200, "who need not renew is not slowed down");
}
