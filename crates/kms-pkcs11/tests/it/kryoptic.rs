//! Kryoptic: another vendor's token, which differs from SoftHSM where real ones do. `cargo xtask tools`
//! builds it from the Rust registry into `target/kryoptic`.

use std::path::PathBuf;

use kms::key::Algorithm;
use kms::storage::KeyStorage;
use kms::storage::conformance::conformance;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::PinSource;

use crate::token::Token;
use crate::token::needed;
use crate::token::write_private;

fn library() -> Option<PathBuf> {
    let built =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kryoptic/release/libkryoptic_token.so");
    needed("Kryoptic", "nothing; it comes from: cargo xtask tools", &[built])
}

fn token() -> Option<Token> {
    let library = library()?.canonicalize().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("kryoptic.conf");
    let database = dir.path().join("token.sql");
    let text =
        format!("[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    std::fs::write(&conf, text).unwrap();
    let environment = vec![("KRYOPTIC_CONF".to_owned(), conf.display().to_string())];
    let config = HsmProviderConfig { environment, ..HsmProviderConfig::new("kry", library) };
    Some(Token::initialised(dir, config))
}

#[test]
fn kryoptic_conforms() {
    let Some(token) = token() else { return };
    let storage = token.storage();
    let has = [Algorithm::Ed25519, Algorithm::P256, Algorithm::Rsa2048, Algorithm::Rsa4096];
    assert_eq!(storage.algorithms(), has);
    conformance(&storage);
}

#[test]
fn pin_of_a_token_that_locks_is_never_tried_to_the_end() {
    let Some(token) = token() else { return };
    let wrong = write_private(&token.dir.path().join("wrong"), "9999");
    let with_wrong = |risk_pin| HsmProviderConfig {
        pin: Some(PinSource::File(wrong.clone())),
        risk_pin,
        ..token.config.clone()
    };
    let attempt = |config: HsmProviderConfig| {
        let provider = kms_pkcs11::HsmProvider::new(config, crate::token::worker());
        provider.status().map(drop).map_err(|error| error.to_string())
    };
    // Each loading of the configuration tries once, until the token says that few tries are left.
    let mut refused = Vec::new();
    let stopped = loop {
        let error = attempt(with_wrong(false)).unwrap_err();
        if error.ends_with("the PIN was not tried") {
            break error;
        }
        assert!(error.contains("CKR_PIN_INCORRECT"), "{error}");
        refused.push(error);
        assert!(refused.len() < 10, "the PIN was tried until it was locked");
    };
    assert!(stopped.contains("few tries of the PIN are left"), "{stopped}");
    assert!(refused.last().unwrap().contains("few tries of the PIN are left"), "{refused:?}");
    // A person may risk more, but never the very last.
    let stopped = loop {
        let error = attempt(with_wrong(true)).unwrap_err();
        if error.ends_with("the PIN was not tried") {
            break error;
        }
        assert!(error.contains("CKR_PIN_INCORRECT"), "{error}");
        refused.push(error);
        assert!(refused.len() < 10, "the PIN was tried until it was locked");
    };
    assert!(stopped.contains("one try of the PIN is left"), "{stopped}");
    assert_eq!(refused.len(), 9, "it locks at the tenth");
    // The right PIN is not tried by itself either; the last try is a person's, with another tool.
    let right = attempt(token.config.clone()).unwrap_err();
    assert!(right.contains("one try of the PIN is left"), "{right}");
}
