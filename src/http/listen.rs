//! Binding: before anything is polled, so that a taken port fails the start and nothing else.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on `address`, as in `127.0.0.1:10317`, `[::1]:10317` or `:10317`, which is every address of both IPv4 and
/// IPv6.
///
/// # Errors
/// When the host is unknown, or the address cannot be bound; the message names it.
pub fn listen(address: &str) -> io::Result<TcpListener> {
    bind(address).map_err(|error| {
        let message = format!(
            "cannot listen on {address}: {error}; choose another address by web.listen_address or --web.listen-address"
        );
        io::Error::new(error.kind(), message)
    })
}

fn bind(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 = port.parse().map_err(io::Error::other)?;
        // A machine without IPv6 has no such socket.
        return bind_to(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).or_else(|error| {
            match error.kind() {
                io::ErrorKind::AddrInUse => Err(error),
                _ => bind_to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
            }
        });
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for candidate in address.to_socket_addrs()? {
        match bind_to(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for connections of the process before to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_serves_ipv4() {
        let listener = listen(":0").expect("a free port must be found");
        let port = listener.local_addr().expect("it must have an address").port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("IPv4 must be served");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = listen("127.0.0.1:0").expect("a free port must be found");
        let address = taken.local_addr().expect("it must have an address").to_string();
        let error = listen(&address).expect_err("it must be taken").to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }
}
