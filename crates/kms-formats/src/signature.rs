//! ECDSA signatures in the encodings other software reads.

use der::Decode;
use der::Encode;
use der::Reader;
use der::Tag;
use der::asn1::AnyRef;
use der::asn1::SequenceRef;
use der::asn1::UintRef;

/// An ECDSA signature over a 256-bit curve: r and s, 32 bytes each, big-endian, neither zero.
///
/// Whether r and s are below the order of the curve is for who verifies to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcdsaSignature([u8; 64]);

/// Bytes that are no ECDSA signature in the encoding asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Another length.
    #[error("the signature has {found} bytes, expected {expected}")]
    Length {
        /// What the encoding has.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// r or s is zero.
    #[error("r or s of the signature is zero")]
    Zero,
    /// Not the one DER there is for a signature (X.690 section 10, RFC 3279 section 2.2.3).
    #[error("the signature is no DER of two positive integers of at most 32 bytes")]
    Der,
    /// r or s is not below the order of secp256k1.
    #[error("r or s of the signature is not below the order of secp256k1")]
    Range,
    /// v is another than 27 and 28.
    #[error("v of the signature is {0}, expected 27 or 28")]
    V(u8),
    /// The recovery id is another than 0 and 1.
    #[error("the recovery id is {0}, which `rsv` cannot express; expected 0 or 1")]
    RecoveryId(u8),
    /// s is in the upper half.
    #[error(
        "s of the signature is above half the order of secp256k1, which Ethereum refuses (EIP-2)"
    )]
    HighS,
}

impl EcdsaSignature {
    /// Reads r‖s.
    ///
    /// # Errors
    /// When it is not 64 bytes long, or r or s is zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let wrong = SignatureError::Length { expected: 64, found: bytes.len() };
        let bytes: [u8; 64] = bytes.try_into().map_err(|_| wrong)?;
        let (r, s) = bytes.split_at(32);
        let is_zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
        if is_zero(r) || is_zero(s) { Err(SignatureError::Zero) } else { Ok(Self(bytes)) }
    }

    /// Reads DER, strictly: minimal lengths and integers, nothing after it.
    ///
    /// # Errors
    /// When it is anything else, or r or s is zero or longer than 32 bytes.
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        let (r, s) = integers(der).map_err(|_| SignatureError::Der)?;
        let mut bytes = [0; 64];
        let (left, right) = bytes.split_at_mut(32);
        put(left, r)?;
        put(right, s)?;
        Self::from_bytes(&bytes)
    }

    /// Reads Ethereum's r‖s‖v, 65 bytes, v 27 or 28. Returns the recovery id, 0 or 1, with it.
    ///
    /// # Errors
    /// When length or v are others, r or s is zero, or s is above half the order.
    pub fn from_rsv(rsv: &[u8]) -> Result<(Self, u8), SignatureError> {
        let wrong = SignatureError::Length { expected: 65, found: rsv.len() };
        let rsv: &[u8; 65] = rsv.try_into().map_err(|_| wrong)?;
        let [rs @ .., v] = rsv;
        let signature = Self::from_bytes(rs)?;
        let recovery_id = match v {
            27 => 0,
            28 => 1,
            other => return Err(SignatureError::V(*other)),
        };
        if signature.is_low_s()? {
            Ok((signature, recovery_id))
        } else {
            Err(SignatureError::HighS)
        }
    }

    /// r‖s.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// DER, 8 to 72 bytes.
    ///
    /// # Panics
    /// Never: DER holds two integers of 32 bytes.
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = self.0.split_at(32);
        let encode = || {
            let body = [UintRef::new(r)?.to_der()?, UintRef::new(s)?.to_der()?].concat();
            AnyRef::new(Tag::Sequence, &body)?.to_der()
        };
        encode().expect("two integers of 32 bytes fit DER")
    }

    /// Ethereum's r‖s‖v, v = 27 + `recovery_id`.
    ///
    /// # Errors
    /// When the recovery id is above 1, or s above half the order of secp256k1.
    pub fn to_rsv(&self, recovery_id: u8) -> Result<[u8; 65], SignatureError> {
        if recovery_id > 1 {
            return Err(SignatureError::RecoveryId(recovery_id));
        }
        if !self.is_low_s()? {
            return Err(SignatureError::HighS);
        }
        let mut rsv = [27 + recovery_id; 65];
        let [rs @ .., _] = &mut rsv;
        *rs = self.0;
        Ok(rsv)
    }

    /// Whether s is at most half the order of secp256k1, which Cosmos and Ethereum demand (BIP-62
    /// rule 5, EIP-2).
    ///
    /// # Errors
    /// When r or s is not below the order.
    pub fn is_low_s(&self) -> Result<bool, SignatureError> {
        let signature = self.on_secp256k1()?;
        Ok(signature.normalize_s() == signature)
    }

    /// The low-S form of a secp256k1 signature with its recovery id: of s and n - s the smaller; the
    /// lowest bit of the recovery id turns with it.
    ///
    /// # Errors
    /// When r or s is not below the order.
    pub fn to_low_s(&self, recovery_id: Option<u8>) -> Result<(Self, Option<u8>), SignatureError> {
        if self.is_low_s()? {
            return Ok((*self, recovery_id));
        }
        let low = Self(self.on_secp256k1()?.normalize_s().to_bytes().into());
        Ok((low, recovery_id.map(|id| id ^ 1)))
    }

    fn on_secp256k1(&self) -> Result<k256::ecdsa::Signature, SignatureError> {
        k256::ecdsa::Signature::from_slice(&self.0).map_err(|_| SignatureError::Range)
    }
}

fn integers(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
    let body = <&SequenceRef>::from_der(der)?.as_bytes();
    let mut reader = der::SliceReader::new(body)?;
    let both = (UintRef::decode(&mut reader)?, UintRef::decode(&mut reader)?);
    reader.finish()?;
    Ok(both)
}

/// Puts an integer at the right end of 32 zeros.
fn put(field: &mut [u8], number: UintRef<'_>) -> Result<(), SignatureError> {
    let bytes = number.as_bytes();
    let start = field.len().checked_sub(bytes.len()).ok_or(SignatureError::Der)?;
    field.get_mut(start..).unwrap_or_default().copy_from_slice(bytes);
    Ok(())
}
