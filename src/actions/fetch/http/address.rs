//! Which addresses may be dialled.
//!
//! An IPv6 address that carries an IPv4 one inside (mapped, compatible, NAT64, 6to4, Teredo) is judged by both, so that
//! no way of writing an address gets around the policy.

use super::Trust;
use crate::actions::fetch::spec::Networks;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Policy {
    /// Any.
    Any,
    /// Any but those of link-local and metadata services.
    NoMetadata,
    /// Public ones alone.
    Public,
}

impl Policy {
    /// The policy for a URL of this trust.
    pub(super) fn of(networks: Networks, trust: Trust) -> Self {
        match (networks, trust) {
            (Networks::Any, _) => Self::Any,
            (Networks::Public, _) | (Networks::Auto, Trust::Data) => Self::Public,
            (Networks::Auto, Trust::Written) => Self::NoMetadata,
        }
    }

    /// Whether this address may be dialled.
    pub(super) fn allows(self, ip: IpAddr) -> bool {
        let (outer, inner) = match ip {
            IpAddr::V4(v4) => (true, Some(v4)),
            IpAddr::V6(v6) => match embedded(v6) {
                Some((v4, true)) => (true, Some(v4)),
                Some((v4, false)) => (self.allows_v6(v6), Some(v4)),
                None => (self.allows_v6(v6), None),
            },
        };
        outer && inner.is_none_or(|v4| self.allows_v4(v4))
    }

    fn allows_v4(self, ip: Ipv4Addr) -> bool {
        match self {
            Self::Any => true,
            Self::NoMetadata => !is_metadata_v4(ip),
            Self::Public => !is_metadata_v4(ip) && is_public_v4(ip),
        }
    }

    fn allows_v6(self, ip: Ipv6Addr) -> bool {
        match self {
            Self::Any => true,
            Self::NoMetadata => !is_metadata_v6(ip),
            Self::Public => !is_metadata_v6(ip) && is_public_v6(ip),
        }
    }

    /// What the policy says, for a message.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Any => "any address may be dialled",
            Self::NoMetadata => "link-local and metadata addresses may not be dialled",
            Self::Public => "only public addresses may be dialled",
        }
    }
}

/// The IPv4 address inside an IPv6 one, and whether it is what is really dialled, so that it alone is judged.
fn embedded(ip: Ipv6Addr) -> Option<(Ipv4Addr, bool)> {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some((v4(high, low), true)), // mapped
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((v4(high, low), true)), // NAT64
        [0x64, 0xff9b, 1, .., high, low] => Some((v4(high, low), false)),  // NAT64 of one site
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some((v4(high, low), false)), // compatible
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some((v4(high, low), false)), // translated
        [0x2002, high, low, ..] => Some((v4(high, low), false)),           // 6to4
        [0x2001, 0, .., high, low] => Some((v4(!high, !low), false)),      // Teredo
        [.., 0 | 0x200, 0x5efe, high, low] => Some((v4(high, low), false)), // ISATAP
        _ => None,
    }
}

/// Link-local, and where clouds keep their metadata services outside of that.
fn is_metadata_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || matches!(ip.octets(), [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192])
}

fn is_metadata_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    s[0] & 0xffc0 == 0xfe80 || (s[0] == 0xfd00 && s[1] == 0x0ec2) || (s[0] == 0xfd20 && s[1] == 0x00ce)
}

/// Whether the address is one of the public internet, by the registry of special-purpose addresses.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let special = (s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8)) || s[0] == 0x2002 || s[0] & 0xfff0 == 0x3ff0;
    s[0] & 0xe000 == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: Policy, ip: &str) -> bool {
        policy.allows(ip.parse().unwrap())
    }

    #[test]
    fn metadata_services_are_reached_by_no_way_of_writing() {
        for ip in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
            "fe80::1",
            "fe80::5efe:a9fe:a9fe",
            "2600::5efe:a9fe:a9fe",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(!allowed(Policy::NoMetadata, ip), "{ip}");
            assert!(!allowed(Policy::Public, ip), "{ip}");
            assert!(allowed(Policy::Any, ip), "{ip}");
        }
    }

    #[test]
    fn private_addresses_are_for_written_urls_alone() {
        for ip in [
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "fec0::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(allowed(Policy::NoMetadata, ip), "{ip}");
            assert!(!allowed(Policy::Public, ip), "{ip}");
        }
    }

    #[test]
    fn public_addresses_are_for_everyone() {
        for ip in [
            "1.1.1.1",
            "93.184.215.14",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            for policy in [Policy::Any, Policy::NoMetadata, Policy::Public] {
                assert!(allowed(policy, ip), "{ip}");
            }
        }
    }

    #[test]
    fn the_configuration_decides_together_with_where_the_url_comes_from() {
        let table = [
            (Networks::Auto, Trust::Written, Policy::NoMetadata),
            (Networks::Auto, Trust::Data, Policy::Public),
            (Networks::Public, Trust::Written, Policy::Public),
            (Networks::Public, Trust::Data, Policy::Public),
            (Networks::Any, Trust::Written, Policy::Any),
            (Networks::Any, Trust::Data, Policy::Any),
        ];
        for (networks, trust, policy) in table {
            assert_eq!(Policy::of(networks, trust), policy);
        }
    }
}
