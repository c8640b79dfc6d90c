//! The dashboard's files, and the headers that keep its page to itself.

use super::problem;
use crate::harness::{Answer, Request, Setup, TestDaemon};

const PAGE: &str = "/dashboard/";

fn browser(path: &str) -> Request {
    Request::get(path).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

/// The headers of every file.
#[track_caller]
fn is_kept_to_itself(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for directive in
        ["default-src 'none'", "script-src 'self'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.split("; ").any(|part| part == directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}

#[test]
fn a_browser_is_sent_to_the_page_by_relative_links() {
    let daemon = TestDaemon::start();
    for (path, location) in [("/", "dashboard/"), ("/dashboard", "dashboard/"), ("/dashboard?a=b", "dashboard/?a=b")] {
        let answer = daemon.ask(&browser(path));
        assert_eq!((answer.status, answer.header("location")), (302, Some(location)), "{path}");
    }
    for accept in [None, Some("application/json"), Some("*/*"), Some("text/htmlx"), Some("text/plain, text/*")] {
        let request = accept.iter().fold(Request::get("/"), |request, accept| request.header("Accept", accept));
        let answer = daemon.ask(&request);
        assert_eq!(problem(&answer), "404 not-found", "{accept:?}");
    }
    assert_eq!(problem(&daemon.post("/", &serde_json::json!({}))), "405 method-not-allowed");
}

#[test]
fn a_file_comes_once_until_it_changes() {
    let daemon = TestDaemon::start();
    let answer = daemon.ask(&browser(PAGE));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{answer}");
    is_kept_to_itself(&answer);
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(daemon.get("/dashboard/index.html").body, answer.body);
    for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let unchanged = daemon.ask(&browser(PAGE).header("If-None-Match", &held));
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{held}");
        assert_eq!(unchanged.header("etag"), Some(&*tag), "{held}");
        is_kept_to_itself(&unchanged);
    }
    for other in ["\"x\"", "", "x", &tag[1..]] {
        assert_eq!(daemon.ask(&browser(PAGE).header("If-None-Match", other)).status, 200, "{other}");
    }
    let head = daemon.ask(&Request::new("HEAD", PAGE));
    assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(&*tag), 0));
    assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()));
}

#[test]
fn every_file_in_the_folder_is_served_and_no_other() {
    let daemon = TestDaemon::start();
    let folder = crate::harness::repository().join("src/http/dashboard/assets");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let path = format!("{PAGE}{}", file.file_name().to_str().unwrap());
        let answer = daemon.get(&path);
        assert_eq!((answer.status, &answer.body), (200, &std::fs::read(file.path()).unwrap()), "{path}");
        is_kept_to_itself(&answer);
    }
    for path in
        ["nothing.js", "INDEX.HTML", "..%2Fassets.rs", "%2e%2e/mod.rs", "index.html/", "index.html%00", "a/index.html"]
    {
        assert_eq!(daemon.get(&format!("{PAGE}{path}")).status, 404, "{path}");
    }
}

#[test]
fn the_page_is_served_to_strangers_and_in_no_other_page() {
    let daemon = Setup::new().set("auth.decisions", "token").start();
    assert_eq!(daemon.ask(&browser(PAGE).anonymous()).status, 200);
    assert_eq!(daemon.ask(&browser(PAGE).header("Origin", "http://evil.example")).status, 403);
}
