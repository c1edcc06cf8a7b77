//! Telling the service manager (sd_notify(3)).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;

/// Where the service manager listens; nobody, if there is none.
#[derive(Debug, Default)]
pub(crate) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    /// The one at `NOTIFY_SOCKET`, as whoever started the process gave it.
    pub(crate) fn at(socket: Option<&OsStr>) -> Self {
        let address = socket.and_then(|socket| match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            [b'/', ..] => SocketAddr::from_pathname(socket).ok(),
            _ => None,
        });
        let open = |address| Some((UnixDatagram::unbound().ok()?, address));
        Self(address.and_then(open))
    }

    /// Tells it; that it does not listen is no fault of the daemon.
    pub(crate) fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0 {
            _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}
