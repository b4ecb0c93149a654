//! Address ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, `<first address>/<prefix length>`, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// A text that is not an address range.
#[derive(Debug, thiserror::Error)]
#[error("invalid address range {0:?}: expected <address>/<prefix length>")]
pub struct InvalidCidr(String);

impl Cidr {
    /// The range of `prefix` bits (at most 32) that holds the IPv4 address `octets`.
    pub const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        let bits = u32::from_be_bytes(octets);
        let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
        Self { base: IpAddr::V4(Ipv4Addr::from_bits(bits & mask)), prefix }
    }

    /// The range of `prefix` bits that holds `ip`; none if the family has fewer bits than that.
    pub fn containing(ip: IpAddr, prefix: u8) -> Option<Self> {
        let free = width(ip).checked_sub(u32::from(prefix))?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        Some(Self { base: from_bits(ip, bits(ip) & mask), prefix })
    }

    /// Whether `ip` lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::containing(ip, self.prefix) == Some(*self)
    }

    /// Whether all of `other` lies in this range.
    pub fn covers(&self, other: &Self) -> bool {
        other.prefix >= self.prefix && self.contains(other.base)
    }

    /// How many addresses the range holds; saturates for the whole of IPv6.
    pub fn size(&self) -> u128 {
        1u128.checked_shl(width(self.base) - u32::from(self.prefix)).unwrap_or(u128::MAX)
    }

    /// The range's address number `index`, counted from 0.
    pub fn address(&self, index: u128) -> Option<IpAddr> {
        (index < self.size()).then(|| from_bits(self.base, bits(self.base) + index))
    }

    /// Whether `ip`, an address of this range, is one that no pod gets: the network's own, its
    /// gateway's (the first one) and, in IPv4, the broadcast address.
    pub fn reserves(&self, ip: IpAddr) -> bool {
        let index = bits(ip).wrapping_sub(bits(self.base));
        index < FIRST_USABLE || (ip.is_ipv4() && index == self.size() - 1)
    }

    /// The address by which a range's own side speaks into it: its first.
    pub fn gateway(&self) -> IpAddr {
        self.address(1).unwrap_or(self.base)
    }
}

/// Index of the first address that a pod can get.
pub(crate) const FIRST_USABLE: u128 = 2;

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address of `bits` in the family of `like`, whose width they are known to fit.
fn from_bits(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or(0)))
        }
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let parse = || {
            let (ip, prefix) = text.split_once('/')?;
            Self::containing(ip.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| InvalidCidr(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        let cidr: Cidr = "10.244.3.7/24".parse().unwrap();
        assert_eq!(cidr.to_string(), "10.244.3.0/24");
        assert_eq!(cidr, Cidr::v4([10, 244, 3, 0], 24));
        assert_eq!(cidr.size(), 256);
        assert_eq!("fd00::1/64".parse::<Cidr>().unwrap().to_string(), "fd00::/64");
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "x/8", "fd00::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn contains_and_covers() {
        let pods = Config::default().pod_cidr;
        assert!(pods.contains([10, 244, 255, 255].into()));
        assert!(!pods.contains([10, 245, 0, 0].into()));
        assert!(!pods.contains("fd00::1".parse().unwrap()));
        assert!(pods.covers(&Cidr::v4([10, 244, 9, 0], 24)));
        assert!(!pods.covers(&Cidr::v4([10, 0, 0, 0], 8)));
        assert!(Cidr::v4([0, 0, 0, 0], 0).contains([1, 2, 3, 4].into()));
    }

    #[test]
    fn reserves_the_ends() {
        let cidr = Cidr::v4([10, 244, 1, 0], 24);
        assert_eq!(cidr.gateway(), IpAddr::from([10, 244, 1, 1]));
        let free: Vec<_> =
            (0..256).filter_map(|n| cidr.address(n)).filter(|ip| !cidr.reserves(*ip)).collect();
        assert_eq!(free.len(), 253);
        assert_eq!(free[0], IpAddr::from([10, 244, 1, 2]));
        assert_eq!(cidr.address(256), None);
    }

    use crate::Config;
}
