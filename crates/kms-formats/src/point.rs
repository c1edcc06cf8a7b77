//! Points of the two Weierstrass curves: from and to the octet strings of SEC 1 section 2.3.
//!
//! The field arithmetic is `k256`'s and `p256`'s; nothing secret passes here.

use p256::elliptic_curve::sec1::ToSec1Point;

use crate::algorithm::Algorithm;

/// The compressed form of a point that lies on the algorithm's curve; `None` for anything else:
/// hybrid and compact forms, the point at infinity, points off the curve, other algorithms.
pub(crate) fn compress(algorithm: Algorithm, octets: &[u8]) -> Option<[u8; 33]> {
    match decode(algorithm, octets)? {
        Point::Secp256k1(key) => key.to_sec1_point(true).as_bytes().try_into().ok(),
        Point::P256(key) => key.to_sec1_point(true).as_bytes().try_into().ok(),
    }
}

/// The uncompressed form of a point, likewise.
pub(crate) fn uncompress(algorithm: Algorithm, octets: &[u8]) -> Option<[u8; 65]> {
    match decode(algorithm, octets)? {
        Point::Secp256k1(key) => key.to_sec1_point(false).as_bytes().try_into().ok(),
        Point::P256(key) => key.to_sec1_point(false).as_bytes().try_into().ok(),
    }
}

enum Point {
    Secp256k1(k256::PublicKey),
    P256(p256::PublicKey),
}

fn decode(algorithm: Algorithm, octets: &[u8]) -> Option<Point> {
    // SPEC: SEC 1 section 2.3.4: 02 or 03 and x, or 04, x and y.
    let plain = matches!((octets.first(), octets.len()), (Some(2 | 3), 33) | (Some(4), 65));
    match algorithm {
        Algorithm::Secp256k1 if plain => {
            k256::PublicKey::from_sec1_bytes(octets).ok().map(Point::Secp256k1)
        }
        Algorithm::P256 if plain => p256::PublicKey::from_sec1_bytes(octets).ok().map(Point::P256),
        Algorithm::Ed25519
        | Algorithm::Secp256k1
        | Algorithm::P256
        | Algorithm::Rsa2048
        | Algorithm::Rsa4096 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The base points: SEC 2 section 2.4.1 and 2.4.2.
    const BASE_POINTS: [(Algorithm, &str, &str); 2] = [
        (
            Algorithm::Secp256k1,
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
        ),
        (
            Algorithm::P256,
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ),
    ];

    #[test]
    fn base_points_are_compressed_and_uncompressed() {
        for (algorithm, x, y) in BASE_POINTS {
            let full = hex::decode(format!("04{x}{y}")).unwrap();
            let parity = if full[64] % 2 == 0 { "02" } else { "03" };
            let short = hex::decode(format!("{parity}{x}")).unwrap();
            assert_eq!(compress(algorithm, &full).unwrap()[..], short);
            assert_eq!(compress(algorithm, &short).unwrap()[..], short);
            assert_eq!(uncompress(algorithm, &short).unwrap()[..], full);
            assert_eq!(uncompress(algorithm, &full).unwrap()[..], full);
        }
    }

    #[test]
    fn points_off_the_curve_and_other_forms_are_refused() {
        for (algorithm, x, y) in BASE_POINTS {
            let full = hex::decode(format!("04{x}{y}")).unwrap();
            let mut off = full.clone();
            off[64] ^= 1;
            assert_eq!(compress(algorithm, &off), None, "off the curve");
            let hybrid = [&[6 + (full[64] & 1)], &full[1..]].concat();
            assert_eq!(compress(algorithm, &hybrid), None, "hybrid");
            assert_eq!(compress(algorithm, &[&[5], &full[1..33]].concat()), None, "compact");
            assert_eq!(compress(algorithm, &[0]), None, "infinity");
            assert_eq!(compress(algorithm, &[&[2], &[0xff; 32][..]].concat()), None, "x >= p");
            assert_eq!(compress(algorithm, &full[..64]), None, "short");
            assert_eq!(compress(algorithm, &[]), None, "nothing");
            assert_eq!(compress(Algorithm::Ed25519, &full), None, "another algorithm");
        }
        let (_, x, y) = BASE_POINTS[0];
        let koblitz = hex::decode(format!("04{x}{y}")).unwrap();
        assert_eq!(compress(Algorithm::P256, &koblitz), None, "another curve");
    }
}
