//! Public halves as tokens write them, which is not one way: points with and without an octet string
//! around them, curves by identifier and by name.

use kms::key::Algorithm;
use kms::key::PublicKey;
use pkcs1::RsaPublicKey;
use pkcs1::RsaPublicKeyRef;
use pkcs8::der::Encode;
use pkcs8::der::asn1::UintRef;

use crate::profile::EdwardsName;

/// 1.3.101.112 (RFC 8410).
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// PrintableString "edwards25519" (PKCS#11 3.0 section 2.3.10).
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";
/// 1.3.132.0.10 (SEC 2).
const SECP256K1_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
/// 1.2.840.10045.3.1.7 (RFC 5480).
const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Names that some tokens answer with instead.
const NAMES: &[(&[u8], Algorithm)] = &[
    (b"\x13\x07ed25519", Algorithm::Ed25519),
    (b"\x13\x07Ed25519", Algorithm::Ed25519),
    (b"\x13\x09secp256k1", Algorithm::Secp256k1),
    (b"\x13\x09secp256r1", Algorithm::P256),
    (b"\x13\x0aprime256v1", Algorithm::P256),
];

/// `CKA_EC_PARAMS` of a curve; `None` for RSA.
pub(crate) fn curve_name(algorithm: Algorithm, edwards: EdwardsName) -> Option<Vec<u8>> {
    let name = match (algorithm, edwards) {
        (Algorithm::Ed25519, EdwardsName::Printable) => ED25519_NAME,
        (Algorithm::Ed25519, EdwardsName::Oid) => ED25519_OID,
        (Algorithm::Secp256k1, _) => SECP256K1_OID,
        (Algorithm::P256, _) => P256_OID,
        (Algorithm::Rsa2048 | Algorithm::Rsa4096, _) => return None,
    };
    Some(name.to_vec())
}

/// The curve that `CKA_EC_PARAMS` names, if it is one of ours.
pub(crate) fn curve(params: &[u8]) -> Option<Algorithm> {
    match params {
        ED25519_OID | ED25519_NAME => Some(Algorithm::Ed25519),
        SECP256K1_OID => Some(Algorithm::Secp256k1),
        P256_OID => Some(Algorithm::P256),
        other => NAMES.iter().find(|(name, _)| *name == other).map(|(_, algorithm)| *algorithm),
    }
}

/// A public half from `CKA_EC_POINT`, whichever way it is written; `None` where it is no point.
pub(crate) fn of_point(algorithm: Algorithm, attribute: &[u8]) -> Option<PublicKey> {
    let inside = match attribute {
        [4, length, rest @ ..] if rest.len() == usize::from(*length) => Some(rest),
        _ => None,
    };
    let read = |bytes: &[u8]| PublicKey::validated(algorithm, bytes).ok();
    inside.and_then(read).or_else(|| read(attribute))
}

/// The values of `CKA_EC_POINT` that a public half may have, the usual one first.
pub(crate) fn points(public: &PublicKey) -> Vec<Vec<u8>> {
    let raw = match public.algorithm() {
        Algorithm::Ed25519 => public.as_bytes().to_vec(),
        Algorithm::Secp256k1 | Algorithm::P256 => match public.to_uncompressed_point() {
            Some(point) => point.to_vec(),
            None => return Vec::new(),
        },
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => return Vec::new(),
    };
    let length = u8::try_from(raw.len()).unwrap_or(u8::MAX); // 32 or 65
    vec![[&[4, length], &raw[..]].concat(), raw]
}

/// A public half from `CKA_MODULUS` and `CKA_PUBLIC_EXPONENT`; `None` for sizes that are not ours.
pub(crate) fn of_rsa(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus).ok()?,
        public_exponent: UintRef::new(exponent).ok()?,
    };
    let der = key.to_der().ok()?;
    [Algorithm::Rsa2048, Algorithm::Rsa4096]
        .into_iter()
        .find_map(|algorithm| PublicKey::validated(algorithm, &der).ok())
}

/// Modulus and exponent, big endian, of a public half; `None` where it is none of RSA.
pub(crate) fn rsa_parts(public: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = RsaPublicKeyRef::try_from(public).ok()?;
    Some((key.modulus.as_bytes().to_vec(), key.public_exponent.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p256() -> PublicKey {
        let x = hex::decode("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
        PublicKey::validated(Algorithm::P256, &[&[3], &x.unwrap()[..]].concat()).unwrap()
    }

    #[test]
    fn points_are_read_with_and_without_an_octet_string() {
        let key = p256();
        let [wrapped, raw] = points(&key).try_into().unwrap();
        assert_eq!((wrapped.len(), raw.len()), (67, 65));
        assert_eq!(of_point(Algorithm::P256, &wrapped), Some(key.clone()));
        assert_eq!(of_point(Algorithm::P256, &raw), Some(key.clone()));
        let edwards = PublicKey::validated(Algorithm::Ed25519, &[2; 32]).unwrap();
        for point in points(&edwards) {
            assert_eq!(of_point(Algorithm::Ed25519, &point), Some(edwards.clone()));
        }
        for bad in [&[][..], &[4], &[4, 65], &[4; 65], &[5; 33]] {
            assert_eq!(of_point(Algorithm::P256, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn curves_have_several_names() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256] {
            for form in [EdwardsName::Printable, EdwardsName::Oid] {
                assert_eq!(curve(&curve_name(algorithm, form).unwrap()), Some(algorithm));
            }
        }
        assert_eq!(curve(b"\x13\x0aprime256v1"), Some(Algorithm::P256));
        assert_eq!(curve(&[6, 5, 0x2b, 0x81, 4, 0, 0x22]), None, "P-384");
        assert_eq!(curve_name(Algorithm::Rsa2048, EdwardsName::Oid), None);
    }

    #[test]
    fn rsa_is_put_together_and_taken_apart() {
        let modulus = [&[0xff], &[0x11; 255][..]].concat();
        let key = of_rsa(&modulus, &[1, 0, 1]).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Rsa2048);
        assert_eq!(rsa_parts(key.as_bytes()), Some((modulus.clone(), vec![1, 0, 1])));
        let with_zero = [&[0], &modulus[..]].concat();
        assert_eq!(of_rsa(&with_zero, &[0, 1, 0, 1]), Some(key));
        assert_eq!(of_rsa(&modulus[..200], &[1, 0, 1]), None);
        assert_eq!(of_rsa(&modulus, &[3]), None);
    }
}
