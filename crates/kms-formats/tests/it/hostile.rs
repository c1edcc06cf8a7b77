//! Bytes and texts from nowhere: no parser panics, and what is written is read back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms_formats::address::Address;
use kms_formats::address::AddressKind;
use kms_formats::address::EthereumAddress;
use kms_formats::address::Prefix;
use kms_formats::algorithm::Algorithm;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::public::PublicKey;
use kms_formats::signature::EcdsaSignature;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

use crate::fixture;

const FORMATS: [PrivateFormat; 3] =
    [PrivateFormat::Pkcs8, PrivateFormat::Raw, PrivateFormat::Privval];

/// Gives a file to every parser of files; each of them may refuse it only.
fn read_as_everything(file: &[u8]) {
    for hint in Algorithm::ALL.map(Some).into_iter().chain([None]) {
        for format in FORMATS {
            if let Ok(parsed) = PrivateKey::parse(file, format, hint) {
                assert!(hint.is_none_or(|hint| hint == parsed.key.algorithm));
            }
        }
    }
    for algorithm in Algorithm::ALL {
        if let Ok(key) = PublicKey::validated(algorithm, file) {
            assert_eq!(key.algorithm(), algorithm);
        }
    }
    if let Ok(key) = PublicKey::from_spki(file) {
        assert_eq!(PublicKey::from_spki(&key.to_spki_der().unwrap()), Ok(key));
    }
    if let Ok(signature) = EcdsaSignature::from_der(file) {
        assert_eq!(signature.to_der(), file);
    }
    if let Ok((signature, id)) = EcdsaSignature::from_rsv(file) {
        assert_eq!(signature.to_rsv(id).unwrap(), file);
    }
}

/// Nesting of DER elements, most of them in types that keys are made of.
fn der_like() -> impl Strategy<Value = Vec<u8>> {
    let tag = select(vec![0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0xa0, 0xa1, 0x81]);
    let leaf = (tag.clone(), vec(any::<u8>(), 0..40)).prop_map(element);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        (tag.clone(), vec(inner, 1..6).prop_map(|parts| parts.concat())).prop_map(element)
    })
}

