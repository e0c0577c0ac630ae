//! `TCP_NODELAY` for the driver's sockets.
//!
//! The driver writes a batch as a few bytes of chunk size, the chunk, a few bytes again; with Nagle's algorithm the last of these waits for
//! the server's delayed acknowledgement, 40 ms a batch. The driver has no option for it and hands out no socket, so the sockets are found
//! among the descriptors of this process by the port they lead to. Setting the option on a descriptor that was closed or given to another
//! socket meanwhile does no harm, which is why a bare number is enough. Systems without `/dev/fd` keep Nagle's algorithm.

/// Messages of fewer bytes leave in one piece, which nothing holds back.
pub(super) const SMALL: usize = 4 << 10;

/// Sets it on all connections of this process to that port.
#[cfg(unix)]
pub(super) fn set_towards(port: u16) {
    let Ok(descriptors) = std::fs::read_dir("/dev/fd") else { return };
    for descriptor in descriptors.flatten() {
        let Some(number) = descriptor.file_name().to_str().and_then(|name| name.parse::<std::os::fd::RawFd>().ok())
        else {
            continue;
        };
        let socket = socket2::SockRef::from(&number);
        let peer = socket.peer_addr().ok().and_then(|address| address.as_socket());
        if peer.is_some_and(|peer| peer.port() == port) {
            // A failure costs time alone.
            let _ = socket.set_nodelay(true);
        }
    }
}

/// There is no list of descriptors.
#[cfg(not(unix))]
pub(super) fn set_towards(_port: u16) {}

#[cfg(all(test, unix))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_are_found_by_the_port_they_lead_to() {
        let (wanted, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let to = |listener: &TcpListener| TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, unrelated) = (to(&wanted), to(&other));
        assert!(!ours.nodelay().unwrap(), "the system sets it by itself");
        super::set_towards(wanted.local_addr().unwrap().port());
        assert!(ours.nodelay().unwrap());
        assert!(!unrelated.nodelay().unwrap());
    }
}
