//! TCP MD5 signatures (RFC 2385): the keys that the BMP port requires, by network. The kernel does the rest: from an
//! address with a key it accepts no segment without the right signature, and the router gets no answer at all.
//!
//! Linux, with the socket option `TCP_MD5SIG_EXT`, which accepts a prefix.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};

use crate::config::md5::KEY_BYTES_MAX;

/// Linux, `include/uapi/linux/tcp.h`.
const TCP_MD5SIG_EXT: libc::c_int = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
/// Bytes of `struct sockaddr_storage`.
const SOCKADDR_STORAGE_BYTES: usize = 128;

/// `struct tcp_md5sig`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Signature {
    /// `struct sockaddr_storage`.
    address: [u8; SOCKADDR_STORAGE_BYTES],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: u32,
    key: [u8; KEY_BYTES_MAX],
}

sockopt_impl!(
    /// Sets the key for a prefix, or removes it if the key is empty.
    TcpMd5SigExt,
    SetOnly,
    libc::IPPROTO_TCP,
    TCP_MD5SIG_EXT,
    Signature
);

/// Requires signatures with `key` on connections from `network` from now on, or none if the key is empty. `bound` is
/// the address of the socket: a socket for both families represents IPv4 addresses as IPv4-mapped ones.
///
/// # Errors
/// The system's error: `ENOMEM` when there are more keys than `net.core.optmem_max` has room for.
pub fn set_key(socket: &impl AsFd, bound: IpAddr, network: IpNet, key: &[u8]) -> Result<(), Errno> {
    let signature = signature(bound, network, key).ok_or(Errno::EINVAL)?;
    match setsockopt(socket, TcpMd5SigExt, &signature) {
        // Removing a key that does not exist is no error.
        Err(Errno::ENOENT) if key.is_empty() => Ok(()),
        result => result,
    }
}

/// Returns true if a connection from `network` can reach a socket bound to this address.
pub(crate) fn is_reached_by(bound: IpAddr, network: IpNet) -> bool {
    match (bound, network) {
        (IpAddr::V4(_), IpNet::V4(_)) | (IpAddr::V6(_), IpNet::V6(_)) => true,
        (IpAddr::V6(bound), IpNet::V4(_)) => bound == Ipv6Addr::UNSPECIFIED || bound.to_ipv4_mapped().is_some(),
        (IpAddr::V4(_), IpNet::V6(_)) => false,
    }
}

fn signature(bound: IpAddr, network: IpNet, key: &[u8]) -> Option<Signature> {
    let mut padded = [0; KEY_BYTES_MAX];
    padded.get_mut(..key.len())?.copy_from_slice(key);
    Some(Signature {
        address: socket_address(bound, network.network()),
        flags: TCP_MD5SIG_FLAG_PREFIX,
        prefix_length: network.prefix_len(),
        key_length: u16::try_from(key.len()).ok()?,
        interface: 0,
        key: padded,
    })
}

/// Returns a `struct sockaddr_in` or `sockaddr_in6`, port 0, in a `sockaddr_storage`.
fn socket_address(bound: IpAddr, address: IpAddr) -> [u8; SOCKADDR_STORAGE_BYTES] {
    let mut bytes = [0; SOCKADDR_STORAGE_BYTES];
    let family = |family: libc::c_int| u16::try_from(family).expect("AF_INET and AF_INET6 are small").to_ne_bytes();
    match (bound, address) {
        (IpAddr::V4(_), IpAddr::V4(address)) => {
            bytes[..2].copy_from_slice(&family(libc::AF_INET));
            bytes[4..8].copy_from_slice(&address.octets());
        }
        (IpAddr::V6(_), address) | (IpAddr::V4(_), address @ IpAddr::V6(_)) => {
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            bytes[..2].copy_from_slice(&family(libc::AF_INET6));
            bytes[8..24].copy_from_slice(&address.octets());
        }
    }
    bytes
}
