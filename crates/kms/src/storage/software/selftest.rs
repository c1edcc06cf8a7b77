//! Known answers: each algorithm proves itself once in a process before it is used (FIPS 140-3,
//! section 7.10.3), and one wrong answer stops them all for good.
//!
//! Ed25519, secp256k1 and RSA PKCS#1 v1.5 are deterministic and compared byte by byte. P-256 and
//! PSS are not: there a fixed signature is verified and a fresh one made and verified. Each also
//! has to refuse a signature of another message, so that a verifier that says yes to all is found.

use std::sync::OnceLock;

use kms_secret::SecretBytes;

use crate::key::Algorithm;
use crate::key::Padding;
use crate::key::Prehash;
use crate::key::PublicKey;
use crate::key::Scheme;
use crate::storage::error::Fault;
use crate::storage::software::pair;
use crate::storage::software::pair::Form;
use crate::storage::software::pair::Pair;

mod vectors;

pub(super) use vectors::VECTORS;

/// One known answer.
#[derive(Clone, Copy)]
pub(super) struct Vector {
    pub(super) algorithm: Algorithm,
    pub(super) private: &'static [u8],
    pub(super) public: &'static [u8],
    pub(super) message: &'static [u8],
    pub(super) padding: Padding,
    pub(super) signature: &'static [u8],
    /// Whether signing gives exactly `signature`.
    pub(super) deterministic: bool,
}

/// What has been proved so far, and whether anything ever failed.
pub(super) struct SelfTests {
    vectors: &'static [Vector],
    ed25519: OnceLock<()>,
    secp256k1: OnceLock<()>,
    p256: OnceLock<()>,
    rsa: OnceLock<()>,
    failed: OnceLock<Algorithm>,
}

/// The one of this process.
pub(super) static PROCESS: SelfTests = SelfTests::new(&VECTORS);

impl SelfTests {
    pub(super) const fn new(vectors: &'static [Vector]) -> Self {
        Self {
            vectors,
            ed25519: OnceLock::new(),
            secp256k1: OnceLock::new(),
            p256: OnceLock::new(),
            rsa: OnceLock::new(),
            failed: OnceLock::new(),
        }
    }

    /// Lets `algorithm` be used: tests it if nobody has yet; refuses if anything ever failed.
    pub(super) fn ready(&self, algorithm: Algorithm) -> Result<(), Fault> {
        let tested = match algorithm {
            Algorithm::Ed25519 => &self.ed25519,
            Algorithm::Secp256k1 => &self.secp256k1,
            Algorithm::P256 => &self.p256,
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => &self.rsa,
        };
        tested.get_or_init(|| self.test(algorithm));
        self.intact()
    }

    /// Whether nothing has failed so far; all that stands on the hot path.
    pub(super) fn intact(&self) -> Result<(), Fault> {
        self.failed.get().map_or(Ok(()), |algorithm| Err(Fault::SelfTestFailed(*algorithm)))
    }

    /// Stops everything for the rest of the process.
    pub(super) fn fail(&self, algorithm: Algorithm) -> Fault {
        Fault::SelfTestFailed(*self.failed.get_or_init(|| algorithm))
    }

    /// Tests every algorithm again, used or not.
    pub(super) fn run(&self) -> Result<(), Fault> {
        Algorithm::ALL.into_iter().for_each(|algorithm| self.test(algorithm));
        self.intact()
    }

    fn test(&self, algorithm: Algorithm) {
        let same_kind = |vector: &&Vector| {
            vector.algorithm == algorithm || (vector.algorithm.is_rsa() && algorithm.is_rsa())
        };
        let mut ours = self.vectors.iter().filter(same_kind).peekable();
        if ours.peek().is_none() || !ours.all(|vector| vector.holds()) {
            self.fail(algorithm);
        }
    }
}

impl Vector {
    fn holds(&self) -> bool {
        let Ok(public) = PublicKey::new(self.algorithm, self.public) else {
            return false;
        };
        self.verifies(&public, self.message, self.signature)
            && !self.verifies(&public, b"another message", self.signature)
            && self.signs(&public)
    }

    fn signs(&self, public: &PublicKey) -> bool {
        let Ok(pair) = Pair::parse(self.algorithm, &SecretBytes::copy_from(self.private)) else {
            return false;
        };
        let Ok(signature) = pair.sign(self.message, self.scheme()) else {
            return false;
        };
        pair.public().is_ok_and(|computed| computed == *public)
            && (!self.deterministic || signature.bytes == self.signature)
            && self.verifies(public, self.message, &signature.bytes)
    }

    fn verifies(&self, public: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        pair::verify(public, message, signature, (self.scheme(), Form::Fixed))
    }

    fn scheme(&self) -> Scheme {
        Scheme { prehash: Prehash::Sha256, padding: self.padding }
    }
}
