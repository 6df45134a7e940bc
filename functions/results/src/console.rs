//! The web console: `GET /` and `GET /console/{file}`, from files that are part of this function.
//!
//! What always holds: the page loads nothing from anywhere else and runs no script that is not one of these files (the
//! policy says so to the browser), and it may talk to this API and to the upload bucket only.

use std::sync::LazyLock;

use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portcullis_core::http::error::{ApiError, ErrorCode};
use sha2::{Digest, Sha256};

use crate::Results;

/// The page itself.
const INDEX: &str = "index.html";
/// Answers may be kept, and are asked about before they are used: files of two versions never meet.
const CACHE: HeaderValue = HeaderValue::from_static("no-cache");

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
}

macro_rules! assets {
    ($($name:literal $kind:literal)*) => {
        const ASSETS: &[Asset] = &[$(Asset { name: $name, kind: $kind, body: include_bytes!(concat!("../console/", $name)) },)*];
    };
}

assets! {
    "index.html" "text/html; charset=utf-8"
    "style.css" "text/css; charset=utf-8"
    "icon.svg" "image/svg+xml"
    "account.js" "text/javascript; charset=utf-8"
    "api.js" "text/javascript; charset=utf-8"
    "app.js" "text/javascript; charset=utf-8"
    "audit.js" "text/javascript; charset=utf-8"
    "dom.js" "text/javascript; charset=utf-8"
    "engines.js" "text/javascript; charset=utf-8"
    "file.js" "text/javascript; charset=utf-8"
    "history.js" "text/javascript; charset=utf-8"
    "rescan.js" "text/javascript; charset=utf-8"
    "rules.js" "text/javascript; charset=utf-8"
    "settings.js" "text/javascript; charset=utf-8"
    "signin.js" "text/javascript; charset=utf-8"
    "stats.js" "text/javascript; charset=utf-8"
    "upload.js" "text/javascript; charset=utf-8"
    "users.js" "text/javascript; charset=utf-8"
    "verdicts.js" "text/javascript; charset=utf-8"
    "words.js" "text/javascript; charset=utf-8"
    "yara.js" "text/javascript; charset=utf-8"
}

/// The entity tags, in the order of [`ASSETS`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |asset: &Asset| format!("\"{}\"", hex::encode(Sha256::digest(asset.body)).chars().take(32).collect::<String>());
    ASSETS.iter().map(tag).collect()
});

/// The Content-Security-Policy of the page, for uploads to `upload_url`.
pub(crate) fn policy(upload_url: &str) -> HeaderValue {
    // Scheme, host and port: a source with a path would not hold after a redirect.
    let origin: String = upload_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {origin}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    // What a header can not hold is no origin either: then without it.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// `GET /`: the page for people, and a target for load balancers.
pub(crate) async fn home(State(results): State<Results>, headers: HeaderMap) -> Response {
    results.asset(INDEX, &headers).unwrap_or_else(|| ApiError::from(ErrorCode::NotFound).into_response())
}

/// `GET /console/{file}`.
pub(crate) async fn file(
    State(results): State<Results>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = path.map(|Path(asked)| asked).unwrap_or_default();
    Ok(results.asset(&asked, &headers).ok_or(ErrorCode::NotFound)?)
}

impl Results {
    fn asset(&self, name: &str, asked: &HeaderMap) -> Option<Response> {
        let (asset, tag) = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.name == name)?;
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*");
        let mut response =
            if is_known { StatusCode::NOT_MODIFIED.into_response() } else { ([(header::CONTENT_TYPE, asset.kind)], asset.body).into_response() };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, CACHE);
        headers.insert(header::CONTENT_SECURITY_POLICY, self.console_policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        headers.insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(header::ETAG, tag);
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::domain::verdict::TABLE;

    use super::*;

    fn text(name: &str) -> &'static str {
        let asset = ASSETS.iter().find(|asset| asset.name == name).unwrap();
        std::str::from_utf8(asset.body).unwrap()
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_every_import_leads_to_one() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let mut there: Vec<String> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut served: Vec<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        there.sort();
        served.sort();
        assert_eq!(there, served);
        for asset in ASSETS.iter().filter(|asset| asset.kind.starts_with("text/javascript")) {
            for import in text(asset.name).lines().filter(|line| line.starts_with("import ")) {
                let from = import.rsplit('\'').nth(1).unwrap().trim_start_matches("./");
                assert!(served.iter().any(|name| name == from), "{}: {import}", asset.name);
            }
        }
    }

    #[test]
    fn every_outcome_is_explained() {
        for row in TABLE {
            let entry = format!("\n  {}: {{ why: '", row.code.value());
            assert!(text("words.js").contains(&entry), "words.js has no entry for {} {}", row.code.value(), row.text);
        }
        assert!(text("words.js").contains("\n  255: {"));
        for row in TABLE.iter().filter(|row| row.code.value() != 0) {
            let entry = format!("[{}, '{}']", row.code.value(), row.text);
            assert!(text("history.js").contains(&entry), "history.js has no filter {entry}");
        }
    }

    #[test]
    fn no_file_makes_markup_of_text_or_carries_what_the_policy_refuses() {
        for asset in ASSETS {
            let text = text(asset.name);
            for wrong in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", "onclick=\"", "localStorage"] {
                assert!(!text.contains(wrong), "{} has `{wrong}`", asset.name);
            }
            let elsewhere = text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://"));
            for rest in elsewhere {
                // Names of XML, and words in hints.
                assert!(rest.starts_with("://www.w3.org/2000/svg") || rest.starts_with("s://example.com"), "{} leads to http{rest:.40}", asset.name);
            }
        }
    }

    #[test]
    fn the_policy_names_the_bucket_by_its_origin() {
        let policy = |url| policy(url).to_str().unwrap().to_owned();
        assert!(policy("https://up.s3.eu-central-1.amazonaws.com/").contains("connect-src 'self' https://up.s3.eu-central-1.amazonaws.com; "));
        assert!(policy("http://127.0.0.1:8009/uploads").contains("connect-src 'self' http://127.0.0.1:8009; "));
        assert_eq!(policy("https://x\n/"), "default-src 'none'; frame-ancestors 'none'");
    }
}
