//! CometBFT's `priv_validator_key.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms_formats::address::Address;
use kms_formats::algorithm::Algorithm;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::private::PrivvalError;
use kms_formats::public::InvalidPublicKey;
use serde_json::json;

use crate::fixture;

const FILES: [(Algorithm, &str); 2] = [
    (Algorithm::Ed25519, "cometbft/ed25519.json"),
    (Algorithm::Secp256k1, "cometbft/secp256k1.json"),
];

fn parse(file: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    PrivateKey::parse(file, PrivateFormat::Privval, None)
}

/// The error of a file after one text in it is replaced by another.
fn replaced(name: &str, from: &str, to: &str) -> PrivateKeyError {
    let text = fixture::text(name);
    assert!(text.contains(from), "{name} has no {from}");
    parse(text.replacen(from, to, 1).as_bytes()).unwrap_err()
}

#[test]
fn files_of_both_key_types_are_read() {
    for (algorithm, name) in FILES {
        let parsed = parse(&fixture::bytes(name)).unwrap();
        assert_eq!(parsed.key.algorithm, algorithm);
        assert_eq!(parsed.key.bytes.expose(), [0x11; 32]);
        let public = parsed.claimed_public.unwrap();
        let file = fixture::json(name);
        assert_eq!(public.to_base64(), file["pub_key"]["value"]);
        let comet = public.to_comet_json().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&comet).unwrap(), file["pub_key"]);
        assert_eq!(Address::of_consensus(&public).unwrap().to_hex(), file["address"]);
    }
}

#[test]
fn file_without_spaces_and_with_unknown_fields_is_read() {
    for (_, name) in FILES {
        let mut file = fixture::json(name);
        for (field, value) in [
            ("null", json!(null)),
            ("list", json!([1, -1, 1.5, {"type": ""}])),
            ("true", json!(true)),
            ("priv_key_old", json!({"type": 1})),
        ] {
            file[field] = value;
        }
        let parsed = parse(file.to_string().as_bytes()).unwrap();
        assert_eq!(parsed.key.bytes.expose(), [0x11; 32]);
    }
}

#[test]
fn address_of_another_key_is_refused() {
    for ((_, name), address) in FILES.into_iter().zip(["10BA", "FC72"]) {
        let expected = fixture::json(name)["address"].as_str().unwrap().to_owned();
        let error = PrivvalError::Address(expected).into();
        assert_eq!(replaced(name, address, "00BA"), error);
        assert_eq!(replaced(name, address, ""), error);
    }
}

#[test]
fn address_in_small_letters_is_taken() {
    let (_, name) = FILES[0];
    let mut file = fixture::json(name);
    file["address"] = json!(file["address"].as_str().unwrap().to_lowercase());
    assert_eq!(parse(file.to_string().as_bytes()).unwrap().key.bytes.expose(), [0x11; 32]);
}

#[test]
fn duplicate_fields_are_refused() {
    for (_, name) in FILES {
        let text = fixture::text(name);
        for (from, to) in [
            ("\"address\"", "\"address\": \"\", \"address\""),
            ("\"priv_key\": {", "\"priv_key\": {}, \"priv_key\": {"),
            ("\"pub_key\": {", "\"pub_key\": 1, \"pub_key\": {"),
            ("\"type\"", "\"type\": null, \"type\""),
            ("\"value\"", "\"value\": \"AA==\", \"value\""),
            ("\"address\"", "\"other\": 1, \"other\": 1, \"address\""),
        ] {
            assert!(text.contains(from), "{from}");
            let error = parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            let is_json = matches!(error, PrivateKeyError::Privval(PrivvalError::Json { .. }));
            assert!(is_json, "{to}: {error:?}");
        }
    }
}

#[test]
fn field_written_with_an_escape_is_refused() {
    // `\u0070riv_key` is `priv_key` to other readers: a second one, unseen here.
    let (_, name) = FILES[0];
    let error = replaced(name, "\"priv_key\"", "\"\\u0070riv_key\": {}, \"priv_key\"");
    assert_eq!(error, PrivvalError::Escape.into());
}

#[test]
fn missing_fields_are_named() {
    for (_, name) in FILES {
        for (field, found) in
            [("address", "address"), ("pub_key", "pub_key"), ("priv_key", "priv_key")]
        {
            let mut file = fixture::json(name);
            file.as_object_mut().unwrap().remove(field);
            let error = parse(file.to_string().as_bytes()).unwrap_err();
            assert_eq!(error, PrivvalError::Field(found).into());
            file[field] = json!(7);
            let error = parse(file.to_string().as_bytes()).unwrap_err();
            assert!(matches!(error, PrivateKeyError::Privval(PrivvalError::Field(_))), "{error:?}");
        }
    }
}

