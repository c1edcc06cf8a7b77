//! The key files OpenSSL writes: PKCS#8, SEC 1 and PKCS#1, in PEM and DER, told apart by themselves.
//!
//! `openssl genpkey -outform DER` and `openssl ec` write the older forms for curves and RSA, so all
//! three are taken under one name. The DER is read in place; only the key itself is copied out, into
//! [`SecretBytes`](kms_secret::SecretBytes).

use der::Decode;
use der::SliceReader;
use der::Tag;
use der::asn1::AnyRef;
use der::asn1::ObjectIdentifier;
use der::asn1::OctetStringRef;
use der::asn1::SequenceRef;
use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use sec1::EcPrivateKey;

use crate::algorithm::Algorithm;
use crate::identifier;
use crate::identifier::Kind;
use crate::pem;
use crate::pem::Block;
use crate::private::ParsedPrivateKey;
use crate::private::PrivateKey;
use crate::private::PrivateKeyError;
use crate::private::encode;
use crate::private::scalar;
use crate::public::PublicKey;
use crate::rsa;
use crate::rsa::UnsupportedRsa;

const PKCS8: PrivateKeyError = PrivateKeyError::Malformed("PKCS#8 PrivateKeyInfo (RFC 5958)");
const SEC1: PrivateKeyError = PrivateKeyError::Malformed("ECPrivateKey (RFC 5915)");
const PKCS1: PrivateKeyError = PrivateKeyError::Malformed("RSAPrivateKey (RFC 8017)");

/// Which structure a file holds.
#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Sec1,
    Pkcs1,
}

/// Reads a key file; `hint` is needed for SEC 1 without the name of its curve only.
pub(crate) fn parse(
    file: &[u8],
    hint: Option<Algorithm>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    // A file that is one whole DER SEQUENCE is never PEM, whatever text it may carry inside.
    if <&SequenceRef>::from_der(file).is_ok() {
        return read(form(file)?, file, hint);
    }
    let blocks = pem::read(file)?.ok_or(PrivateKeyError::Unrecognised)?;
    match blocks.as_slice() {
        [block] => read_block(block, hint),
        // `openssl ecparam -genkey` writes the curve's name in a block of its own before the key.
        [parameters, block]
            if parameters.label == "EC PARAMETERS" && block.label == "EC PRIVATE KEY" =>
        {
            let curve = ObjectIdentifier::from_der(parameters.decode()?.expose());
            let curve = curve.map_err(|_| identifier::UnsupportedKind::CurveNotNamed)?;
            let curve = identifier::curve(curve)?;
            let parsed = read_block(block, Some(curve))?;
            same_curve(curve, parsed.key.algorithm)?;
            Ok(parsed)
        }
        several => Err(PrivateKeyError::Blocks(several.len())),
    }
}

fn read_block(
    block: &Block<'_>,
    hint: Option<Algorithm>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let form = match block.label {
        "ENCRYPTED PRIVATE KEY" => return Err(PrivateKeyError::Encrypted),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(PrivateKeyError::Public),
        "PRIVATE KEY" => Form::Pkcs8,
        "EC PRIVATE KEY" => Form::Sec1,
        "RSA PRIVATE KEY" => Form::Pkcs1,
        other => return Err(PrivateKeyError::Label(other.into())),
    };
    if block.is_encrypted() {
        return Err(PrivateKeyError::Encrypted);
    }
    read(form, block.decode()?.expose(), hint)
}

fn read(
    form: Form,
    der: &[u8],
    hint: Option<Algorithm>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    match form {
        Form::Pkcs8 => read_pkcs8(der),
        Form::Sec1 => read_sec1(der, hint),
        Form::Pkcs1 => read_pkcs1(der, None),
    }
}

