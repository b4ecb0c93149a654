//! IP addresses and ranges of them. Zones, leading zeros and IPv4 within IPv6 are refused, for
//! they mean different things to different programs.

use std::fmt;
use std::net::IpAddr;

use super::{Cost, Declared, Extension, Out, failed, no_overload};
use crate::budget::Meter;
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("isIP(string) bool", Cost::First, |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(parse(text).is_ok())),
        _ => no_overload(),
    }),
    Declared("ip(string) ip", Cost::First, |_, args| match args {
        [Value::String(text)] => ip(text),
        _ => no_overload(),
    }),
    Declared("ip.isCanonical(string) bool", Cost::FirstTwice, |_, args| match args {
        [Value::String(text)] => match parse(text) {
            Ok(ip) => Ok(Value::Bool(ip.to_string() == **text)),
            Err(why) => failed(why),
        },
        _ => no_overload(),
    }),
    Declared("ip|family() int", Cost::One, |_, args| of_ip(args, |ip| Value::Int(family(ip)))),
    Declared("ip|isUnspecified() bool", Cost::One, |_, args| {
        of_ip(args, |ip| Value::Bool(ip.is_unspecified()))
    }),
    Declared("ip|isLoopback() bool", Cost::One, |_, args| {
        of_ip(args, |ip| Value::Bool(ip.is_loopback()))
    }),
    Declared("ip|isLinkLocalMulticast() bool", Cost::One, |_, args| {
        of_ip(args, |ip| {
            Value::Bool(match ip {
                IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
                IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
            })
        })
    }),
    Declared("ip|isLinkLocalUnicast() bool", Cost::One, |_, args| {
        of_ip(args, |ip| {
            Value::Bool(match ip {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            })
        })
    }),
    Declared("ip|isGlobalUnicast() bool", Cost::One, |_, args| {
        of_ip(args, |ip| Value::Bool(is_global_unicast(ip)))
    }),
    Declared("isCIDR(string) bool", Cost::First, |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(Cidr::parse(text).is_ok())),
        _ => no_overload(),
    }),
    Declared("cidr(string) cidr", Cost::First, |_, args| match args {
        [Value::String(text)] => cidr(text),
        _ => no_overload(),
    }),
    Declared("cidr|ip() ip", Cost::One, |_, args| {
        of_cidr(args, |cidr| Extension::Ip(cidr.address).into())
    }),
    Declared("cidr|masked() cidr", Cost::One, |_, args| {
        of_cidr(args, |cidr| Extension::Cidr(cidr.masked()).into())
    }),
    Declared("cidr|prefixLength() int", Cost::One, |_, args| {
        of_cidr(args, |cidr| Value::Int(i64::from(cidr.prefix)))
    }),
    Declared("cidr|containsIP(ip) bool", Cost::FirstTwice, contains_ip),
    Declared("cidr|containsIP(string) bool", Cost::FirstTwice, contains_ip),
    Declared("cidr|containsCIDR(cidr) bool", Cost::FirstTwice, contains_cidr),
    Declared("cidr|containsCIDR(string) bool", Cost::FirstTwice, contains_cidr),
];

/// A range: an address and how many of its first bits are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Cidr {
    pub(super) address: IpAddr,
    prefix: u32,
}

fn parse(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let bad = || format!("IP Address {text:?} parse error during conversion from string");
    let ip: IpAddr = text.parse().map_err(|_| bad())?;
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        ip => Ok(ip),
    }
}

fn ip<'a>(text: &str) -> Out<'a> {
    match parse(text) {
        Ok(ip) => Ok(Extension::Ip(ip).into()),
        Err(why) => failed(why),
    }
}

fn cidr<'a>(text: &str) -> Out<'a> {
    match Cidr::parse(text) {
        Ok(cidr) => Ok(Extension::Cidr(cidr).into()),
        Err(why) => failed(why),
    }
}

fn of_ip<'a>(args: &[Value<'a>], of: fn(IpAddr) -> Value<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Ip(ip))] => Ok(of(*ip)),
        _ => no_overload(),
    }
}

fn of_cidr<'a>(args: &[Value<'a>], of: fn(Cidr) -> Value<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Cidr(cidr))] => Ok(of(*cidr)),
        _ => no_overload(),
    }
}

fn family(ip: IpAddr) -> i64 {
    if ip.is_ipv4() { 4 } else { 6 }
}

/// The bytes that an address has.
pub(super) fn bytes(ip: IpAddr) -> usize {
    if ip.is_ipv4() { 4 } else { 16 }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    let limited = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(limited || local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
}

/// An address as a number of as many bits as it has, moved to the top.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("network address parse error during conversion from string: {text:?}");
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address = parse(address).map_err(|_| bad())?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|digit| digit.is_ascii_digit());
        if !digits || prefix.len() > 1 && prefix.starts_with('0') {
            return Err(bad());
        }
        let prefix: u32 = prefix.parse().map_err(|_| bad())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }

    fn mask(self) -> u128 {
        if self.prefix == 0 { 0 } else { u128::MAX << (128 - self.prefix) }
    }

    fn masked(self) -> Self {
        let network = bits(self.address) & self.mask();
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(network >> 96).unwrap_or_default().into()),
            IpAddr::V6(_) => IpAddr::V6(network.into()),
        };
        Self { address, ..self }
    }

    fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4()
            && bits(ip) & self.mask() == bits(self.address) & self.mask()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn contains_ip<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (cidr, ip) = match args {
        [Value::Extension(Extension::Cidr(cidr)), Value::Extension(Extension::Ip(ip))] => {
            (cidr, *ip)
        }
        [Value::Extension(Extension::Cidr(cidr)), Value::String(text)] => match parse(text) {
            Ok(ip) => (cidr, ip),
            Err(why) => return failed(why),
        },
        _ => return no_overload(),
    };
    Ok(Value::Bool(cidr.contains(ip)))
}

fn contains_cidr<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let (outer, inner) = match args {
        [Value::Extension(Extension::Cidr(a)), Value::Extension(Extension::Cidr(b))] => (a, *b),
        [Value::Extension(Extension::Cidr(a)), Value::String(text)] => match Cidr::parse(text) {
            Ok(b) => (a, b),
            Err(why) => return failed(why),
        },
        _ => return no_overload(),
    };
    Ok(Value::Bool(inner.prefix >= outer.prefix && outer.contains(inner.address)))
}
