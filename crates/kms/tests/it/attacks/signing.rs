//! Attacks on what is signed, and on how.

use std::collections::BTreeSet;

use kms::key::Algorithm;
use kms::key::Padding;
use kms::key::Prehash;
use kms::key::Purpose;
use kms::key::Scheme;
use kms::manager::ErrorKind;
use kms::manager::MESSAGE_LIMIT;
use kms::manager::NewKey;

use crate::home::Home;
use crate::home::because;
use crate::home::key_file;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;

// Attack 29.
#[test]
fn consensus_key_signs_no_raw_bytes_by_any_path() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let new = || NewKey { purpose: Purpose::Consensus, ..new_key(Algorithm::Ed25519) };
    let key = kms.generate_key(&caller, &"val".parse().unwrap(), new()).unwrap();
    let vote = b"\x08\x02\x11\x01\0\0\0\0\0\0\0"; // begins as a canonical vote does
    let checkpoint = b"virtengine-kms/x\n1\nAAAA\n";
    for name in [named("val"), key.id.into()] {
        for message in [b"".as_slice(), b"any", vote, checkpoint, &[7; 32], &[7; 64]] {
            for prehash in [Prehash::Sha256, Prehash::Keccak256, Prehash::Prehashed] {
                for padding in [Padding::Pss, Padding::Pkcs1v15] {
                    let scheme = Scheme { prehash, padding };
                    let error = kms.sign(&caller, &name, message, scheme).unwrap_err();
                    assert_eq!((error.code(), error.kind()), ("consensus_key", ErrorKind::Unsafe));
                    let error = kms.sign_pending(&caller, &name, message, scheme).unwrap_err();
                    assert_eq!(error.code(), "consensus_key");
                }
            }
        }
    }
    let successor = kms.rotate_key(&caller, &named("val"), &because("yearly")).unwrap();
    assert_eq!(successor.purpose, Purpose::Consensus);
    kms.lifecycle(&caller).complete_rotation(&named("val"), &because("now")).unwrap();
    for name in [named("val"), key.id.into(), successor.id.into()] {
        let error = kms.sign(&caller, &name, b"any", Scheme::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe);
    }
}

// Who may sign messages may not sign a digest someone else made of who knows what.
#[test]
fn digest_of_a_caller_needs_its_own_permission() {
    let home = Home::development();
    let (kms, admin) = home.enter();
    let label = "acct".parse().unwrap();
    kms.generate_key(&admin, &label, new_key(Algorithm::Secp256k1)).unwrap();
    crate::home::add_principal(&kms, &admin, ("sam", "signer"));
    let sam = crate::home::login(&kms, "sam", crate::home::PASSPHRASE).unwrap();
    let digest = Scheme { prehash: Prehash::Prehashed, ..Scheme::default() };
    let error = kms.sign(&sam, &named("acct"), &[7; 32], digest).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("permission_denied", ErrorKind::NotPermitted));
    kms.sign(&sam, &named("acct"), &[7; 32], Scheme::default()).unwrap();
    kms.sign(&admin, &named("acct"), &[7; 32], digest).unwrap();
}

#[test]
fn message_longer_than_the_limit_is_refused_and_the_longest_is_signed() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    let message = vec![7; MESSAGE_LIMIT + 1];
    let sign = |message| kms.sign(&caller, &named("val"), message, Scheme::default());
    let error = sign(&message).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("message_too_long", ErrorKind::Usage));
    let verified = kms.verify(&caller, &named("val"), &message, &[7; 64], Scheme::default());
    assert_eq!(verified.unwrap_err().code(), "message_too_long");
    sign(&message[..MESSAGE_LIMIT]).unwrap();
}

// Attack 43: no two sealed files share a nonce or a data key, also not two of the same key.
#[test]
fn two_homes_from_one_copy_write_no_two_key_files_alike() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let files: BTreeSet<Vec<u8>> = (0..8)
        .map(|number| key_file(&home, &make(&kms, &caller, &format!("key {number}"))))
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    kms.close().unwrap();
    let state = home.copy("");
    let made_in = |_| {
        home.put_back("", &state);
        let (kms, caller) = home.enter();
        let key = make(&kms, &caller, "clone");
        (key.id, key.public_key.clone(), std::fs::read(key_file(&home, &key)).unwrap())
    };
    let [one, two] = [0, 1].map(made_in);
    assert_eq!(files.len(), 8);
    assert_ne!(one.0, two.0);
    assert_ne!(one.1, two.1);
    let tail = |bytes: &[u8]| bytes[bytes.len() - 16..].to_vec();
    assert_ne!(tail(&one.2), tail(&two.2));
}

// Attack 44: the algorithms prove themselves before they are used; health asks for that.
#[test]
fn self_tests_pass_in_this_process_and_can_be_asked_for() {
    kms::storage::run_self_tests().unwrap();
    kms::storage::self_test_state().unwrap();
}
