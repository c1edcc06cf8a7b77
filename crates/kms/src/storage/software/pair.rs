//! One private key ready to sign, of any algorithm: where the algorithms part.

use aws_lc_rs::rand;
use aws_lc_rs::rsa::KeySize;
use kms_secret::SecretBytes;

use crate::key::Algorithm;
use crate::key::Prehash;
use crate::key::PublicKey;
use crate::key::Scheme;
use crate::key::Signature;
use crate::storage::error::Fault;
use crate::storage::error::Refused;
use crate::storage::error::StorageError;
use crate::storage::software::ed25519;
use crate::storage::software::p256;
use crate::storage::software::rsa;
use crate::storage::software::secp256k1;

/// A parsed private key; nothing of it is parsed again when it signs.
#[derive(Debug)]
pub(super) enum Pair {
    Ed25519(ed25519::Pair),
    Secp256k1(secp256k1::Pair),
    P256(p256::Pair),
    Rsa2048(rsa::Pair),
    Rsa4096(rsa::Pair),
}

/// Draws a private key: random bytes of the operating system's generator; scalars by rejection
/// (FIPS 186-5 appendix A.2.2).
pub(super) fn draw(algorithm: Algorithm) -> Result<SecretBytes, Fault> {
    match algorithm {
        Algorithm::Ed25519 => random(ed25519::SEED_LEN),
        Algorithm::Secp256k1 | Algorithm::P256 => draw_scalar(algorithm),
        Algorithm::Rsa2048 => rsa::draw(KeySize::Rsa2048),
        Algorithm::Rsa4096 => rsa::draw(KeySize::Rsa4096),
    }
}

/// `len` random bytes in locked memory.
pub(super) fn random(len: usize) -> Result<SecretBytes, Fault> {
    let mut bytes = SecretBytes::zeroed(len);
    rand::fill(bytes.expose_mut()).map_err(|_| Fault::Random)?;
    Ok(bytes)
}

fn draw_scalar(algorithm: Algorithm) -> Result<SecretBytes, Fault> {
    // Out of range once in 2^32 draws on P-256, never seen on secp256k1: four times is a fault.
    for _ in 0..4 {
        let scalar = random(32)?;
        if Pair::parse(algorithm, &scalar).is_ok() {
            return Ok(scalar);
        }
    }
    Err(Fault::Random)
}

impl Pair {
    /// Reads a private key in the form of [`kms_formats::private::PrivateKey`].
    pub(super) fn parse(algorithm: Algorithm, secret: &SecretBytes) -> Result<Self, Refused> {
        let bytes = secret.expose();
        match algorithm {
            Algorithm::Ed25519 => ed25519::parse(bytes).map(Self::Ed25519),
            Algorithm::Secp256k1 => secp256k1::parse(bytes).map(Self::Secp256k1),
            Algorithm::P256 => p256::parse(bytes).map(Self::P256),
            Algorithm::Rsa2048 => rsa::parse(bytes, KeySize::Rsa2048).map(Self::Rsa2048),
            Algorithm::Rsa4096 => rsa::parse(bytes, KeySize::Rsa4096).map(Self::Rsa4096),
        }
        .map_err(|why| Refused::InvalidKey { algorithm, why })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Secp256k1(_) => Algorithm::Secp256k1,
            Self::P256(_) => Algorithm::P256,
            Self::Rsa2048(_) => Algorithm::Rsa2048,
            Self::Rsa4096(_) => Algorithm::Rsa4096,
        }
    }

    /// The public half, computed from the private one.
    pub(super) fn public(&self) -> Result<PublicKey, Fault> {
        let bytes = match self {
            Self::Ed25519(pair) => ed25519::public(pair),
            Self::Secp256k1(pair) => secp256k1::public(pair),
            Self::P256(pair) => p256::public(pair),
            Self::Rsa2048(pair) | Self::Rsa4096(pair) => rsa::public(pair),
        };
        PublicKey::new(self.algorithm(), &bytes).map_err(|_| Fault::Library("public key form"))
    }

    pub(super) fn sign(&self, message: &[u8], scheme: Scheme) -> Result<Signature, StorageError> {
        let algorithm = self.algorithm();
        check(algorithm, message, scheme)?;
        let prehashed = scheme.prehash == Prehash::Prehashed;
        let (bytes, recovery_id) = match self {
            Self::Ed25519(pair) => (ed25519::sign(pair, message)?, None),
            Self::Secp256k1(pair) => {
                let (bytes, id) = secp256k1::sign(pair, message, scheme.prehash)?;
                (bytes, Some(id))
            }
            Self::P256(pair) => (p256::sign(pair, message, prehashed)?, None),
            Self::Rsa2048(pair) | Self::Rsa4096(pair) => {
                (rsa::sign(pair, (message, prehashed), scheme.padding)?, None)
            }
        };
        Ok(Signature { algorithm, bytes, recovery_id })
    }
}

/// How ECDSA signatures are spelt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// r‖s, 64 bytes.
    Fixed,
    /// DER of `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3).
    Der,
}

/// Whether `signature` is one of `message` under `public`; `form` matters to ECDSA only.
pub(super) fn verify(
    public: &PublicKey,
    message: &[u8],
    signature: &[u8],
    (scheme, form): (Scheme, Form),
) -> bool {
    let key = public.as_bytes();
    let prehashed = scheme.prehash == Prehash::Prehashed;
    if check(public.algorithm(), message, scheme).is_err() {
        return false;
    }
    match (public.algorithm(), form) {
        (Algorithm::Ed25519, _) => ed25519::verify(key, message, signature),
        (Algorithm::Secp256k1, Form::Fixed) => {
            secp256k1::verify(key, message, signature, scheme.prehash)
        }
        (Algorithm::Secp256k1, Form::Der) => {
            secp256k1::verify_der(key, message, signature, scheme.prehash)
        }
        (Algorithm::P256, Form::Fixed) => p256::verify(key, message, signature, prehashed),
        (Algorithm::P256, Form::Der) => p256::verify_der(key, message, signature, prehashed),
        (Algorithm::Rsa2048 | Algorithm::Rsa4096, _) => {
            rsa::verify(key, (message, prehashed), signature, scheme.padding)
        }
    }
}

/// Refuses choices that would change what the signature means.
fn check(algorithm: Algorithm, message: &[u8], scheme: Scheme) -> Result<(), Refused> {
    let why = match (algorithm, scheme.prehash) {
        (_, Prehash::Sha256) | (Algorithm::Secp256k1, Prehash::Keccak256) => return Ok(()),
        (Algorithm::Ed25519, Prehash::Keccak256 | Prehash::Prehashed) => {
            "it signs the message itself, never a digest"
        }
        (_, Prehash::Keccak256) => "Keccak-256 belongs to secp256k1",
        (_, Prehash::Prehashed) if message.len() == 32 => return Ok(()),
        (_, Prehash::Prehashed) => "a digest made elsewhere has 32 bytes",
    };
    Err(Refused::Scheme { algorithm, why })
}
