//! Special-purpose addresses.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates), IANA IPv6 Global Unicast
//! Address Assignments; the metadata services as their clouds document them. Of IPv6 only 2000::/3 is assigned to
//! the public network at all, so everything else is special without being named.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared address space of carriers
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, metadata services
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 31, 196, 0, 24), // AS112
    v4(192, 52, 193, 0, 24), // AMT
    v4(192, 88, 99, 0, 24),  // 6to4 relays (withdrawn)
    v4(192, 168, 0, 0, 16),  // private
    v4(192, 175, 48, 0, 24), // AS112
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
];

const V6: &[Ipv6Net] = &[
    v6(0x2001, 0, 0, 23),         // IETF protocol assignments: Teredo, benchmarking, ORCHID, DRIP
    v6(0x2001, 0xdb8, 0, 32),     // documentation
    v6(0x2002, 0, 0, 16),         // 6to4
    v6(0x2620, 0x4f, 0x8000, 48), // AS112
    v6(0x3ffe, 0, 0, 16),         // 6bone (returned)
    v6(0x3fff, 0, 0, 20),         // documentation
];

/// What is assigned to the public network (RFC 4291, 2.4).
const GLOBAL: Ipv6Net = v6(0x2000, 0, 0, 3);
/// The well-known prefix of NAT64 (RFC 6052): an IPv4 address stands in the last 32 bits. How a function in a
/// network without IPv4 reaches public receivers, so the address inside is judged.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// Whether the public network can not mean this address.
pub(crate) fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => match nat64(ip) {
            Some(inner) => is_special(IpAddr::V4(inner)),
            None => !GLOBAL.contains(&ip) || V6.iter().any(|net| net.contains(&ip)),
        },
    }
}

/// Whether credentials are handed out there: never to be reached, whatever the operator allows.
pub(crate) fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        // AWS, Azure, Google and others; AWS containers; Alibaba; Oracle.
        IpAddr::V4(ip) => matches!(ip.octets(), [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [192, 0, 0, 192]),
        IpAddr::V6(ip) => {
            let aws = matches!(ip.segments(), [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23 | 0x253 | 0x254]);
            aws || nat64(ip).or_else(|| ip.to_ipv4()).is_some_and(|inner| is_metadata(IpAddr::V4(inner)))
        }
    }
}

fn nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = ip.octets();
    NAT64.contains(&ip).then(|| Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_address_of_every_range_are_special_and_their_neighbours_are_not() {
        for net in V4 {
            assert!(is_special(net.network().into()) && is_special(net.broadcast().into()), "{net}");
            for neighbour in [u32::from(net.network()).wrapping_sub(1), u32::from(net.broadcast()).wrapping_add(1)] {
                let neighbour = Ipv4Addr::from(neighbour);
                assert_eq!(is_special(neighbour.into()), V4.iter().any(|other| other != net && other.contains(&neighbour)), "{neighbour}");
            }
        }
        for net in V6 {
            assert!(is_special(net.network().into()) && is_special(net.broadcast().into()), "{net}");
        }
    }

    #[test]
    fn public_addresses_are_not_special() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ] {
            assert!(!is_special(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_inside_an_address_is_judged() {
        for ip in ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "::ffff:8.8.8.8", "::8.8.8.8", "2002:808:808::1", "2001::1"] {
            assert!(is_special(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254", "::ffff:169.254.170.2", "100.100.100.200"] {
            assert!(is_metadata(ip.parse().unwrap()), "{ip}");
        }
    }
}
