//! A ZIP of rules from the web, through the one guarded client.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use http::HeaderMap;
use portcullis_outbound::{Client, Limits, Policy};
use tokio::io::AsyncWriteExt;

use super::{Problem, no_room};
use crate::Scan;

/// Largest archive, in bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Time limits of one archive.
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(60), stalled: Duration::from_secs(15) };

impl Scan {
    /// Fetches an archive into a file.
    pub(super) async fn fetch_rules(&self, url: &str, to: &Path) -> Result<(), Problem> {
        if !is_permitted(url, &self.outbound) {
            return Err("it is no https address".into());
        }
        let client = Client::new(self.outbound.clone(), LIMITS);
        let mut body = client.get(url, HeaderMap::new(), MAX_BYTES).await.map_err(|e| e.to_string())?;
        let mut file = tokio::fs::File::create(to).await.map_err(|e| no_room(&e))?;
        while let Some(piece) = body.chunk().await.map_err(|e| e.to_string())? {
            file.write_all(&piece).await.map_err(|e| no_room(&e))?;
        }
        file.flush().await.map_err(|e| no_room(&e))
    }
}

/// Rules decide what is let through, so they come over TLS; without it only from an address that the operator
/// allowed by itself (`PORTCULLIS_OUTBOUND_ALLOW`), whatever else is public.
fn is_permitted(url: &str, policy: &Policy) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.is_ok_and(|ip| policy.judge(ip).is_ok() && Policy::default().judge(ip).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_from_addresses_the_operator_allowed() {
        let allowed = Policy::parse("127.0.0.0/8,10.0.0.0/8").unwrap();
        assert!(is_permitted("https://example.com/rules.zip", &Policy::default()));
        assert!(is_permitted("http://127.0.0.1:8080/rules.zip", &allowed));
        for url in [
            "http://example.com/rules.zip",
            "http://9.9.9.9/rules.zip",
            "http://[::1]/rules.zip",
            "http://127.0.0.1@example.com/x.zip",
            "ftp://10.0.0.1/x",
        ] {
            assert!(!is_permitted(url, &allowed), "{url}");
        }
        assert!(!is_permitted("http://127.0.0.1/rules.zip", &Policy::default()));
    }
}
