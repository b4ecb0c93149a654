//! Which addresses a socket of a family may use, and how it shows others'. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

/// Refuses addresses of the other family and those that mean more than one host.
pub(super) fn check(ip: IpAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    let fits = match (ip, family) {
        (IpAddr::V4(ip), IpAddressFamily::Ipv4) => !ip.is_multicast() && !ip.is_broadcast(),
        (IpAddr::V6(ip), IpAddressFamily::Ipv6) => {
            !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(ErrorCode::InvalidArgument) }
}

/// Refuses what nothing can be connected to.
pub(super) fn check_remote(to: SocketAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    check(to.ip(), family)?;
    if to.ip().is_unspecified() || to.port() == 0 {
        return Err(ErrorCode::InvalidArgument);
    }
    Ok(())
}

/// `address` as a socket of `family` shows it: IPv4 within IPv6 as a mapped address.
pub(super) fn present(address: SocketAddr, family: IpAddressFamily) -> SocketAddr {
    let ip = match (address.ip(), family) {
        (IpAddr::V4(ip), IpAddressFamily::Ipv6) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        (IpAddr::V4(ip), IpAddressFamily::Ipv6) => ip.to_ipv6_mapped().into(),
        (ip, _) => ip,
    };
    SocketAddr::new(ip, address.port())
}
