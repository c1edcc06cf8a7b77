//! CometBFT's secret connection: an encrypted, authenticated stream over tcp.
//!
//! ```text
//! each sends an ephemeral X25519 key; lo, hi = the two, sorted
//! transcript = merlin("TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH") ‖ lo ‖ hi ‖ shared secret
//! keys       = HKDF-SHA-256(shared secret, "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"), 2 × 32 bytes;
//!              the first is for what the lower end receives
//! challenge  = 32 bytes of the transcript
//! each sends, encrypted, its Ed25519 key and its signature over the challenge
//! frame      = ChaCha20-Poly1305(length (4 bytes, little endian) ‖ 1024 bytes), nonce 0⁴ ‖ counter (8 bytes, LE)
//! ```
//!
//! Source: CometBFT `spec/p2p/legacy-docs/peer.md` and `p2p/conn/secret_connection.go`, v0.38. The
//! signature proves who the other end is, not that it is the node that was meant: see
//! [`crate::dial`].

use std::io;
use std::io::Read;
use std::io::Write;

use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::CHACHA20_POLY1305;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::agreement;
use aws_lc_rs::agreement::EphemeralPrivateKey;
use aws_lc_rs::agreement::UnparsedPublicKey;
use aws_lc_rs::agreement::X25519;
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature;
use merlin::Transcript;
use zeroize::Zeroizing;

use crate::frame;
use crate::identity::Identity;
use crate::identity::NodeId;

/// Bytes of data in a frame.
const DATA: usize = 1024;
/// Bytes of a frame before it is sealed, and after.
const FRAME: usize = DATA + 4;
const SEALED: usize = FRAME + 16;
/// More bytes than any message of the handshake has.
const HANDSHAKE: usize = 256;

/// An encrypted stream to an end whose key is known.
pub(crate) struct SecretConnection<S> {
    stream: S,
    sending: Half,
    receiving: Half,
    /// What was received and not yet read.
    received: Vec<u8>,
    read: usize,
    peer: NodeId,
}

/// One direction.
struct Half {
    key: LessSafeKey,
    counter: u64,
}

/// What both ends derive from the ephemeral keys.
struct Derived {
    sending: Half,
    receiving: Half,
    challenge: [u8; 32],
}

impl<S: Read + Write> SecretConnection<S> {
    /// Carries out the handshake as `identity`.
    ///
    /// # Errors
    /// Those of the stream; `InvalidData` where the other end does not follow the protocol or does
    /// not prove its key.
    pub(crate) fn handshake(mut stream: S, identity: &Identity) -> io::Result<Self> {
        let random = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&X25519, &random).map_err(|_| broken("no key"))?;
        let own_public = own.compute_public_key().map_err(|_| broken("no key"))?;
        let own_public: [u8; 32] = own_public.as_ref().try_into().map_err(|_| broken("no key"))?;
        frame::write(&mut stream, &[&[0x0a, 32], &own_public[..]].concat())?;
        let theirs = frame::read(&mut stream, HANDSHAKE)?.ok_or_else(ended)?;
        let theirs = match theirs.as_slice() {
            [0x0a, 32, key @ ..] => key.try_into().map_err(|_| broken("ephemeral key"))?,
            _ => return Err(broken("ephemeral key")),
        };
        let derived = derive(own, (&own_public, &theirs))?;
        let mut connection = Self {
            stream,
            sending: derived.sending,
            receiving: derived.receiving,
            received: Vec::new(),
            read: 0,
            peer: NodeId::of(&[0; 32]),
        };
        let signature = identity.sign(&derived.challenge);
        frame::write(&mut connection, &authentication(identity.public_key(), &signature))?;
        let answer = frame::read(&mut connection, HANDSHAKE)?.ok_or_else(ended)?;
        connection.peer = NodeId::of(&verified(&answer, &derived.challenge)?);
        Ok(connection)
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> NodeId {
        self.peer
    }