/// Tells the structures apart by the first two fields of their SEQUENCE.
fn form(der: &[u8]) -> Result<Form, PrivateKeyError> {
    match first_tags(der).map_err(|_| PrivateKeyError::Unrecognised)? {
        (Tag::Integer, Tag::Sequence) => Ok(Form::Pkcs8),
        (Tag::Integer, Tag::OctetString) => Ok(Form::Sec1),
        (Tag::Integer, Tag::Integer) => Ok(Form::Pkcs1),
        // EncryptedPrivateKeyInfo (RFC 5958 section 3) and SubjectPublicKeyInfo.
        (Tag::Sequence, Tag::OctetString) => Err(PrivateKeyError::Encrypted),
        (Tag::Sequence, Tag::BitString) => Err(PrivateKeyError::Public),
        _ => Err(PrivateKeyError::Unrecognised),
    }
}

fn first_tags(der: &[u8]) -> der::Result<(Tag, Tag)> {
    let fields = <&SequenceRef>::from_der(der)?.as_bytes();
    let mut reader = SliceReader::new(fields)?;
    let first = AnyRef::decode(&mut reader)?.header().tag();
    let second = AnyRef::decode(&mut reader)?.header().tag();
    Ok((first, second))
}

fn read_pkcs8(der: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| PKCS8)?;
    let claimed = match info.public_key {
        Some(bits) => Some(bits.as_bytes().ok_or(PKCS8)?),
        None => None,
    };
    let key = info.private_key.as_bytes();
    match identifier::kind(&info.algorithm)? {
        Kind::Ed25519 => {
            // SPEC: RFC 8410 section 7: the key is an OCTET STRING inside the OCTET STRING.
            let seed = <&OctetStringRef>::from_der(key).map_err(|_| PKCS8)?;
            let public = public_half(Algorithm::Ed25519, claimed)?;
            scalar::take(Algorithm::Ed25519, seed.as_bytes(), public)
        }
        Kind::Curve(curve) => {
            let inner = EcPrivateKey::from_der(key).map_err(|_| SEC1)?;
            same_curve(curve, named_curve(&inner)?.unwrap_or(curve))?;
            take_ec(curve, &inner, claimed)
        }
        Kind::Rsa => read_pkcs1(key, claimed),
    }
}

fn read_sec1(der: &[u8], hint: Option<Algorithm>) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let key = EcPrivateKey::from_der(der).map_err(|_| SEC1)?;
    let hint = hint.filter(|algorithm| matches!(algorithm, Algorithm::Secp256k1 | Algorithm::P256));
    let curve = named_curve(&key)?.or(hint).ok_or(PrivateKeyError::AlgorithmNeeded)?;
    take_ec(curve, &key, None)
}

fn take_ec(
    curve: Algorithm,
    key: &EcPrivateKey<'_>,
    claimed: Option<&[u8]>,
) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let public = public_half(curve, claimed)?;
    let public = scalar::agreed(curve, public_half(curve, key.public_key)?, public)?;
    scalar::take(curve, key.private_key, public)
}

fn read_pkcs1(der: &[u8], claimed: Option<&[u8]>) -> Result<ParsedPrivateKey, PrivateKeyError> {
    let key = RsaPrivateKeyRef::from_der(der).map_err(|_| PKCS1)?;
    if key.other_prime_infos.is_some() {
        return Err(UnsupportedRsa::MultiPrime.into());
    }
    let public = key.public_key();
    let algorithm = rsa::algorithm(&public)?;
    let public = PublicKey::validated(algorithm, &rsa::write(&public)?)?;
    let public = scalar::agreed(algorithm, Some(public), public_half(algorithm, claimed)?)?;
    let bytes = encode::rsa_pkcs8(algorithm, &key).map_err(|_| PKCS1)?;
    Ok(ParsedPrivateKey { key: PrivateKey { algorithm, bytes }, claimed_public: public })
}

fn public_half(
    algorithm: Algorithm,
    bytes: Option<&[u8]>,
) -> Result<Option<PublicKey>, PrivateKeyError> {
    Ok(match bytes {
        Some(bytes) => Some(PublicKey::validated(algorithm, bytes)?),
        None => None,
    })
}

fn named_curve(key: &EcPrivateKey<'_>) -> Result<Option<Algorithm>, PrivateKeyError> {
    Ok(match key.parameters.and_then(sec1::EcParameters::named_curve) {
        Some(name) => Some(identifier::curve(name)?),
        None => None,
    })
}

