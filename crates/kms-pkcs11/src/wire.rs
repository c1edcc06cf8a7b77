//! What passes between this process and the one a library runs in, and how it is framed.
//!
//! A frame is `length of the body (4, little endian) ‖ length of the secret (4) ‖ body ‖ secret`. The
//! body is a value of this module in postcard's encoding; the secret (a PIN, a private key, a seed)
//! stands apart so that it is read into locked memory and nowhere else. Each side has one value under
//! way on a socket, so what comes next is the answer.
//!
//! The worker is not trusted: its frames have the same limits as those of a stranger.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;

use kms::key::Algorithm;
use kms_secret::SecretBytes;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest body: a message of 16 MiB for Ed25519, and what stands around it.
const BODY_LIMIT: usize = (16 << 20) + 4096;
/// The longest secret: an RSA-4096 key in PKCS#8.
const SECRET_LIMIT: usize = 8192;
const HEAD: usize = 8;
/// What is read at first.
const FIRST: usize = 4096;

/// A step of the worker's start, on its first socket, in this order; and the administration of tokens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Loads the library at this path, which was checked.
    Load { path: String },
    /// `C_Initialize`.
    Initialize,
    /// Looks at the slots.
    Slots,
    /// Opens the session that will keep the login. A step of its own: where this one hangs, the PIN was
    /// not risked.
    Open { slot: u64 },
    /// Logs in there, where a PIN comes with it.
    Login,
    /// Asks the token what it can do.
    Capabilities { profile: String, pooling: bool },
    /// A new lane; its socket comes with it.
    Lane,
    /// `C_InitToken` with the security officer's PIN.
    InitToken { slot: u64, label: String },
    /// `C_InitPIN`: the user's first PIN, set by the security officer.
    InitPin { slot: u64, so_pin_bytes: u32 },
    /// `C_Finalize`, and the end.
    End,
}

/// What a step answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Stepped {
    Done,
    Loaded(LibraryInfo),
    Slots(Vec<SlotInfo>),
    Capabilities(Capabilities),
}

/// What a library says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LibraryInfo {
    pub(crate) manufacturer: String,
    pub(crate) description: String,
    pub(crate) version: String,
    pub(crate) cryptoki: String,
}

/// What a slot says of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotInfo {
    pub(crate) id: u64,
    pub(crate) present: bool,
    pub(crate) initialized: bool,
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) login_required: bool,
    pub(crate) user_pin_set: bool,
    pub(crate) pin_count_low: bool,
    pub(crate) pin_final_try: bool,
    pub(crate) pin_locked: bool,
    /// The most read-write sessions, where there is a limit.
    pub(crate) max_sessions: Option<u64>,
    /// Free and all memory for private objects, where it says so.
    pub(crate) free_memory: Option<(u64, u64)>,
}

/// What a token can do for us.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Capabilities {
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) importable: Vec<Algorithm>,
    /// Whether RSA-OAEP can unwrap, so that it can keep a seed.
    pub(crate) unwraps: bool,
    pub(crate) mechanisms: Vec<String>,
}

/// A use of the token, on a lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    /// Signs `data` with a key.
    Sign {
        #[serde(borrow)]
        key: Address<'a>,
        mechanism: SignMechanism,
        data: &'a [u8],
    },
    /// Finds the private keys of this name, or all.
    Find { wanted: Wanted },
    /// Makes a key pair. With `resume`, a complete one of this name is taken for the one that was
    /// begun, and half of one is removed first.
    Generate { name: ObjectName, algorithm: Algorithm, resume: bool },
    /// Takes in a private key, which is the secret; `public` is its public half.
    Import { name: ObjectName, algorithm: Algorithm, public: &'a [u8], resume: bool },
    /// Removes both halves of a key.
    Destroy { id: Vec<u8>, label: String },
    /// Finds or makes the RSA key pair that seeds are wrapped to.
    WrappingKey { label: String },
    /// Unwraps a seed.
    Unwrap { label: String, sha256: bool, ciphertext: &'a [u8] },
}

/// Which key: by its name on the token and its public half, or by the latter alone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Address<'a> {
    /// `CKA_ID`; empty where only the public half is known.
    pub(crate) id: &'a [u8],
    /// `CKA_LABEL`, which has to be this one; empty where it does not matter.
    pub(crate) label: &'a str,
    pub(crate) algorithm: Algorithm,
    /// As `kms::key::PublicKey` has it.
    pub(crate) public: &'a [u8],
}

