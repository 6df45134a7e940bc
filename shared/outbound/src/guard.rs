//! What can be said of a URL without resolving its name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use url::{Host, Url};

use crate::error::Refused;
use crate::policy::Policy;

/// Ports from 1024 on that browsers do not speak HTTP to (WHATWG Fetch, "port blocking"). Below 1024 only 80 and 443.
const BAD_PORTS: [u16; 19] = [1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080];

/// Names of this machine that are in hosts files rather than in the name system.
const OWN_NAMES: [&str; 4] = ["localhost", "localdomain", "ip6-localhost", "ip6-loopback"];

/// Names of metadata services. Their addresses are refused as well; the name tells it at submission already.
const METADATA_NAMES: [&str; 4] = ["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];

/// Judges URLs by how they are written.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    policy: Policy,
}

impl Guard {
    /// Longest URL, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// With the operator's policy.
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The URL, normalised, if a request may be made to it as far as its text tells: scheme, port, no user
    /// information, no fragment, and the address if the host is one (in any spelling). A name is judged again by its
    /// addresses when the request is made.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > Self::MAX_BYTES {
            return Err(Refused::TooLong);
        }
        // The URL standard drops, trims and repairs these; whoever reads the same text otherwise sees another host.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refused::Syntax);
        }
        let (scheme, rest) = text.split_once(':').ok_or(Refused::Syntax)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(Refused::Scheme);
        }
        let rest = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/')).ok_or(Refused::Syntax)?;
        if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err(Refused::Userinfo);
        }
        let url = Url::parse(text).map_err(|_| Refused::Syntax)?;
        self.judge(&url)?;
        Ok(url)
    }

    fn judge(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        let port = url.port_or_known_default().ok_or(Refused::Syntax)?;
        if !matches!(port, 80 | 443 | 1024..) || BAD_PORTS.contains(&port) {
            return Err(Refused::Port(port));
        }
        match url.host().ok_or(Refused::Syntax)? {
            Host::Ipv4(ip) => self.policy.judge(IpAddr::V4(ip))?,
            Host::Ipv6(ip) => self.policy.judge(IpAddr::V6(ip))?,
            Host::Domain(name) => self.name(name)?,
        }
        target(url).map(drop)
    }

    fn name(&self, name: &str) -> Result<(), Refused> {
        let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
        let whole = plain && name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
        if !whole || METADATA_NAMES.contains(&name) {
            return Err(Refused::Host);
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        let this_machine = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if OWN_NAMES.contains(&last) && !this_machine.into_iter().any(|ip| self.policy.allows(ip)) {
            return Err(Refused::Host);
        }
        Ok(())
    }
}

/// The URL for the HTTP client. Both readers must see the same host and port.
pub(crate) fn target(url: &Url) -> Result<Uri, Refused> {
    let uri: Uri = url.as_str().parse().map_err(|_| Refused::Syntax)?;
    let same = uri.host() == url.host_str() && uri.port_u16() == url.port() && uri.scheme_str() == Some(url.scheme());
    if same { Ok(uri) } else { Err(Refused::Syntax) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_urls_pass_and_are_normalised() {
        let guard = Guard::default();
        for (text, wanted) in [
            ("https://hooks.example.com/scan?team=1&x=%20", "https://hooks.example.com/scan?team=1&x=%20"),
            ("HTTP://Hooks.Example.COM:80", "http://hooks.example.com/"),
            ("http://8.8.8.8:8080/a", "http://8.8.8.8:8080/a"),
            ("https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443/"),
            ("https://b\u{fc}cher.example/a", "https://xn--bcher-kva.example/a"),
            ("http://receiver_1.corp.example:1024/a@b?c=d@e", "http://receiver_1.corp.example:1024/a@b?c=d@e"),
        ] {
            assert_eq!(guard.check(text).map(String::from), Ok(wanted.to_owned()));
        }
    }

    #[test]
    fn this_machine_has_a_name_only_where_the_operator_allowed_it() {
        let guard = Guard::new(Policy::parse("127.0.0.0/8").unwrap());
        assert!(guard.check("http://localhost:9000/").is_ok());
        assert_eq!(guard.check("http://metadata.google.internal/"), Err(Refused::Host));
        assert_eq!(Guard::default().check("http://localhost:9000/"), Err(Refused::Host));
    }

    #[test]
    fn each_reason_has_its_own_answer() {
        let guard = Guard::default();
        for (text, wanted) in [
            ("", Refused::Syntax),
            ("hooks.example.com", Refused::Syntax),
            ("ftp://a.example/", Refused::Scheme),
            ("http://u:p@a.example/", Refused::Userinfo),
            ("http://@a.example/", Refused::Userinfo),
            ("http://a.example/#b", Refused::Fragment),
            ("http://a.example:25/", Refused::Port(25)),
            ("http://a.example:6667/", Refused::Port(6667)),
            ("http://a.example./", Refused::Host),
            ("http://017700000001/", Refused::Address),
        ] {
            assert_eq!(guard.check(text), Err(wanted), "{text}");
        }
        assert_eq!(guard.check(&format!("http://a.example/{}", "a".repeat(2048))), Err(Refused::TooLong));
    }
}
