//! Files cut short, too long, or with one byte changed.

use kms_formats::algorithm::Algorithm;
use kms_formats::private::PRIVATE_KEY_FILE_LIMIT;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::public::PublicKey;
use kms_formats::public::SpkiError;

use crate::caller;
use crate::fixture;

const PRIVVAL: [&str; 2] = ["cometbft/ed25519.json", "cometbft/secp256k1.json"];

type Parse<'a> = &'a dyn Fn(&[u8]) -> Result<ParsedPrivateKey, PrivateKeyError>;

fn privval(file: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    PrivateKey::parse(file, PrivateFormat::Privval, None)
}

/// The files of an algorithm, without the standards' own.
fn files(algorithm: Algorithm) -> impl Iterator<Item = String> {
    let files = fixture::private_files().into_iter();
    files.filter(move |(found, _)| *found == algorithm).map(|(_, name)| name)
}

/// Changes each byte that `places` names in each of eight bits, and all of them at once.
fn mutations(file: &[u8], places: impl Iterator<Item = usize>) -> impl Iterator<Item = Vec<u8>> {
    let changes = (0..8).map(|bit| 1 << bit).chain([0xff]);
    places.flat_map(move |place| changes.clone().map(move |change: u8| (place, change))).map(
        |(place, change)| {
            let mut changed = file.to_vec();
            changed[place] ^= change;
            changed
        },
    )
}

/// A changed file that carries a public half gives the key it gave before, or none that the caller
/// takes; one without gives no key under the first one's public half.
fn assert_change_is_noticed(original: &ParsedPrivateKey, changed: ParsedPrivateKey, what: &str) {
    if changed.key.bytes == original.key.bytes && changed.claimed_public == original.claimed_public
    {
        assert_eq!(changed.key.algorithm, original.key.algorithm, "{what}");
        return;
    }
    if original.claimed_public.is_none() {
        let public = fixture::public(original.key.algorithm);
        assert_ne!(changed.claimed_public, Some(public), "{what}");
        return;
    }
    if let Some(key) = caller::accepted(changed) {
        assert_eq!(key.algorithm, original.key.algorithm, "{what}");
        assert_eq!(key.bytes, original.key.bytes, "{what}");
    }
}

fn assert_changes_are_noticed(name: &str, parse: Parse<'_>, step: usize) {
    let file = fixture::bytes(name);
    let original = parse(&file).unwrap();
    for (index, changed) in mutations(&file, (0..file.len()).step_by(step)).enumerate() {
        if let Ok(parsed) = parse(&changed) {
            let what = format!("{name}, byte {}, change {}", index / 9 * step, index % 9);
            assert_change_is_noticed(&original, parsed, &what);
        }
    }
}

#[test]
fn caller_takes_every_file_as_it_is() {
    for (_, name) in fixture::private_files() {
        let parsed = fixture::parse(&fixture::bytes(&name)).unwrap();
        assert!(caller::accepted(parsed).is_some(), "{name}");
    }
    for name in PRIVVAL {
        assert!(caller::accepted(privval(&fixture::bytes(name)).unwrap()).is_some(), "{name}");
    }
}

#[test]
fn changed_byte_of_an_ed25519_file_is_noticed() {
    for name in files(Algorithm::Ed25519) {
        assert_changes_are_noticed(&name, &fixture::parse, 1);
    }
    assert_changes_are_noticed("rfc8410/ed25519.pkcs8-v1.pem", &fixture::parse, 1);
    assert_changes_are_noticed("rfc8410/ed25519.pkcs8-v2.pem", &fixture::parse, 1);
}

#[test]
fn changed_byte_of_a_secp256k1_file_is_noticed() {
    for name in files(Algorithm::Secp256k1) {
        assert_changes_are_noticed(&name, &fixture::parse, 1);
    }
}

#[test]
fn changed_byte_of_a_p256_file_is_noticed() {
    for name in files(Algorithm::P256) {
        assert_changes_are_noticed(&name, &fixture::parse, 1);
    }
}

#[test]
fn changed_byte_of_an_rsa_file_is_noticed() {
    for (algorithm, step) in [(Algorithm::Rsa2048, 17), (Algorithm::Rsa4096, 101)] {
        for name in files(algorithm) {
            assert_changes_are_noticed(&name, &fixture::parse, step);
        }
    }
}

#[test]
fn changed_byte_of_a_privval_file_is_noticed() {
    for name in PRIVVAL {
        assert_changes_are_noticed(name, &privval, 1);
    }
}