fn element((tag, contents): (u8, Vec<u8>)) -> Vec<u8> {
    let [.., high, low] = contents.len().to_be_bytes();
    let length = match contents.len() {
        0..0x80 => vec![low],
        0x80..0x100 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [vec![tag], length, contents].concat()
}

/// One of the files that are read, as it is kept in `testdata`.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let private = fixture::private_files().into_iter().map(|(_, name)| name);
    let public = Algorithm::ALL.map(|algorithm| format!("openssl/{algorithm}.spki.der"));
    let json = ["cometbft/ed25519.json", "cometbft/secp256k1.json"].map(String::from);
    let signature = [String::from("openssl/p256.signature.der")];
    let names = private.chain(public).chain(json).chain(signature);
    select(names.collect::<Vec<_>>()).prop_map(|name| fixture::bytes(&name))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_panic_no_parser(file in vec(any::<u8>(), 0..600)) {
        read_as_everything(&file);
        prop_assert!(fixture::parse(&file).is_err());
        prop_assert!(PublicKey::from_spki(&file).is_err());
    }

    #[test]
    fn random_der_panics_no_parser(file in der_like(), label in select(vec![
        "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "EC PARAMETERS",
    ])) {
        read_as_everything(&file);
        let body = STANDARD.encode(&file);
        let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        read_as_everything(pem.as_bytes());
    }

    #[test]
    fn files_put_together_from_parts_panic_no_parser(
        one in any_file(),
        other in any_file(),
        cuts in any::<[Index; 4]>(),
    ) {
        let [start, end, from, to] = cuts;
        let (start, end) = (start.index(one.len() + 1), end.index(one.len() + 1));
        let (from, to) = (from.index(other.len() + 1), to.index(other.len() + 1));
        let middle = &other[from.min(to)..from.max(to)];
        read_as_everything(&[&one[..start], middle, &one[end..]].concat());
    }

    #[test]
    fn random_json_panics_no_parser(text in "[\\[\\]{}:,\"a-z0-9 .\\-]{0,200}") {
        read_as_everything(text.as_bytes());
        prop_assert!(PrivateKey::parse(text.as_bytes(), PrivateFormat::Privval, None).is_err());
    }

    #[test]
    fn random_pem_panics_no_parser(
        text in "(-----(BEGIN|END) [A-Z ]{0,20}-----\r?\n|[A-Za-z0-9+/=]{0,64}\n|\\PC{0,20}){0,8}",
    ) {
        read_as_everything(text.as_bytes());
    }

    #[test]
    fn random_text_is_no_address(text in "\\PC{0,100}", digits in "(0x)?[0-9a-fA-F]{38,42}") {
        prop_assert!(Address::from_bech32(&text, &Prefix::default(), AddressKind::Account).is_err());
        for text in [text, digits] {
            if let Ok(address) = text.parse::<EthereumAddress>() {
                prop_assert_eq!(address.to_string().to_lowercase(), text.to_lowercase());
            }
            if let Ok(address) = Address::from_hex(&text) {
                prop_assert_eq!(address.to_hex(), text.to_uppercase());
            }
        }
    }

    #[test]
    fn addresses_are_read_back(bytes: [u8; 20], prefix in "[a-z][a-z0-9]{0,19}") {
        let prefix: Prefix = prefix.parse().unwrap();
        for kind in [AddressKind::Account, AddressKind::Operator, AddressKind::Consensus] {
            let text = Address(bytes).to_bech32(&prefix, kind);
            prop_assert_eq!(Address::from_bech32(&text, &prefix, kind), Ok(Address(bytes)));
        }
        prop_assert_eq!(Address::from_hex(&Address(bytes).to_hex()), Ok(Address(bytes)));
        let ethereum = EthereumAddress(bytes);
        prop_assert_eq!(ethereum.to_string().parse(), Ok(ethereum));
    }

    #[test]
    fn signatures_are_read_back(bytes in vec(any::<u8>(), 64), zeros in 0..40_usize) {
        let mut bytes = bytes;
        bytes[..zeros.min(31)].fill(0);
        bytes[31] |= 1;
        bytes[63] |= 1;
        let signature = EcdsaSignature::from_bytes(&bytes).unwrap();
        prop_assert_eq!(EcdsaSignature::from_der(&signature.to_der()), Ok(signature));
        let (low, id) = signature.to_low_s(Some(0)).unwrap();
        let id = id.unwrap();
        prop_assert_eq!(EcdsaSignature::from_rsv(&low.to_rsv(id).unwrap()), Ok((low, id)));
    }

    #[test]
    fn keys_of_any_bytes_are_written_and_read_back(bytes: [u8; 32]) {
        for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::P256] {
            let raw = PrivateKey::parse(&bytes, PrivateFormat::Raw, Some(algorithm)).unwrap();
            let der = raw.key.to_pkcs8_der();
            let again = fixture::parse(der.expose()).unwrap();
            prop_assert_eq!(again.key.algorithm, algorithm);
            prop_assert_eq!(again.key.bytes.expose(), &bytes[..]);
            prop_assert_eq!(again.claimed_public, None);
        }
    }

    #[test]
    fn public_keys_of_any_scalar_are_written_and_read_back(bytes: [u8; 32]) {
        let secp256k1 = k256::SecretKey::from_slice(&bytes).unwrap().public_key().to_sec1_bytes();
        let p256 = p256::SecretKey::from_slice(&bytes).unwrap().public_key().to_sec1_bytes();
        for (algorithm, point) in [(Algorithm::Secp256k1, secp256k1), (Algorithm::P256, p256)] {
            let key = PublicKey::validated(algorithm, &point).unwrap();
            let der = key.to_spki_der().unwrap();
            prop_assert_eq!(PublicKey::from_spki(&der).unwrap(), key.clone());
            let pem = key.to_spki_pem().unwrap();
            prop_assert_eq!(PublicKey::from_spki(pem.as_bytes()).unwrap(), key.clone());
            let json = serde_json::to_string(&key).unwrap();
            prop_assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
        }
    }
}
