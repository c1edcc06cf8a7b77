//! The files of `testdata`, whose origin is told in its `SOURCES.md`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use kms_formats::algorithm::Algorithm;
use kms_formats::private::ParsedPrivateKey;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_formats::private::PrivateKeyError;
use kms_formats::public::PublicKey;

/// The bytes of a file, named from `testdata` on.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    fs::read(testdata().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of a file.
pub(crate) fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

/// The JSON of a file.
pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// The names of a folder's files, sorted.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(testdata().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The names of OpenSSL's files that hold a private key which is taken, with its algorithm.
pub(crate) fn private_files() -> Vec<(Algorithm, String)> {
    let names = names("openssl").into_iter().filter_map(|name| {
        let (first, rest) = name.split_once('.')?;
        let is_private = ["pkcs8", "sec1", "pkcs1"].iter().any(|form| rest.starts_with(form));
        let algorithm = first.parse().ok().filter(|_| is_private)?;
        Some((algorithm, format!("openssl/{name}")))
    });
    names.collect()
}

/// Reads what OpenSSL wrote.
pub(crate) fn parse(file: &[u8]) -> Result<ParsedPrivateKey, PrivateKeyError> {
    PrivateKey::parse(file, PrivateFormat::Pkcs8, None)
}

/// The public key of OpenSSL's files of an algorithm.
pub(crate) fn public(algorithm: Algorithm) -> PublicKey {
    PublicKey::from_spki(&bytes(&format!("openssl/{algorithm}.spki.der"))).unwrap()
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}
