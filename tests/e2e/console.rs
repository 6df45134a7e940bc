//! The console's files, and what the page needs of the API. What it does in a browser: `.ci/fidelity/console`.

use portcullis_core::http::routes::LEGACY_PREFIX;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::auth::user;
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;

/// Paths that `html` refers to.
fn links(html: &str) -> Vec<String> {
    ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_page_and_its_files_come_under_both_prefixes_with_headers_that_let_nothing_else_in() {
    let client = Target::client().with_key(None);
    for prefix in ["/".to_owned(), format!("{LEGACY_PREFIX}/")] {
        let page = client.request(Method::GET, &prefix).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{prefix}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let html = page.text().await.unwrap();
        let links = links(&html);
        assert!(links.len() >= 3, "{links:?}");
        let modules = ["api.js", "dom.js", "words.js"].map(|name| format!("console/{name}"));
        for link in links.iter().chain(&modules) {
            // Relative: the page works wherever the API is.
            assert!(!link.starts_with('/') && !link.contains("//"), "{link}");
            let path = format!("{prefix}{link}");
            let answer = client.request(Method::GET, &path).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let header = |name: &str| answer.headers().get(name).unwrap_or_else(|| panic!("{name} of {path}")).to_str().unwrap().to_owned();
            let kind = match link.rsplit('.').next().unwrap() {
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(header("content-type"), kind);
            assert_eq!(header("cache-control"), "no-cache");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            let policy = header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains('*'), "{policy}");
            let tag = header("etag");
            let again = client.request(Method::GET, &path).header("If-None-Match", &tag).send().await.unwrap();
            assert_eq!((again.status(), again.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, tag.as_str()), "{path}");
            assert!(again.bytes().await.unwrap().is_empty());
            let other = client.request(Method::GET, &path).header("If-None-Match", "\"other\"").send().await.unwrap();
            assert_eq!(other.status(), StatusCode::OK);
        }
    }
    for path in ["/console/nothing.js", "/console/..%2Fsrc%2Flib.rs", "/console/index.html/x"] {
        assert_eq!(client.request(Method::GET, path).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(client.request(Method::GET, LEGACY_PREFIX).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn callers_learn_their_own_rights() {
    let me = Target::client().get("/user/me").await;
    assert_eq!((me.status, me.json["id"].as_u64()), (StatusCode::OK, Some(2)));
    assert_eq!(me.json["rights"]["rule"], json!(["read", "write"]));
    let reader = user(&["help_desk"]).await.get("/user/me").await.json;
    assert_eq!(reader["rights"]["rule"], json!(["read"]));
    assert_eq!(reader["rights"]["users"], json!([]));
    assert_eq!(Target::client().with_key(None).get("/user/me").await.status, StatusCode::FORBIDDEN);
    assert_eq!(Target::client().with_key(Some("wrong-key-wrong-key")).get("/user/me").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_came_out_of_an_archive_names_it() {
    let client = Target::client();
    let archive = zip(&[("a.zip", &zip(&[("eicar.com", &eicar())])), ("clean.txt", &unique("clean"))]);
    let result = client.scan(archive, &[("filename", "parent.zip")]).await;
    assert!(result.get("parent_data_id").is_none());
    for child in result["extracted_files"]["files_in_archive"].as_array().unwrap() {
        let own = client.get(&format!("/file/{}", child["data_id"].as_str().unwrap())).await.json;
        assert_eq!(own["parent_data_id"], result["data_id"]);
    }
}