/// What a key is called on the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectName {
    pub(crate) id: Vec<u8>,
    pub(crate) label: String,
}

/// Which private keys are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    All,
    Label(String),
    Id(Vec<u8>),
}

/// How the token signs; hashing is done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SignMechanism {
    /// `CKM_EDDSA` over the message.
    Eddsa,
    /// `CKM_ECDSA` over a digest.
    Ecdsa,
    /// `CKM_RSA_PKCS` over a DigestInfo.
    RsaPkcs,
    /// `CKM_RSA_PKCS_PSS` over a SHA-256 digest, salt of 32 bytes.
    RsaPss,
}

/// What a use answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Signature(Vec<u8>),
    Objects(Vec<Object>),
    /// The public half, as `kms::key::PublicKey` has it.
    Made(Vec<u8>),
    Done,
    /// The DER of an RSA public key.
    WrappingKey {
        public: Vec<u8>,
        sha256: bool,
    },
    /// The secret is what was unwrapped.
    Unwrapped,
}

/// A private key on the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) id: Vec<u8>,
    pub(crate) label: String,
    /// Its public half with the algorithm, where that is one of ours and readable.
    pub(crate) public: Option<(Algorithm, Vec<u8>)>,
    pub(crate) local: bool,
    pub(crate) sensitive: bool,
    pub(crate) extractable: bool,
    pub(crate) always_sensitive: bool,
    pub(crate) never_extractable: bool,
    pub(crate) signs: bool,
}

/// Why the library did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The function and what it returned, in PKCS#11's words.
    pub(crate) told: String,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// The session or a handle is gone: a new one may do.
    Session,
    /// The token or the library is in trouble: a new process may do.
    Device,
    /// No room.
    Full,
    /// The PIN was judged, and not taken.
    Pin,
    /// It cannot do this at all.
    Unsupported,
    NotFound,
    Exists,
    /// The name stands for another key.
    KeyChanged,
    /// The library cannot be loaded.
    Library,
    /// Anything else it said no to.
    Refused,
}

/// What came of a request.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A socket with a buffer of its own, for one frame each way at a time.
#[derive(Debug)]
pub(crate) struct Line {
    socket: UnixStream,
    buffer: Vec<u8>,
}

