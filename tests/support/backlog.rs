//! Addresses at which nobody is reached: where connections are refused, and where connecting never ends.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An address at which connections are refused.
pub(crate) fn refused() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, super::free_port()))
}

/// An address at which connecting never ends: its backlog is full and nobody accepts. Lives as long as the result.
#[derive(Debug)]
pub(crate) struct FullBacklog {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

/// Makes one.
pub(crate) fn full_backlog() -> FullBacklog {
    full_backlog_at((Ipv4Addr::LOCALHOST, 0).into())
}

/// Makes one at an address.
pub(crate) fn full_backlog_at(address: SocketAddr) -> FullBacklog {
    let listener = TcpListener::bind(address).expect("a port can be had");
    rustix::net::listen(&listener, 0).expect("a backlog can be lowered");
    let address = listener.local_addr().expect("a listener has an address");
    let mut waiting = Vec::new();
    // The kernel takes a few more than it was told.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the backlog never fills");
    }
    FullBacklog { address, _listener: listener, _waiting: waiting }
}