    /// The stream below.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    fn receive(&mut self) -> io::Result<bool> {
        let mut sealed = [0; SEALED];
        let mut filled = 0;
        while let Some(rest) = sealed.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(ended()),
                more => filled += more,
            }
        }
        let nonce = self.receiving.next()?;
        let opened = self.receiving.key.open_in_place(nonce, Aad::empty(), &mut sealed);
        let opened = opened.map_err(|_| broken("frame that does not open"))?;
        let (length, data) = opened.split_first_chunk::<4>().ok_or_else(ended)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let data = data.get(..length).ok_or_else(|| broken("frame of a wrong length"))?;
        self.received.clear();
        self.received.extend_from_slice(data);
        self.read = 0;
        Ok(true)
    }
}

impl<S: Read + Write> Read for SecretConnection<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.received.len() {
            if !self.receive()? {
                return Ok(0);
            }
        }
        let rest = self.received.get(self.read..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        self.read += count;
        Ok(count)
    }
}

impl<S: Read + Write> Write for SecretConnection<S> {
    /// Seals all of `bytes` and sends the frames together.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sealed = Vec::with_capacity(bytes.len().div_ceil(DATA) * SEALED);
        for data in bytes.chunks(DATA) {
            let mut frame = [0; FRAME];
            let length = u32::try_from(data.len()).unwrap_or_default().to_le_bytes();
            let (head, body) = frame.split_at_mut(4);
            head.copy_from_slice(&length);
            if let Some(place) = body.get_mut(..data.len()) {
                place.copy_from_slice(data);
            }
            let nonce = self.sending.next()?;
            let key = &self.sending.key;
            let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut frame);
            let tag = tag.map_err(|_| broken("frame that cannot be sealed"))?;
            sealed.extend_from_slice(&frame);
            sealed.extend_from_slice(tag.as_ref());
        }
        self.stream.write_all(&sealed)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Half {
    fn new(key: &[u8]) -> io::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| broken("no key"))?;
        Ok(Self { key: LessSafeKey::new(key), counter: 0 })
    }

    /// The nonce of the next frame; none is used twice.
    fn next(&mut self) -> io::Result<Nonce> {
        let mut nonce = [0; 12];
        let (_, counter) = nonce.split_at_mut(4);
        counter.copy_from_slice(&self.counter.to_le_bytes());
        self.counter = self.counter.checked_add(1).ok_or_else(|| broken("no nonce left"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

fn derive(
    own: EphemeralPrivateKey,
    (own_public, theirs): (&[u8; 32], &[u8; 32]),
) -> io::Result<Derived> {
    let own_is_lower = own_public < theirs;
    let (lower, upper) = if own_is_lower { (own_public, theirs) } else { (theirs, own_public) };
    let mut transcript = Transcript::new(b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
    transcript.append_message(b"EPHEMERAL_LOWER_PUBLIC_KEY", lower);
    transcript.append_message(b"EPHEMERAL_UPPER_PUBLIC_KEY", upper);
    let peer = UnparsedPublicKey::new(&X25519, theirs);
    // A point of small order gives no secret, and an error here.
    let no_secret = broken("ephemeral key");
    agreement::agree_ephemeral(own, peer, no_secret, |secret| {
        transcript.append_message(b"DH_SECRET", secret);
        let mut challenge = [0; 32];
        transcript.challenge_bytes(b"SECRET_CONNECTION_MAC", &mut challenge);
        let keys = expand(secret)?;
        let (first, second) = keys.split_at(32);
        let (receiving, sending) = if own_is_lower { (first, second) } else { (second, first) };
        let (sending, receiving) = (Half::new(sending)?, Half::new(receiving)?);
        Ok(Derived { sending, receiving, challenge })
    })
}

fn expand(secret: &[u8]) -> io::Result<Zeroizing<[u8; 64]>> {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            64
        }
    }
    let mut keys = Zeroizing::new([0; 64]);
    let info: &[&[u8]] = &[b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    let filled = extracted.expand(info, Length).and_then(|okm| okm.fill(&mut *keys));
    filled.map_err(|_| broken("no key"))?;
    Ok(keys)
}

/// `AuthSigMessage { 1 PublicKey { 1 ed25519 }, 2 signature }`
fn authentication(public_key: &[u8; 32], signature: &[u8]) -> Vec<u8> {
    [&[0x0a, 34, 0x0a, 32], &public_key[..], &[0x12, 64], signature].concat()
}

/// The key of the other end, if it signed the challenge.
fn verified(message: &[u8], challenge: &[u8; 32]) -> io::Result<[u8; 32]> {
    let rest = message.strip_prefix(&[0x0a, 34, 0x0a, 32]);
    let (key, rest) =
        rest.and_then(|rest| rest.split_first_chunk::<32>()).ok_or_else(not_proven)?;
    let given = rest.strip_prefix(&[0x12, 64]).filter(|given| given.len() == 64);
    let given = given.ok_or_else(not_proven)?;
    let public_key = signature::UnparsedPublicKey::new(&signature::ED25519, key);
    public_key.verify(challenge, given).map_err(|_| not_proven())?;
    Ok(*key)
}

fn not_proven() -> io::Error {
    broken("proof of the node's key")
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("secret connection: {what}"))
}

fn ended() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use kms_secret::SecretBytes;

    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(&SecretBytes::copy_from(&[byte; 32])).unwrap()
    }

    fn pair() -> (SecretConnection<UnixStream>, SecretConnection<UnixStream>) {
        let (left, right) = UnixStream::pair().unwrap();
        let other = thread::spawn(|| SecretConnection::handshake(right, &identity(2)).unwrap());
        let one = SecretConnection::handshake(left, &identity(1)).unwrap();
        (one, other.join().unwrap())
    }

    #[test]
    fn both_ends_know_each_other_and_read_what_the_other_wrote() {
        for _ in 0..8 {
            let (mut one, mut other) = pair();
            assert_eq!((one.peer(), other.peer()), (identity(2).id(), identity(1).id()));
            for length in [1, 1024, 1025, 5000] {
                let message = vec![7; length];
                frame::write(&mut one, &message).unwrap();
                assert_eq!(frame::read(&mut other, 9000).unwrap(), Some(message.clone()));
                frame::write(&mut other, &message).unwrap();
                assert_eq!(frame::read(&mut one, 9000).unwrap(), Some(message));
            }
        }
    }

    #[test]
    fn changed_repeated_and_cut_frames_are_refused() {
        let (mut one, mut other) = pair();
        let mut wire = Vec::new();
        // What is on the wire, taken off it.
        frame::write(&mut one, b"hello").unwrap();
        let mut sealed = [0; SEALED];
        other.stream.read_exact(&mut sealed).unwrap();
        wire.extend_from_slice(&sealed);
        let (mut tap, end) = UnixStream::pair().unwrap();
        other.stream = end;
        sealed[100] ^= 1;
        tap.write_all(&sealed).unwrap();
        let error = frame::read(&mut other, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // The counter went on: also the right frame does not open any more.
        tap.write_all(&wire).unwrap();
        assert!(frame::read(&mut other, 100).is_err());
        tap.write_all(&wire[..500]).unwrap();
        drop(tap);
        let error = frame::read(&mut other, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn key_that_is_not_proven_ends_the_handshake() {
        let challenge = [3; 32];
        let one = identity(1);
        let message = authentication(one.public_key(), &one.sign(&challenge));
        assert_eq!(verified(&message, &challenge).unwrap(), *one.public_key());
        assert!(verified(&message, &[4; 32]).is_err());
        let another = authentication(identity(2).public_key(), &one.sign(&challenge));
        assert!(verified(&another, &challenge).is_err());
        for length in 0..message.len() {
            assert!(verified(&message[..length], &challenge).is_err());
        }
        assert!(verified(&[&message[..], b"x"].concat(), &challenge).is_err());
    }

    #[test]
    fn ephemeral_keys_of_small_order_are_refused() {
        for key in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let (mut left, right) = UnixStream::pair().unwrap();
            let other =
                thread::spawn(|| SecretConnection::handshake(right, &identity(2)).map(|_| ()));
            frame::write(&mut left, &[&[0x0a, 32], &key[..]].concat()).unwrap();
            let error = other.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