#[test]
fn changed_secp256k1_key_is_refused_by_the_parser_itself() {
    let file = fixture::bytes("openssl/secp256k1.sec1.der");
    let key = fixture::parse(&file).unwrap().key;
    let start = file.windows(32).position(|part| part == key.bytes.expose()).unwrap();
    for changed in mutations(&file, start + 1..start + 32) {
        let error = PrivateKeyError::OtherPublic(Algorithm::Secp256k1);
        assert_eq!(fixture::parse(&changed).unwrap_err(), error);
    }
}

#[test]
fn changed_byte_of_a_public_key_in_der_is_another_key_or_none() {
    for (algorithm, step) in Algorithm::ALL.into_iter().zip([1, 1, 1, 1, 3]) {
        let key = fixture::public(algorithm);
        let file = fixture::bytes(&format!("openssl/{algorithm}.spki.der"));
        for changed in mutations(&file, (0..file.len()).step_by(step)) {
            let read = PublicKey::from_spki(&changed);
            assert_ne!(read.as_ref(), Ok(&key), "{algorithm}");
            if let Ok(read) = read {
                assert_eq!(read.to_spki_der().unwrap(), changed, "{algorithm}");
            }
        }
    }
}

/// The length of a PEM file up to which cutting leaves something out; DER and JSON have no such end.
fn needed(file: &[u8]) -> usize {
    if file.starts_with(b"-----") || file.starts_with(b"Private-Key") || file.starts_with(b"{") {
        file.trim_ascii_end().len()
    } else {
        file.len()
    }
}

#[test]
fn file_cut_short_is_refused() {
    let openssl = fixture::private_files().into_iter().map(|(algorithm, name)| {
        let step = if algorithm.is_rsa() { 7 } else { 1 };
        (name, step, &fixture::parse as Parse<'_>)
    });
    let comet = PRIVVAL.map(|name| (name.to_owned(), 1, &privval as Parse<'_>));
    let rfc = ("rfc8410/ed25519.pkcs8-v2.pem".to_owned(), 1, &fixture::parse as Parse<'_>);
    for (name, step, parse) in openssl.chain(comet).chain([rfc]) {
        let file = fixture::bytes(&name);
        for length in (0..needed(&file)).rev().step_by(step) {
            assert!(parse(&file[..length]).is_err(), "{name} cut to {length}");
        }
        assert!(parse(&file[..needed(&file)]).is_ok(), "{name}");
    }
}

#[test]
fn public_key_file_cut_short_is_refused() {
    for name in fixture::names("openssl").iter().filter(|name| name.contains(".spki")) {
        let file = fixture::bytes(&format!("openssl/{name}"));
        for length in 0..needed(&file) {
            assert!(PublicKey::from_spki(&file[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn der_with_a_byte_after_it_is_refused() {
    for (_, name) in fixture::private_files() {
        let file = fixture::bytes(&name);
        for byte in [0, b'\n', 0x30].into_iter().filter(|_| name.ends_with(".der")) {
            let error = fixture::parse(&[&file[..], &[byte]].concat()).unwrap_err();
            assert_eq!(error, PrivateKeyError::Unrecognised, "{name}");
        }
    }
}

/// The file with as many line ends after it as make it so long.
fn padded(name: &str, length: usize) -> Vec<u8> {
    let mut file = fixture::bytes(name);
    file.resize(length, b'\n');
    file
}

#[test]
fn private_key_files_over_16_kibibytes_are_refused() {
    assert_eq!(PRIVATE_KEY_FILE_LIMIT, 16_384);
    for (name, format) in [
        ("openssl/p256.pkcs8.pem", PrivateFormat::Pkcs8),
        ("openssl/rsa4096.pkcs1.pem", PrivateFormat::Pkcs8),
        (PRIVVAL[0], PrivateFormat::Privval),
    ] {
        assert!(PrivateKey::parse(&padded(name, 16_384), format, None).is_ok(), "{name}");
        let error = PrivateKey::parse(&padded(name, 16_385), format, None).unwrap_err();
        assert_eq!(error, PrivateKeyError::TooLong(16_385), "{name}");
    }
    let raw = |length| {
        let hint = Some(Algorithm::Ed25519);
        PrivateKey::parse(&vec![b'a'; length], PrivateFormat::Raw, hint).unwrap_err()
    };
    assert_eq!(raw(16_384), PrivateKeyError::RawLength(16_384));
    assert_eq!(raw(16_385), PrivateKeyError::TooLong(16_385));
}

#[test]
fn public_key_files_over_16_kibibytes_are_refused() {
    let name = "openssl/p256.spki.pem";
    let key = fixture::public(Algorithm::P256);
    assert_eq!(PublicKey::from_spki(&padded(name, 16_384)), Ok(key));
    assert_eq!(PublicKey::from_spki(&padded(name, 16_385)), Err(SpkiError::TooLong(16_385)));
}