#[test]
fn other_and_mixed_key_types_are_refused() {
    let (_, ed25519) = FILES[0];
    let error = replaced(ed25519, "PubKeyEd25519", "PubKeyBls12_381");
    assert_eq!(error, PrivvalError::KeyType("pub_key.type").into());
    let error = replaced(ed25519, "PrivKeyEd25519", "PrivKeySr25519");
    assert_eq!(error, PrivvalError::KeyType("priv_key.type").into());
    let error = replaced(ed25519, "PrivKeyEd25519", "PrivKeySecp256k1");
    let (private, public) = (Algorithm::Secp256k1, Algorithm::Ed25519);
    assert_eq!(error, PrivvalError::KeyTypes { private, public }.into());
}

#[test]
fn public_key_of_another_private_key_is_refused() {
    let (_, name) = FILES[1];
    let mut file = fixture::json(name);
    file["priv_key"]["value"] = json!(STANDARD.encode([0x22; 32]));
    let error = parse(file.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, PrivateKeyError::OtherPublic(Algorithm::Secp256k1));

    let (_, name) = FILES[0];
    let mut file = fixture::json(name);
    let other = fixture::public(Algorithm::Ed25519);
    let both = [&[0x11; 32][..], other.as_bytes()].concat();
    file["priv_key"]["value"] = json!(STANDARD.encode(both));
    let error = parse(file.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, PrivateKeyError::OtherPublic(Algorithm::Ed25519));
}

#[test]
fn private_values_of_other_lengths_are_refused() {
    for ((algorithm, name), expected) in FILES.into_iter().zip([64, 32]) {
        for found in [0, 31, 33, 63, 65] {
            let mut file = fixture::json(name);
            file["priv_key"]["value"] = json!(STANDARD.encode(vec![0x11; found]));
            let error = parse(file.to_string().as_bytes()).unwrap_err();
            assert_eq!(error, PrivateKeyError::Length { algorithm, expected, found });
        }
    }
}

#[test]
fn uncompressed_public_point_is_refused() {
    let (algorithm, name) = FILES[1];
    let public = parse(&fixture::bytes(name)).unwrap().claimed_public.unwrap();
    let mut file = fixture::json(name);
    file["pub_key"]["value"] = json!(STANDARD.encode(public.to_uncompressed_point().unwrap()));
    let error = parse(file.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, InvalidPublicKey(algorithm).into());
}

#[test]
fn base64_is_read_strictly() {
    let (_, name) = FILES[0];
    assert_eq!(replaced(name, "hzc=", "hzc"), PrivvalError::Base64("pub_key.value").into());
    assert_eq!(replaced(name, "hzc=", "hzd="), PrivvalError::Base64("pub_key.value").into());
    assert_eq!(replaced(name, "ERER", "E-ER"), PrivvalError::Base64("priv_key.value").into());
    assert_eq!(replaced(name, "ERER", " ERER"), PrivvalError::Base64("priv_key.value").into());
}

#[test]
fn text_that_is_no_json_shows_its_place_and_nothing_else() {
    let (_, name) = FILES[0];
    let error = replaced(name, "\"ERER", "ERER");
    assert_eq!(error, PrivvalError::Json { line: 9, column: 14 }.into());
    assert!(!error.to_string().contains("ERER"));
    for file in [&b""[..], b"[]x", b"{", b"{\"a\":1}{}", b"\xff"] {
        let error = parse(file).unwrap_err();
        let is_json = matches!(error, PrivateKeyError::Privval(PrivvalError::Json { .. }));
        assert!(is_json, "{file:?}: {error:?}");
    }
    for file in [&b"[]"[..], b"1", b"null", b"{}", b"\"text\""] {
        let error = PrivvalError::Field("pub_key").into();
        assert_eq!(parse(file).unwrap_err(), error, "{file:?}");
    }
}

#[test]
fn file_of_16_kibibytes_of_brackets_does_not_overflow_the_stack() {
    for open in ["[", "{\"a\":"] {
        let error = parse(open.repeat(16 * 1024 / open.len()).as_bytes()).unwrap_err();
        assert!(matches!(error, PrivateKeyError::Privval(PrivvalError::Json { .. })));
    }
}
