//! Which addresses may be reached.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_core::config::Reader;

use crate::error::Refused;
use crate::special::{is_metadata, is_special};

/// The environment key of the networks that are allowed in addition.
const KEY: &str = "PORTCULLIS_OUTBOUND_ALLOW";

/// Public addresses, and the networks that the operator allowed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow: Vec<IpNet>,
}

impl Policy {
    /// Allows these networks in addition: CIDRs separated by commas, empty = none.
    ///
    /// # Errors
    /// One sentence about the first part that is no CIDR.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let allow = parts.map(|part| part.parse().map_err(|_| format!("`{part}` is no network in CIDR notation")));
        Ok(Self { allow: allow.collect::<Result<_, _>>()? })
    }

    /// From the configuration of a function that makes outgoing requests. A text that is no list of networks is a
    /// problem of the configuration.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let text = reader.text(KEY);
        Self::parse(&text).unwrap_or_else(|problem| {
            reader.refuse(format!("`{KEY}`: {problem}"));
            Self::default()
        })
    }

    /// Whether a connection to this address may be opened.
    ///
    /// # Errors
    /// [`Refused::Address`].
    pub fn judge(&self, ip: IpAddr) -> Result<(), Refused> {
        let permitted = !is_metadata(ip) && (!is_special(ip) || self.allows(ip));
        if permitted { Ok(()) } else { Err(Refused::Address) }
    }

    /// Whether the operator allowed this address. One that is written as IPv6 is also sought as what it means.
    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&ip) || net.contains(&ip.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::config::Env;

    #[test]
    fn allowed_networks_open_what_is_special_but_never_the_metadata_services() {
        let policy = Policy::parse("10.1.0.0/16, fd00::/8,169.254.0.0/16,127.0.0.0/8").unwrap();
        for ip in ["10.1.2.3", "fd12::1", "169.254.1.1", "127.0.0.1", "::ffff:127.0.0.1", "9.9.9.9"] {
            assert_eq!(policy.judge(ip.parse().unwrap()), Ok(()), "{ip}");
        }
        for ip in ["10.2.0.1", "::1", "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "::ffff:169.254.169.254"] {
            assert_eq!(policy.judge(ip.parse().unwrap()), Err(Refused::Address), "{ip}");
        }
    }

    #[test]
    fn a_network_that_is_none_is_a_problem_of_the_configuration() {
        for text in ["10.0.0.0", "10.0.0.0/33", "localhost", "10.0.0.0/8;127.0.0.0/8"] {
            let env: Env = [(KEY.to_owned(), text.to_owned())].into_iter().collect();
            let mut reader = env.reader("notify");
            Policy::read(&mut reader);
            let error = reader.finish(()).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        let env = Env::default();
        let mut reader = env.reader("notify");
        assert!(Policy::read(&mut reader).allow.is_empty());
        assert!(reader.finish(()).is_ok());
    }
}
