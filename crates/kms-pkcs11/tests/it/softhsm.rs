//! SoftHSM 2, from its Debian package.

use std::path::Path;
use std::path::PathBuf;

use kms::key::Algorithm;
use kms::key::Scheme;
use kms::storage::conformance::conformance;
use kms_pkcs11::HsmProviderConfig;

use crate::token::Token;
use crate::token::needed;

/// Where the library is.
pub(crate) fn library() -> Option<PathBuf> {
    let paths =
        ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    needed("SoftHSM 2", "softhsm2", &paths)
}

/// A configuration with a directory of tokens of its own.
pub(crate) fn settings(dir: &Path) -> (String, String) {
    let tokens = dir.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    let conf = dir.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n\
         slots.removable = false\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    ("SOFTHSM2_CONF".to_owned(), conf.display().to_string())
}

/// A token of its own.
pub(crate) fn token() -> Option<Token> {
    let library = library()?;
    let dir = tempfile::tempdir().unwrap();
    let environment = vec![settings(dir.path())];
    let config = HsmProviderConfig { environment, ..HsmProviderConfig::new("soft", library) };
    Some(Token::initialised(dir, config))
}

#[test]
fn softhsm_conforms() {
    let Some(token) = token() else { return };
    let storage = token.storage();
    assert_eq!(kms::storage::KeyStorage::algorithms(&storage), Algorithm::ALL);
    conformance(&storage);
}

#[test]
fn provider_has_the_methods_of_the_specification() {
    let Some(token) = token() else { return };
    let provider = token.provider();
    let key = provider.generate_key("validator-key", Algorithm::Ed25519).unwrap();
    let again = provider.generate_key("validator-key", Algorithm::P256).unwrap_err();
    assert_eq!(again.to_string(), "a private key `validator-key` is on the token already");
    let message = (&b"transaction data"[..], Scheme::default());
    let signature = provider.sign(&key, message).unwrap();
    assert!(provider.verify(&key, message, &signature.bytes));
    assert!(!provider.verify(&key, (b"another", Scheme::default()), &signature.bytes));
    assert_eq!(provider.get_key("validator-key").unwrap(), key);
    assert_eq!(provider.list_keys().unwrap(), std::slice::from_ref(&key));
    assert_eq!(provider.export_public_key(&key).unwrap(), key.public_key);
    provider.delete_key("validator-key").unwrap();
    let gone = provider.sign(&key, message).unwrap_err();
    assert!(matches!(gone, kms_pkcs11::HsmError::NotFound(_)), "{gone}");
    provider.close();
}

#[test]
fn worker_ends_when_the_process_that_started_it_is_gone() {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut worker = std::process::Command::new(env!("CARGO_BIN_EXE_hsm-worker"))
        .stdin(std::os::fd::OwnedFd::from(there))
        .spawn()
        .unwrap();
    assert_eq!(worker.try_wait().unwrap(), None);
    drop(here);
    worker.wait().unwrap(); // returns, or the test never ends
}

#[test]
fn worker_started_by_a_person_does_nothing() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hsm-worker"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn documentation_has_every_profile_with_its_source() {
    let text = include_str!("../../../../docs/hsm.md");
    for profile in kms_pkcs11::PROFILES {
        let row = text.lines().find(|line| line.contains(&format!("| `{}` |", profile.name)));
        let row = row.unwrap_or_else(|| panic!("docs/hsm.md lacks {}", profile.name));
        assert!(row.contains(profile.title) && row.contains(profile.source), "{row}");
        let tested = row.contains("each time");
        assert_eq!(tested, profile.tested == kms_pkcs11::Tested::EachTime, "{row}");
    }
}
