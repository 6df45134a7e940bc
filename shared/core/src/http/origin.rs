//! Where a request comes from: the client's address and the request's id.
//!
//! What always holds: `X-Forwarded-For` is believed only as far as addresses of trusted proxies wrote it; who connects from
//! elsewhere is who he connects as.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;
use lambda_http::request::RequestContext;

use crate::config::Reader;

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; `None` when nobody knows it.
    pub ip: Option<IpAddr>,
    /// Id of the request: API Gateway's, elsewhere a random one.
    pub request_id: String,
}

/// Networks of proxies whose word on the client's address counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// From the environment.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        const NAME: &str = "PORTCULLIS_TRUSTED_PROXIES";
        let text = reader.text(NAME);
        let mut networks = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.parse::<IpNet>().or_else(|e| word.parse::<IpAddr>().map(IpNet::from).map_err(|_| e)) {
                Ok(network) => networks.push(network),
                Err(_) => reader.refuse(format!("`{NAME}` has `{word}`, which is no network like `10.0.0.0/8`")),
            }
        }
        Self(networks.into())
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Where a request comes from.
    pub fn origin(&self, headers: &HeaderMap, extensions: &Extensions) -> Origin {
        let (peer, request_id) = match extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                (context.http.source_ip.as_deref().and_then(|ip| ip.parse().ok()), context.request_id.clone())
            }
            _ => (extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()), None),
        };
        Origin {
            ip: peer.map(|peer| self.client(plain(peer), headers)),
            request_id: request_id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
        }
    }

    /// The last address that no trusted proxy has: what stands before it is its own word.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lists: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Some(ip) = address(hop.trim()) else { break };
            client = ip;
        }
        client
    }
}

/// An address as proxies write it: alone, with a port, in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(ip, _)| ip);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())).map(plain)
}

/// An IPv4 address in IPv6's clothes is the IPv4 address.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trusted: &str, peer: &str, forwarded: &[&str]) -> Option<String> {
        let env: crate::config::Env = [("PORTCULLIS_TRUSTED_PROXIES".to_owned(), trusted.to_owned())].into_iter().collect();
        let mut reader = env.reader("auth");
        let proxies = TrustedProxies::read(&mut reader);
        reader.finish(()).unwrap();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        proxies.origin(&headers, &extensions).ip.map(|ip| ip.to_string())
    }

    #[test]
    fn the_header_counts_only_as_far_as_trusted_proxies_wrote_it() {
        let is = |ip: &str| Some(ip.to_owned());
        assert_eq!(seen("", "192.0.2.1:9", &["198.51.100.7"]), is("192.0.2.1"), "nobody is trusted");
        assert_eq!(seen("10.0.0.0/8", "192.0.2.1:9", &["198.51.100.7"]), is("192.0.2.1"), "the peer is no proxy");
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &["198.51.100.7"]), is("198.51.100.7"));
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &["6.6.6.6, 198.51.100.7, 10.2.2.2"]), is("198.51.100.7"), "the client's own word");
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &["6.6.6.6", "198.51.100.7"]), is("198.51.100.7"), "two headers are one list");
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &["nonsense"]), is("10.1.1.1"));
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &["[2001:db8::1]:443"]), is("2001:db8::1"));
        assert_eq!(seen("10.0.0.0/8", "[::ffff:10.1.1.1]:9", &["198.51.100.7:80"]), is("198.51.100.7"));
        assert_eq!(seen("10.0.0.0/8", "10.1.1.1:9", &[]), is("10.1.1.1"));
    }

    #[test]
    fn without_a_connection_nobody_knows_the_address() {
        let origin = TrustedProxies::default().origin(&HeaderMap::new(), &Extensions::new());
        assert_eq!(origin.ip, None);
        assert_eq!(origin.request_id.len(), 32);
    }
}
