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
