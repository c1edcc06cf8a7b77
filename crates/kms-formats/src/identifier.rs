//! What kind of key a DER structure says it holds: its AlgorithmIdentifier (RFC 5280 section 4.1.1.2).

use der::asn1::AnyRef;
use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierRef;

use crate::algorithm::Algorithm;

/// RFC 8410 section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 section 2.1.1.1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// SEC 2 appendix A.2.
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
/// RFC 8017 appendix A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A kind of key this product has no use for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedKind {
    /// Another algorithm.
    #[error("key type {0} is not supported; ed25519, secp256k1, p256, rsa2048 and rsa4096 are")]
    Algorithm(String),
    /// Another elliptic curve.
    #[error("elliptic curve {0} is not supported; secp256k1 and p256 are")]
    Curve(String),
    /// A curve spelled out by its parameters instead of its name (RFC 5480 section 2.1.1).
    #[error(
        "the elliptic curve is not given by name; convert with `openssl ec -param_enc named_curve`"
    )]
    CurveNotNamed,
    /// Parameters that the algorithm does not have, or none where it has them.
    #[error("the algorithm identifier's parameters do not fit {0}")]
    Parameters(&'static str),
}

/// A kind of key: RSA's two algorithms tell themselves apart by the modulus only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    Curve(Algorithm),
    Rsa,
}

/// Reads the kind of key from an algorithm identifier.
///
/// # Errors
/// When this product has no use for it.
pub(crate) fn kind(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Kind, UnsupportedKind> {
    let parameters = identifier.parameters;
    match identifier.oid {
        // SPEC: RFC 8410 section 3: "the parameters MUST be absent".
        ED25519 if parameters.is_none() => Ok(Kind::Ed25519),
        ED25519 => Err(UnsupportedKind::Parameters("ed25519")),
        // SPEC: RFC 8017 appendix A.1: "the parameters field … shall have a value of type NULL".
        RSA if parameters.is_some_and(AnyRef::is_null) => Ok(Kind::Rsa),
        RSA => Err(UnsupportedKind::Parameters("RSA")),
        EC_PUBLIC_KEY => named_curve(parameters).map(Kind::Curve),
        other => Err(UnsupportedKind::Algorithm(described(&other))),
    }
}

/// The algorithm of a named curve.
///
/// # Errors
/// When the curve is another than secp256k1 and P-256.
pub(crate) fn curve(name: ObjectIdentifier) -> Result<Algorithm, UnsupportedKind> {
    match name {
        P256 => Ok(Algorithm::P256),
        SECP256K1 => Ok(Algorithm::Secp256k1),
        other => Err(UnsupportedKind::Curve(described(&other))),
    }
}

/// The algorithm identifier that key files carry for an algorithm.
pub(crate) fn identifier(algorithm: Algorithm) -> AlgorithmIdentifierRef<'static> {
    match algorithm {
        Algorithm::Ed25519 => AlgorithmIdentifierRef { oid: ED25519, parameters: None },
        Algorithm::Secp256k1 => on_curve(&SECP256K1),
        Algorithm::P256 => on_curve(&P256),
        Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) }
        }
    }
}

fn on_curve(name: &'static ObjectIdentifier) -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(name.into()) }
}

fn named_curve(parameters: Option<AnyRef<'_>>) -> Result<Algorithm, UnsupportedKind> {
    let parameters = parameters.ok_or(UnsupportedKind::Parameters("an elliptic curve"))?;
    curve(parameters.decode_as().map_err(|_| UnsupportedKind::CurveNotNamed)?)
}

/// The identifier with the name people know it by, where it is one they are likely to meet.
fn described(oid: &ObjectIdentifier) -> String {
    let mut text = oid.to_string();
    let name = match text.as_str() {
        "1.2.840.113549.1.1.10" => " (RSASSA-PSS)",
        "1.2.840.10040.4.1" => " (DSA)",
        "1.3.101.110" => " (X25519)",
        "1.3.101.113" => " (Ed448)",
        "1.3.132.0.34" => " (P-384)",
        "1.3.132.0.35" => " (P-521)",
        _ => "",
    };
    text.push_str(name);
    text
}

#[cfg(test)]
mod tests {
    use der::Tag;

    use super::*;

    fn with(
        oid: ObjectIdentifier,
        parameters: Option<AnyRef<'static>>,
    ) -> Result<Kind, UnsupportedKind> {
        kind(&AlgorithmIdentifierRef { oid, parameters })
    }

    #[test]
    fn every_algorithm_is_known_by_the_identifier_it_is_written_with() {
        let kinds = Algorithm::ALL.map(|algorithm| kind(&identifier(algorithm)).unwrap());
        let curves = [Algorithm::Secp256k1, Algorithm::P256].map(Kind::Curve);
        assert_eq!(kinds, [Kind::Ed25519, curves[0], curves[1], Kind::Rsa, Kind::Rsa]);
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused() {
        let null = Some(AnyRef::NULL);
        let ed25519 = Err(UnsupportedKind::Parameters("ed25519"));
        assert_eq!(with(ED25519, null), ed25519);
        assert_eq!(with(ED25519, Some((&P256).into())), ed25519);
        let rsa = Err(UnsupportedKind::Parameters("RSA"));
        assert_eq!(with(RSA, None), rsa);
        assert_eq!(with(RSA, Some((&P256).into())), rsa);
        let curve = Err(UnsupportedKind::Parameters("an elliptic curve"));
        assert_eq!(with(EC_PUBLIC_KEY, None), curve);
        assert_eq!(with(EC_PUBLIC_KEY, null), Err(UnsupportedKind::CurveNotNamed));
        let spelled_out = AnyRef::new(Tag::Sequence, &[]).unwrap();
        assert_eq!(with(EC_PUBLIC_KEY, Some(spelled_out)), Err(UnsupportedKind::CurveNotNamed));
    }

    #[test]
    fn unknown_kinds_are_shown_by_number_and_known_ones_also_by_name() {
        let unknown = ObjectIdentifier::new_unwrap("1.2.3.4");
        let shown = |oid| with(oid, None).unwrap_err().to_string();
        assert!(shown(unknown).starts_with("key type 1.2.3.4 is not supported"));
        let dsa = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
        assert!(shown(dsa).starts_with("key type 1.2.840.10040.4.1 (DSA) is not supported"));
        let error = curve(ObjectIdentifier::new_unwrap("1.3.132.0.35")).unwrap_err();
        assert_eq!(error, UnsupportedKind::Curve("1.3.132.0.35 (P-521)".into()));
    }
}
