//! From names to addresses. For now the system's resolver does it: at once for numbers, on a helper thread for names,
//! so that the loop never waits. An own resolver inside the loop takes this module's place.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Asks the system and waits for its answer.
pub(crate) fn blocking(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // A URL has IPv6 addresses in brackets, the system wants them without.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}
