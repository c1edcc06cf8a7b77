//! Connecting to a node, and whether it is believed.
//!
//! A node's identity on tcp is made anew at each of its starts (CometBFT issue 6061), so it cannot be
//! known beforehand: the first one is believed, and another one later is told of. Where an id is
//! configured, only that one is spoken to. On a unix socket the kernel says who is at the other end,
//! and nobody else may be able to put a socket there.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::address::Address;
use crate::deadline::Deadline;
use crate::deadline::Socket;
use crate::identity::Identity;
use crate::identity::NodeId;
use crate::secret::SecretConnection;

/// Until a connection is made and both ends are known.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// A connection to a node.
pub(crate) enum Stream {
    Unix(Deadline),
    Tcp(Box<SecretConnection<Deadline>>),
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of this user.
    Uid(u32),
    /// A node that proved this id.
    Node(NodeId),
}

impl Stream {
    /// Gives every read and write together `time` from now on.
    pub(crate) fn extend(&mut self, time: Duration) {
        match self {
            Self::Unix(stream) => stream.extend(time),
            Self::Tcp(stream) => stream.stream().extend(time),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}

/// Ends a connection from another thread.
pub(crate) type Hangup = Box<dyn Fn() + Send>;

/// Connects to `address`. `uid` is whose node may be at a unix socket, besides this user's and root's.
///
/// # Errors
/// Those of the socket; `PermissionDenied` where the other end is not one to speak to.
pub(crate) fn dial(
    address: &Address,
    (identity, uid): (&Identity, Option<u32>),
) -> io::Result<(Stream, Peer, Hangup)> {
    match address {
        Address::Unix(path) => dial_unix(path, uid),
        Address::Tcp { host, id } => dial_tcp(host, (identity, *id)),
    }
}

fn dial_unix(path: &Path, uid: Option<u32>) -> io::Result<(Stream, Peer, Hangup)> {
    check_directory(path)?;
    let socket = UnixStream::connect(path)?;
    let peer = socket_peercred(&socket)?.uid.as_raw();
    let own = geteuid().as_raw();
    if ![own, 0].contains(&peer) && uid != Some(peer) {
        return Err(denied(format!(
            "{} is listened at by user {peer}; name it with peer_uid if that is the node's",
            path.display()
        )));
    }
    let other = socket.try_clone()?;
    let hangup = move || _ = other.shutdown(std::net::Shutdown::Both);
    let stream = Stream::Unix(Deadline::new(Socket::Unix(socket), HANDSHAKE));
    Ok((stream, Peer::Uid(peer), Box::new(hangup)))
}

/// Whoever may write to the directory of a socket may put another in its place.
fn check_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mode = fs::metadata(directory)?.mode();
    let (others_write, sticky) = (mode & 0o022 != 0, mode & 0o1000 != 0);
    if others_write && !sticky {
        return Err(denied(format!(
            "{} can be written to by others (mode {:04o}); take that away: chmod go-w",
            directory.display(),
            mode & 0o7777
        )));
    }
    Ok(())
}

fn dial_tcp(
    host: &str,
    (identity, pinned): (&Identity, Option<NodeId>),
) -> io::Result<(Stream, Peer, Hangup)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, HANDSHAKE) {
            Ok(socket) => return shake_hands(socket, (identity, pinned)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn shake_hands(
    socket: TcpStream,
    (identity, pinned): (&Identity, Option<NodeId>),
) -> io::Result<(Stream, Peer, Hangup)> {
    socket.set_nodelay(true)?;
    let other = socket.try_clone()?;
    let hangup = move || _ = other.shutdown(std::net::Shutdown::Both);
    let stream = Deadline::new(Socket::Tcp(socket), HANDSHAKE);
    let stream = SecretConnection::handshake(stream, identity)?;
    let peer = stream.peer();
    if pinned.is_some_and(|pinned| pinned != peer) {
        return Err(denied(format!("node {peer} is not the one that is configured")));
    }
    Ok((Stream::Tcp(Box::new(stream)), Peer::Node(peer), Box::new(hangup)))
}

fn denied(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "user {uid}"),
            Self::Node(id) => write!(f, "node {id}"),
        }
    }
}
