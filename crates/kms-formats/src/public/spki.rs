//! Public keys as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), what `openssl pkey -pubout` writes.

use der::Decode;
use der::Encode;
use der::asn1::BitStringRef;
use sha2::Digest;
use sha2::Sha256;
use spki::SubjectPublicKeyInfoRef;

use crate::algorithm::Algorithm;
use crate::identifier;
use crate::identifier::Kind;
use crate::identifier::UnsupportedKind;
use crate::pem;
use crate::pem::PemError;
use crate::point;
use crate::public::InvalidPublicKey;
use crate::public::PublicKey;
use crate::rsa;
use crate::rsa::UnsupportedRsa;

/// The largest public key file that is read, in bytes.
const LIMIT: usize = 16 * 1024;
const LABEL: &str = "PUBLIC KEY";

/// A public key file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpkiError {
    /// Longer than any public key.
    #[error("the public key file has {0} bytes, at most 16384 are read")]
    TooLong(usize),
    /// Neither DER nor PEM.
    #[error("the file is no SubjectPublicKeyInfo in DER or PEM (`-----BEGIN PUBLIC KEY-----`)")]
    Malformed,
    /// Bad PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A PEM block of something else.
    #[error("the PEM block is `{0}`, expected `PUBLIC KEY`")]
    Label(String),
    /// More blocks than one.
    #[error("the file has {0} PEM blocks, expected 1")]
    Blocks(usize),
    /// A kind of key this product has no use for.
    #[error(transparent)]
    Kind(#[from] UnsupportedKind),
    /// An RSA key this product does not take.
    #[error(transparent)]
    Rsa(#[from] UnsupportedRsa),
    /// No key of its algorithm.
    #[error(transparent)]
    Key(#[from] InvalidPublicKey),
}

impl PublicKey {
    /// The DER of SubjectPublicKeyInfo, byte for byte as OpenSSL writes it: points uncompressed
    /// (RFC 5480 section 2.2), Ed25519 by RFC 8410 section 4. 44 to 550 bytes.
    ///
    /// # Errors
    /// When the bytes are no point of the curve; never for a key from [`Self::validated`].
    pub fn to_spki_der(&self) -> Result<Vec<u8>, InvalidPublicKey> {
        let invalid = InvalidPublicKey(self.algorithm());
        let uncompressed;
        let bits = match self.algorithm() {
            Algorithm::Secp256k1 | Algorithm::P256 => {
                uncompressed = self.to_uncompressed_point().ok_or(invalid)?;
                &uncompressed[..]
            }
            Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => self.as_bytes(),
        };
        let subject_public_key = BitStringRef::from_bytes(bits).map_err(|_| invalid)?;
        let algorithm = identifier::identifier(self.algorithm());
        SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().map_err(|_| invalid)
    }

    /// [`Self::to_spki_der`] in PEM: 64 characters a line, LF, with a line end at the end.
    ///
    /// # Errors
    /// As for [`Self::to_spki_der`].
    pub fn to_spki_pem(&self) -> Result<String, InvalidPublicKey> {
        Ok(pem::write(LABEL, &self.to_spki_der()?))
    }

    /// SHA-256 of [`Self::to_spki_der`]: the key's fingerprint, whatever form it came in.
    ///
    /// # Errors
    /// As for [`Self::to_spki_der`].
    pub fn fingerprint(&self) -> Result<[u8; 32], InvalidPublicKey> {
        Ok(Sha256::digest(self.to_spki_der()?).into())
    }

    /// Reads one SubjectPublicKeyInfo, DER or PEM, at most 16 KiB; points compressed or not. The
    /// key is checked as in [`Self::validated`].
    ///
    /// # Errors
    /// When the file is anything else.
    pub fn from_spki(file: &[u8]) -> Result<Self, SpkiError> {
        if file.len() > LIMIT {
            return Err(SpkiError::TooLong(file.len()));
        }
        if let Ok(info) = SubjectPublicKeyInfoRef::from_der(file) {
            return from_info(&info);
        }
        let blocks = pem::read(file)?.ok_or(SpkiError::Malformed)?;
        let [block] = blocks.as_slice() else { return Err(SpkiError::Blocks(blocks.len())) };
        if block.label != LABEL {
            return Err(SpkiError::Label(block.label.into()));
        }
        let der = block.decode()?;
        let info = SubjectPublicKeyInfoRef::from_der(der.expose());
        from_info(&info.map_err(|_| SpkiError::Malformed)?)
    }

    /// The uncompressed point of SEC 1 section 2.3.3, `04 ‖ x ‖ y`; `None` for Ed25519 and RSA, and
    /// where the bytes are no point of the curve.
    pub fn to_uncompressed_point(&self) -> Option<[u8; 65]> {
        point::uncompress(self.algorithm(), self.as_bytes())
    }
}

fn from_info(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PublicKey, SpkiError> {
    let bits = info.subject_public_key.as_bytes().ok_or(SpkiError::Malformed)?;
    Ok(match identifier::kind(&info.algorithm)? {
        Kind::Ed25519 => PublicKey::validated(Algorithm::Ed25519, bits)?,
        Kind::Curve(algorithm) => PublicKey::validated(algorithm, bits)?,
        Kind::Rsa => PublicKey::validated(rsa::read(bits)?.0, bits)?,
    })
}
