//! Who is at the other end of a connection, as far as the connection itself shows.

use std::net::IpAddr;

use kms::access::Attestation;

/// The other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peer {
    /// Its address; absent on the local socket.
    pub(crate) address: Option<IpAddr>,
    /// The user it runs as, on the local socket: told by the kernel.
    pub(crate) uid: Option<u32>,
    /// The SHA-256 of the certificate it showed, if any.
    pub(crate) certificate: Option<[u8; 32]>,
}

impl Peer {
    /// What it shows of who it is.
    pub(crate) fn attestations(&self) -> Vec<Attestation> {
        let user = self.uid.map(Attestation::Uid);
        user.into_iter().chain(self.certificate.map(Attestation::Certificate)).collect()
    }

    /// Whether it is on this machine's own socket.
    pub(crate) fn is_local(&self) -> bool {
        self.address.is_none()
    }
}
