//! `GET /docs`: the page loads only its own files, and nothing in it is inline.

use crate::harness::{Request, TestDaemon, repository};

#[test]
fn the_page_and_its_files_are_in_the_binary() {
    let daemon = TestDaemon::start();
    for (path, file, kind) in [
        ("/docs", "index.html", "text/html; charset=utf-8"),
        ("/docs/docs.js", "docs.js", "text/javascript; charset=utf-8"),
        ("/docs/docs.css", "docs.css", "text/css; charset=utf-8"),
    ] {
        let answer = daemon.ask(&Request::get(path).anonymous());
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        let folder = repository().join("src/http/docs/assets");
        assert_eq!(answer.text(), std::fs::read_to_string(folder.join(file)).unwrap());
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        let tag = answer.header("etag").unwrap();
        let again = daemon.ask(&Request::get(path).anonymous().header("If-None-Match", tag));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let other = daemon.get("/docs/index.html");
    assert_eq!((other.status, &other.json()["type"]), (404, &"/problems/not-found".into()));
}

#[test]
fn the_page_names_only_files_that_there_are() {
    let daemon = TestDaemon::start();
    let page = daemon.get("/docs");
    let page = page.text();
    assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"), "{page}");
    let links = page.split("src=\"").chain(page.split("href=\"")).filter_map(|rest| rest.split('"').next());
    let links: Vec<&str> = links.filter(|link| !link.starts_with(['<', '#'])).collect();
    assert_eq!(links, ["docs/docs.js", "docs/docs.css", "openapi.json", "openapi.json"]);
    for link in links {
        assert_eq!(daemon.get(&format!("/{link}")).status, 200, "{link}");
    }
}