fn same_curve(one: Algorithm, other: Algorithm) -> Result<(), PrivateKeyError> {
    if one == other { Ok(()) } else { Err(PrivateKeyError::Curves(one, other)) }
}

#[cfg(test)]
mod tests {
    use der::Encode;
    use der::asn1::BitStringRef;
    use sec1::EcParameters;

    use super::*;

    const SCALAR: [u8; 32] = [0x11; 32];
    const CURVES: [Algorithm; 2] = [Algorithm::Secp256k1, Algorithm::P256];

    /// The public half of [`SCALAR`] plus `more`, uncompressed.
    fn point(curve: Algorithm, more: u8) -> [u8; 65] {
        let mut scalar = SCALAR;
        scalar[31] += more;
        let octets = if curve == Algorithm::P256 {
            p256::SecretKey::from_slice(&scalar).unwrap().public_key().to_sec1_bytes()
        } else {
            k256::SecretKey::from_slice(&scalar).unwrap().public_key().to_sec1_bytes()
        };
        crate::point::uncompress(curve, &octets).unwrap()
    }

    fn sec1(curve: Option<Algorithm>, public_key: Option<&[u8]>) -> Vec<u8> {
        let name = curve.map(|curve| identifier::identifier(curve).parameters_oid().unwrap());
        let parameters = name.map(EcParameters::NamedCurve);
        EcPrivateKey { private_key: &SCALAR, parameters, public_key }.to_der().unwrap()
    }

    /// PKCS#8, version 2 where it has a public half of its own.
    fn pkcs8(algorithm: Algorithm, key: &[u8], public: Option<&[u8]>) -> Vec<u8> {
        let key = OctetStringRef::new(key).unwrap();
        let mut info = PrivateKeyInfoRef::new(identifier::identifier(algorithm), key);
        info.public_key = public.map(|bytes| BitStringRef::from_bytes(bytes).unwrap());
        info.to_der().unwrap()
    }

    #[test]
    fn sec1_that_names_no_curve_needs_the_hint() {
        let file = sec1(None, None);
        assert_eq!(parse(&file, None).unwrap_err(), PrivateKeyError::AlgorithmNeeded);
        for hint in [Algorithm::Ed25519, Algorithm::Rsa2048] {
            let error = parse(&file, Some(hint)).unwrap_err();
            assert_eq!(error, PrivateKeyError::AlgorithmNeeded, "{hint}");
        }
        for curve in CURVES {
            let parsed = parse(&file, Some(curve)).unwrap();
            assert_eq!(parsed.key.algorithm, curve);
            assert_eq!(parsed.key.bytes.expose(), SCALAR);
        }
    }

    #[test]
    fn sec1_that_names_its_curve_is_not_swayed_by_the_hint() {
        for (curve, hint) in [(CURVES[0], CURVES[1]), (CURVES[1], CURVES[0])] {
            let parsed = parse(&sec1(Some(curve), None), Some(hint)).unwrap();
            assert_eq!(parsed.key.algorithm, curve);
        }
    }

    #[test]
    fn curve_inside_pkcs8_must_be_the_outer_one() {
        for (outer, inner) in [(CURVES[0], CURVES[1]), (CURVES[1], CURVES[0])] {
            let file = pkcs8(outer, &sec1(Some(inner), None), None);
            assert_eq!(parse(&file, None).unwrap_err(), PrivateKeyError::Curves(outer, inner));
            let file = pkcs8(outer, &sec1(Some(outer), None), None);
            assert_eq!(parse(&file, None).unwrap().key.algorithm, outer);
        }
    }

    #[test]
    fn two_public_halves_must_agree() {
        for curve in CURVES {
            let (own, other) = (point(curve, 0), point(curve, 1));
            let inner = sec1(None, Some(&own));
            let parsed = parse(&pkcs8(curve, &inner, Some(&own)), None).unwrap();
            let claimed = parsed.claimed_public.unwrap();
            assert_eq!(claimed, PublicKey::validated(curve, &own).unwrap());
            let error = parse(&pkcs8(curve, &inner, Some(&other)), None).unwrap_err();
            assert_eq!(error, PrivateKeyError::OtherPublic(curve));
        }
    }