impl Line {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, buffer: Vec::with_capacity(FIRST) }
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Sends a value, and a secret after it.
    ///
    /// # Errors
    /// When the other side is gone, or the value is longer than a frame may be.
    pub(crate) fn send<T: Serialize>(
        &mut self,
        value: &T,
        secret: Option<&SecretBytes>,
    ) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.resize(HEAD, 0);
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(value, buffer).map_err(io::Error::other)?;
        let body = self.buffer.len().saturating_sub(HEAD);
        let secret_bytes = secret.map_or(0, SecretBytes::len);
        if body > BODY_LIMIT || secret_bytes > SECRET_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the frame is too long"));
        }
        let lengths = [length(body), length(secret_bytes)].concat();
        self.buffer.iter_mut().zip(lengths).for_each(|(to, from)| *to = from);
        (&self.socket).write_all(&self.buffer)?;
        if self.buffer.capacity() > 16 * FIRST {
            self.buffer = Vec::with_capacity(FIRST);
        }
        match secret {
            Some(secret) => kms_secret::write_secret(&self.socket, secret),
            None => Ok(()),
        }
    }

    /// Waits for a frame; [`Self::value`] reads it. Returns its secret.
    ///
    /// # Errors
    /// When the other side is gone, does not answer in time, or breaks a rule.
    pub(crate) fn receive(&mut self) -> io::Result<SecretBytes> {
        self.buffer.resize(FIRST, 0);
        let mut filled = 0;
        while filled < HEAD {
            filled += self.read_from(filled)?;
        }
        let (body, secret) = lengths(&self.buffer)?;
        // Whoever sends a secret writes it apart, after the body; one that came with it is moved.
        let mut secret = SecretBytes::zeroed(secret);
        let end = HEAD + body;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while filled < end {
            filled += self.read_from(filled)?;
        }
        let early = self.buffer.get_mut(end..filled).unwrap_or_default();
        let early_bytes = early.len();
        let (first, rest) = secret
            .expose_mut()
            .split_at_mut_checked(early_bytes)
            .ok_or_else(|| broken("more came than was announced"))?;
        first.copy_from_slice(early);
        zeroize::Zeroize::zeroize(early);
        (&self.socket).read_exact(rest)?;
        self.buffer.truncate(end);
        Ok(secret)
    }

    /// The value of the frame that was received last.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn value<'a, T: Deserialize<'a>>(&'a self) -> io::Result<T> {
        let body = self.buffer.get(HEAD..).unwrap_or_default();
        postcard::from_bytes(body).map_err(|_| broken("it cannot be read"))
    }

    fn read_from(&mut self, from: usize) -> io::Result<usize> {
        let place = self.buffer.get_mut(from..).unwrap_or_default();
        loop {
            match (&self.socket).read(place) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Sends a request and waits for its outcome.
///
/// # Errors
/// As [`Line::send`] and [`Line::receive`].
pub(crate) fn exchange<T: DeserializeOwned>(
    line: &mut Line,
    request: &impl Serialize,
    secret: Option<&SecretBytes>,
) -> io::Result<(Outcome<T>, SecretBytes)> {
    line.send(request, secret)?;
    let secret = line.receive()?;
    Ok((line.value()?, secret))
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn lengths(head: &[u8]) -> io::Result<(usize, usize)> {
    let read = |from: usize| {
        let bytes: [u8; 4] = head.get(from..from + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    match (read(0), read(4)) {
        (Some(body), Some(secret)) if body <= BODY_LIMIT && secret <= SECRET_LIMIT => {
            Ok((body, secret))
        }
        _ => Err(broken("it is longer than a frame may be")),
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame is broken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Line, Line) {
        let (one, other) = UnixStream::pair().unwrap();
        (Line::new(one), Line::new(other))
    }

    #[test]
    fn what_is_sent_is_what_is_received() {
        let (mut here, mut there) = pair();
        let secret = SecretBytes::copy_from(b"1234");
        for (data, secret) in [(vec![7; 100], Some(&secret)), (vec![9; 200_000], None)] {
            let address =
                Address { id: &[1; 16], label: "x", algorithm: Algorithm::P256, public: &[2; 33] };
            let sent = Request::Sign { key: address, mechanism: SignMechanism::Ecdsa, data: &data };
            std::thread::scope(|scope| {
                scope.spawn(|| here.send(&sent, secret).unwrap());
                let received = there.receive().unwrap();
                assert_eq!(received.expose(), secret.map_or(&b""[..], SecretBytes::expose));
                let Request::Sign { key, data: got, .. } = there.value().unwrap() else {
                    panic!("another request")
                };
                assert_eq!((got, key.public, key.label), (&data[..], &[2; 33][..], "x"));
            });
        }
    }

    #[test]
    fn frames_that_are_too_long_or_broken_are_refused_without_being_read() {
        for head in [[0xff; 8], [1, 0, 0, 0, 0xff, 0xff, 0, 0], [0, 0, 0, 0x10, 0, 0, 0, 0]] {
            let (mut here, there) = pair();
            (&there.socket).write_all(&head).unwrap();
            assert_eq!(here.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let (mut here, there) = pair();
        (&there.socket).write_all(&[4, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
        here.receive().unwrap();
        assert!(here.value::<Outcome<Answer>>().is_err());
        let (mut here, there) = pair();
        (&there.socket).write_all(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert!(here.receive().is_err(), "more than was announced");
        let (mut here, there) = pair();
        drop(there);
        assert_eq!(here.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