    #[test]
    fn public_half_of_pkcs8_alone_is_claimed() {
        for curve in CURVES {
            let own = point(curve, 0);
            let parsed = parse(&pkcs8(curve, &sec1(None, None), Some(&own)), None).unwrap();
            let claimed = parsed.claimed_public.unwrap();
            assert_eq!(claimed, PublicKey::validated(curve, &own).unwrap());
        }
    }

    #[test]
    fn rsa_public_half_of_pkcs8_must_be_the_keys_own() {
        let inner = include_bytes!("../../testdata/openssl/rsa2048.pkcs1.der");
        let own = read_pkcs1(inner, None).unwrap().claimed_public.unwrap();
        let claiming = |public| parse(&pkcs8(Algorithm::Rsa2048, inner, Some(public)), None);
        let parsed = claiming(own.as_bytes()).unwrap();
        assert_eq!(parsed.claimed_public.as_ref(), Some(&own));
        let mut other = own.as_bytes().to_vec();
        other[100] ^= 1;
        let error = PrivateKeyError::OtherPublic(Algorithm::Rsa2048);
        assert_eq!(claiming(&other).unwrap_err(), error);
    }

    #[test]
    fn public_half_off_the_curve_is_refused() {
        for curve in CURVES {
            let mut off = point(curve, 0);
            off[64] ^= 1;
            let error = parse(&sec1(Some(curve), Some(&off)), None).unwrap_err();
            assert_eq!(
                error,
                PrivateKeyError::ClaimedPublic(crate::public::InvalidPublicKey(curve))
            );
        }
    }

    #[test]
    fn ed25519_seed_stands_in_an_octet_string_of_its_own() {
        let bare = pkcs8(Algorithm::Ed25519, &SCALAR, None);
        assert_eq!(parse(&bare, None).unwrap_err(), PKCS8);
        let short = OctetStringRef::new(&SCALAR[1..]).unwrap().to_der().unwrap();
        let error = parse(&pkcs8(Algorithm::Ed25519, &short, None), None).unwrap_err();
        let algorithm = Algorithm::Ed25519;
        assert_eq!(error, PrivateKeyError::Length { algorithm, expected: 32, found: 31 });
        let good = OctetStringRef::new(&SCALAR).unwrap().to_der().unwrap();
        let parsed = parse(&pkcs8(Algorithm::Ed25519, &good, None), None).unwrap();
        assert_eq!(parsed.key.bytes.expose(), SCALAR);
    }

    #[test]
    fn der_is_never_searched_for_pem() {
        // An OCTET STRING whose contents are a whole PEM file, in a SEQUENCE after another.
        let pem = "\n-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
        let string = OctetStringRef::new(pem.as_bytes()).unwrap().to_der().unwrap();
        let body = [&string[..], &string].concat();
        let file = AnyRef::new(Tag::Sequence, &body).unwrap().to_der().unwrap();
        assert_eq!(parse(&file, None).unwrap_err(), PrivateKeyError::Unrecognised);
    }

    #[test]
    fn text_of_other_blocks_is_refused() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAQID\n-----END {label}-----\n");
        for label in ["CERTIFICATE", "EC PARAMETERS", "DSA PRIVATE KEY"] {
            let error = parse(block(label).as_bytes(), None).unwrap_err();
            assert_eq!(error, PrivateKeyError::Label(label.into()));
        }
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let error = parse(block(label).as_bytes(), None).unwrap_err();
            assert_eq!(error, PrivateKeyError::Public);
        }
        for (label, error) in
            [("PRIVATE KEY", PKCS8), ("EC PRIVATE KEY", SEC1), ("RSA PRIVATE KEY", PKCS1)]
        {
            assert_eq!(parse(block(label).as_bytes(), None).unwrap_err(), error);
        }
        let two = [block("CERTIFICATE"), block("PRIVATE KEY")].concat();
        assert_eq!(parse(two.as_bytes(), None).unwrap_err(), PrivateKeyError::Blocks(2));
    }
}
